import { Button, Drawer, Group, SegmentedControl, Table, Text, Title } from '@mantine/core';
import { Layers } from 'lucide-react';
import { useEffect, useState } from 'react';
import { type PartitionState, usePartitions } from '@/api/hooks-more';
import { bytes } from '@/lib/format';
import { useSpeech } from '@/lib/i18n';
import { Empty, ErrorState, Loading } from '@/ui/States';

const rows = 100;

interface Props {
  cluster: string;
  /** Which partitions; null: the drawer is shut. */
  shown: PartitionState | 'all' | null;
  onShow: (which: PartitionState | 'all' | null) => void;
}

/** Partitions by what ails them, a page at a time: there may be tens of thousands. */
export function Partitions({ cluster, shown, onShow }: Props) {
  const { t } = useSpeech();
  return (
    <Drawer
      opened={shown !== null}
      onClose={() => onShow(null)}
      position="right"
      size={720}
      padding="lg"
      title={
        <Title order={2} fz="lg" component="span">
          {t.partitions.title}
        </Title>
      }
      closeButtonProps={{ 'aria-label': t.common.close }}
    >
      {shown && <List cluster={cluster} shown={shown} onShow={onShow} />}
    </Drawer>
  );
}

function List({ cluster, shown, onShow }: Props & { shown: PartitionState | 'all' }) {
  const { t } = useSpeech();
  const [offset, setOffset] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another choice begins at its first page
  useEffect(() => setOffset(0), [shown]);
  const found = usePartitions(cluster, shown === 'all' ? undefined : shown, offset, rows);
  const list = found.data?.partitions ?? [];
  const total = found.data?.total ?? 0;
  const c = t.partitions.columns;
  return (
    <>
      <SegmentedControl
        size="xs"
        mb="md"
        aria-label={t.partitions.filter}
        value={shown}
        onChange={(v) => onShow(v as PartitionState | 'all')}
        data={(['all', 'offline', 'under-min-isr', 'under-replicated', 'moving'] as const).map((value) => ({
          value,
          label: t.partitions.states[value === 'all' ? '' : value],
        }))}
      />
      {found.isPending && <Loading rows={3} height={50} />}
      {found.isError && <ErrorState error={found.error} onRetry={() => found.refetch()} />}
      {found.data && list.length === 0 && (
        <Empty icon={Layers} title={shown === 'all' ? t.partitions.noneAtAll : t.partitions.none} />
      )}
      {list.length > 0 && (
        <Table stickyHeader verticalSpacing={6}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{c.partition}</Table.Th>
              <Table.Th ta="right">{c.leader}</Table.Th>
              <Table.Th>{c.replicas}</Table.Th>
              <Table.Th>{c.isr}</Table.Th>
              <Table.Th ta="right">{c.size}</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody className="weir-number">
            {list.map((p) => (
              <Table.Tr key={`${p.topic}-${p.partition}`}>
                <Table.Td style={{ overflowWrap: 'anywhere' }}>
                  {p.topic}-{p.partition}
                </Table.Td>
                <Table.Td ta="right" c={p.leader < 0 ? 'var(--weir-bad)' : undefined}>
                  {p.leader < 0 ? t.partitions.noLeader : p.leader}
                </Table.Td>
                <Table.Td>{p.replicas.join(', ')}</Table.Td>
                <Table.Td c={p.isr.length < p.replicas.length ? 'var(--weir-warn)' : undefined}>
                  {p.isr.join(', ')}
                </Table.Td>
                <Table.Td ta="right">{bytes(p.bytes)}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      )}
      {total > rows && (
        <Group justify="space-between" mt="md">
          <Text fz="sm" c="dimmed">
            {t.partitions.range(offset + 1, offset + list.length, total)}
          </Text>
          <Group gap="xs">
            <Button
              variant="default"
              size="xs"
              disabled={offset === 0}
              onClick={() => setOffset(offset - rows)}
            >
              {t.partitions.previous}
            </Button>
            <Button
              variant="default"
              size="xs"
              disabled={offset + rows >= total}
              onClick={() => setOffset(offset + rows)}
            >
              {t.partitions.next}
            </Button>
          </Group>
        </Group>
      )}
    </>
  );
}
