import { Button, Group } from '@mantine/core';
import { HeartPulse } from 'lucide-react';
import { useState } from 'react';
import { useJournal } from '@/api/hooks';
import { useSpeech } from '@/lib/i18n';
import { Card } from '@/ui/Card';
import { Empty, ErrorState, Loading } from '@/ui/States';
import { Entry } from './Entry';

/** Every anomaly from its discovery to its end. */
export function Journal({ cluster }: { cluster: string }) {
  const { t } = useSpeech();
  const [limit, setLimit] = useState(20);
  const journal = useJournal(cluster, limit);
  const list = journal.data ?? [];
  return (
    <Card title={t.healing.title} subtitle={t.healing.subtitle}>
      {journal.isPending && <Loading rows={2} height={120} />}
      {journal.isError && <ErrorState error={journal.error} onRetry={() => journal.refetch()} />}
      {journal.data && list.length === 0 && (
        <Empty icon={HeartPulse} title={t.healing.empty}>
          {t.healing.emptyText}
        </Empty>
      )}
      {list.map((entry, i) => (
        <Entry key={entry.id} entry={entry} last={i === list.length - 1} />
      ))}
      {list.length === limit && (
        <Group justify="center">
          <Button variant="default" size="xs" onClick={() => setLimit(limit + 50)}>
            {t.common.more}
          </Button>
        </Group>
      )}
    </Card>
  );
}
