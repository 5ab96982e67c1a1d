import { Drawer, Text, Title } from '@mantine/core';
import { useEffect, useRef } from 'react';
import { useBrokerLog } from '@/api/hooks';
import { useSpeech } from '@/lib/i18n';
import { ErrorState, Loading } from '@/ui/States';

/** The end of a broker's log, moving on. */
export function BrokerLog({
  cluster,
  broker,
  onClose,
}: {
  cluster: string;
  broker: number | null;
  onClose: () => void;
}) {
  const { t } = useSpeech();
  const log = useBrokerLog(cluster, broker);
  const end = useRef<HTMLPreElement>(null);
  const lines = log.data ?? [];
  // biome-ignore lint/correctness/useExhaustiveDependencies: new lines scroll into sight
  useEffect(() => {
    end.current?.scrollTo({ top: end.current.scrollHeight });
  }, [lines.length]);
  return (
    <Drawer
      opened={broker !== null}
      onClose={onClose}
      position="bottom"
      size="60%"
      title={
        <Title order={2} fz="lg" component="span">
          {t.brokers.logTitle(broker ?? 0)}
        </Title>
      }
      closeButtonProps={{ 'aria-label': t.common.close }}
    >
      {log.isPending && broker !== null && <Loading rows={2} height={60} />}
      {log.isError && <ErrorState error={log.error} onRetry={() => log.refetch()} />}
      {log.data && lines.length === 0 && <Text c="dimmed">{t.brokers.logEmpty}</Text>}
      {lines.length > 0 && (
        <pre
          ref={end}
          // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
          tabIndex={0}
          role="log"
          aria-label={t.brokers.logTitle(broker ?? 0)}
          style={{
            margin: 0,
            padding: 14,
            height: 'calc(60vh - 100px)',
            overflow: 'auto',
            background: 'var(--weir-sunken)',
            borderRadius: 10,
            fontSize: 12,
            lineHeight: 1.6,
            fontFamily: 'var(--mantine-font-family-monospace)',
          }}
        >
          {lines.join('\n')}
        </pre>
      )}
    </Drawer>
  );
}
