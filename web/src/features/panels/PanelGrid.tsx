import { Button, Group, SegmentedControl, SimpleGrid, Title } from '@mantine/core';
import { Activity } from 'lucide-react';
import { useState } from 'react';
import { usePanels } from '@/api/hooks-more';
import { useSpeech } from '@/lib/i18n';
import { Empty, ErrorState, Loading } from '@/ui/States';
import { PanelCard } from './PanelCard';

// What is looked at first; the rest is one click away.
const first = ['bytes-in', 'bytes-out', 'produce-p99', 'under-replicated', 'process-cpu', 'process-memory'];

/** The live graphs of a cluster. */
export function PanelGrid({ cluster }: { cluster: string }) {
  const { t } = useSpeech();
  const [seconds, setSeconds] = useState('900');
  const [all, setAll] = useState(false);
  const panels = usePanels(cluster);
  const list = panels.data ?? [];
  const chosen = first.map((id) => list.find((p) => p.id === id)).filter((p) => p !== undefined);
  const shown = all || chosen.length === 0 ? list : chosen;
  return (
    <section aria-labelledby="panels">
      <Group justify="space-between" mb="md">
        <Title order={2} fz="md" id="panels">
          {t.panels.title}
        </Title>
        <SegmentedControl
          size="xs"
          aria-label={t.panels.range}
          value={seconds}
          onChange={setSeconds}
          data={Object.entries(t.panels.ranges).map(([value, label]) => ({ value, label }))}
        />
      </Group>
      {panels.isPending && <Loading rows={2} height={180} />}
      {panels.isError && <ErrorState error={panels.error} onRetry={() => panels.refetch()} />}
      {panels.data?.length === 0 && <Empty icon={Activity} title={t.panels.noData} />}
      <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }} spacing="md">
        {shown.map((p) => (
          <PanelCard key={p.id} cluster={cluster} panel={p} seconds={Number(seconds)} />
        ))}
      </SimpleGrid>
      {chosen.length > 0 && chosen.length < list.length && (
        <Group justify="center" mt="md">
          <Button variant="default" size="xs" onClick={() => setAll(!all)}>
            {all ? t.panels.showFew : t.panels.showAll}
          </Button>
        </Group>
      )}
    </section>
  );
}
