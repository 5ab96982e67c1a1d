import { Button, Group, Text } from '@mantine/core';
import { HeartPulse, Play } from 'lucide-react';
import { useSpeech } from '@/lib/i18n';
import { StatusIcon } from '@/ui/Status';
import { useClusterPage } from './context';
import { toneOfCluster } from './health';
import { useHealthSentence } from './useHealthSentence';

/** How the cluster is, in one sentence, with the button that mends it. */
export function HealthBanner() {
  const { t } = useSpeech();
  const { cluster, propose, mayOperate } = useClusterPage();
  const sentence = useHealthSentence(cluster);
  const tone = toneOfCluster(cluster);
  const mend = cluster.mend;
  // What a person's operation is about says its own banner.
  if (cluster.operation && cluster.operation.actor !== 'healing' && cluster.healthLevel !== 'bad')
    return null;
  const starts = mend?.kind === 'start';
  return (
    <Group
      role="status"
      data-health={cluster.healthLevel}
      justify="space-between"
      wrap="nowrap"
      px="lg"
      py="md"
      gap="md"
      style={{ borderRadius: 12, background: `var(--weir-${tone}-bg)`, color: `var(--weir-${tone})` }}
    >
      <Group gap="sm" wrap="nowrap">
        <StatusIcon tone={tone} size={24} />
        <Text fw={600} fz="md" c="inherit">
          {sentence}
        </Text>
      </Group>
      {mend && mayOperate && (
        <Button
          leftSection={starts ? <Play size={16} /> : <HeartPulse size={16} />}
          onClick={() => propose(mend)}
          style={{ flex: 'none' }}
        >
          {starts ? t.cluster.start : t.cluster.mend}
        </Button>
      )}
    </Group>
  );
}
