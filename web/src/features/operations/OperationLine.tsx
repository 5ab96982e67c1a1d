import { Group, Text } from '@mantine/core';
import type { Operation } from '@/api/types';
import { duration } from '@/lib/format';
import { useSpeech } from '@/lib/i18n';
import { Meter } from '@/ui/Meter';
import { useNow } from '@/ui/useNow';
import { secondsLeft, share } from './progress';

/** An open operation in two lines: what, how far, how long. */
export function OperationLine({ operation }: { operation: Operation }) {
  const { t, language } = useSpeech();
  const now = useNow();
  const left = secondsLeft(operation, now);
  const part = share(operation);
  const kind = t.operations.kinds[operation.kind] ?? operation.kind;
  return (
    <div>
      <Group justify="space-between" gap="xs" mb={5} wrap="nowrap">
        <Text fz="xs" fw={600} truncate>
          {kind}
        </Text>
        <Text fz="xs" c="dimmed" className="weir-number" style={{ whiteSpace: 'nowrap' }}>
          {Math.round(part * 100)}%
          {left !== undefined && ` · ${t.cluster.timeLeft(duration(left, language))}`}
        </Text>
      </Group>
      <Meter value={part} label={kind} />
    </div>
  );
}
