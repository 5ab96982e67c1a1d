import { Group, Text, Tooltip } from '@mantine/core';
import { useLive } from '@/api/events';
import { useSpeech } from '@/lib/i18n';
import { Dot } from '@/ui/Status';

/** Whether what is on the page is pushed or asked for. */
export function LiveMark() {
  const { t } = useSpeech();
  const live = useLive();
  return (
    <Tooltip label={live ? t.app.liveHelp : t.app.pollingHelp} multiline maw={260}>
      <Group gap={7} px={8} wrap="nowrap" visibleFrom="xs" role="status" data-live={live}>
        <Dot tone={live ? 'ok' : 'warn'} />
        <Text fz="xs" c="dimmed" fw={600}>
          {live ? t.app.live : t.app.polling}
        </Text>
      </Group>
    </Tooltip>
  );
}
