import { Group, SimpleGrid, Text } from '@mantine/core';
import { usePanel } from '@/api/hooks-more';
import type { ClusterView, PanelData } from '@/api/types';
import { bytes } from '@/lib/format';
import { useSpeech } from '@/lib/i18n';
import { Sparkline } from '@/ui/Sparkline';

/** The sum over all brokers at each time. */
export function totals(data: PanelData | undefined): number[] {
  const sums = new Map<number, number>();
  for (const series of data?.series ?? []) {
    for (const [at, value] of series.points ?? []) {
      if (at !== undefined && value !== undefined) sums.set(at, (sums.get(at) ?? 0) + value);
    }
  }
  return [...sums.entries()].sort((a, b) => a[0] - b[0]).map(([, v]) => v);
}

/** Bytes in and out of the last quarter of an hour, without axes. */
export function TrafficSpark({ cluster }: { cluster: ClusterView }) {
  const { t } = useSpeech();
  const on = cluster.state !== 'STOPPED';
  const incoming = usePanel(cluster.name, 'bytes-in', 900, on);
  const outgoing = usePanel(cluster.name, 'bytes-out', 900, on);
  const rows = [
    { label: t.fleet.in, points: totals(incoming.data), color: 'var(--weir-accent)' },
    { label: t.fleet.out, points: totals(outgoing.data), color: 'var(--weir-off-solid)' },
  ];
  return (
    <SimpleGrid cols={2} spacing="md">
      {rows.map(({ label, points, color }) => (
        <div key={label}>
          <Group justify="space-between" gap={4}>
            <Text fz="xs" c="dimmed" fw={600}>
              {label}
            </Text>
            <Text fz="xs" className="weir-number">
              {points.length ? `${bytes(points.at(-1) ?? 0)}${t.common.perSecond}` : '–'}
            </Text>
          </Group>
          <Sparkline points={points} color={color} />
        </div>
      ))}
    </SimpleGrid>
  );
}
