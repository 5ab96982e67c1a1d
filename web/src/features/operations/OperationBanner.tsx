import { Button, Group, Text } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { Link } from '@tanstack/react-router';
import { ArrowRight, X } from 'lucide-react';
import { useSession } from '@/api/hooks';
import type { Operation } from '@/api/types';
import { send, useWrite } from '@/api/writes';
import { bytes, duration } from '@/lib/format';
import { useSpeech } from '@/lib/i18n';
import { Meter } from '@/ui/Meter';
import { ErrorNote } from '@/ui/States';
import { useNow } from '@/ui/useNow';
import { isOver, running, secondsLeft, share } from './progress';

/** The open operation of a cluster: what runs, how far, how long, and a way to stop it. */
export function OperationBanner({ operation, link = true }: { operation: Operation; link?: boolean }) {
  const { t, say, language } = useSpeech();
  const now = useNow();
  const step = running(operation);
  const left = secondsLeft(operation, now);
  const part = share(operation);
  const kind = t.operations.kinds[operation.kind] ?? operation.kind;
  const progress = step?.step.progress;
  return (
    <section
      className="weir-card"
      style={{ padding: '14px 18px' }}
      aria-label={kind}
      data-operation={operation.id}
    >
      <Group justify="space-between" mb={8} gap="md">
        <div>
          <Text fw={650} fz="sm">
            {kind}
            {operation.plan.summary ? `: ${say(operation.plan.summary)}` : ''}
          </Text>
          <Text fz="xs" c="dimmed" className="weir-number">
            {step &&
              `${t.operations.stepOf(step.number, operation.steps?.length ?? 0)} · ${say(step.step.name)}`}
            {progress &&
              progress.bytesTotal > 0 &&
              ` · ${t.operations.bytesOf(bytes(progress.bytesDone), bytes(progress.bytesTotal))}`}
          </Text>
        </div>
        <Group gap="xs">
          <Text fz="sm" fw={600} className="weir-number">
            {Math.round(part * 100)}%
            {left !== undefined && ` · ${t.cluster.timeLeft(duration(left, language))}`}
          </Text>
          {link && (
            <Button
              component={Link}
              to={`/operations/${operation.id}`}
              size="xs"
              variant="default"
              rightSection={<ArrowRight size={14} />}
            >
              {t.cluster.openOperation}
            </Button>
          )}
          <CancelButton operation={operation} />
        </Group>
      </Group>
      <Meter value={part} label={t.operations.progress} />
    </section>
  );
}

export function CancelButton({ operation }: { operation: Operation }) {
  const { t } = useSpeech();
  const session = useSession();
  const cancel = useWrite(send.cancel, {
    onDone: () => notifications.show({ message: t.actions.cancelled }),
  });
  if (isOver(operation) || session.data?.role === 'viewer') return null;
  return (
    <>
      <Button
        size="xs"
        variant="default"
        leftSection={<X size={14} />}
        disabled={operation.cancelRequested}
        loading={cancel.isPending}
        onClick={() => cancel.mutate(operation.id)}
        title={t.operations.cancelText}
      >
        {operation.cancelRequested ? t.operations.cancelling : t.operations.cancel}
      </Button>
      <ErrorNote error={cancel.error} />
    </>
  );
}
