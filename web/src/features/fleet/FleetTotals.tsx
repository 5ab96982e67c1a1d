import { Box, Group, Text } from '@mantine/core';
import type { ClusterView } from '@/api/types';
import { bytes } from '@/lib/format';
import { useSpeech } from '@/lib/i18n';
import { brokersUp, diskShare } from '../cluster/health';

/** One line over all clusters. */
export function FleetTotals({ clusters }: { clusters: ClusterView[] }) {
  const { t } = useSpeech();
  const healthy = clusters.filter((c) => c.healthLevel === 'ok').length;
  const up = clusters.reduce((n, c) => n + brokersUp(c), 0);
  const of = clusters.reduce((n, c) => n + (c.brokers?.length ?? 0), 0);
  const disk = clusters.reduce((n, c) => n + diskShare(c).used, 0);
  const totals: [string, string][] = [
    [t.fleet.totalClusters, `${healthy} / ${clusters.length}`],
    [t.fleet.totalBrokers, `${up} / ${of}`],
    [t.fleet.disk, bytes(disk)],
  ];
  return (
    <Group gap="xl">
      {totals.map(([label, value]) => (
        <Box key={label}>
          <Text fz="xs" c="dimmed" fw={600}>
            {label}
          </Text>
          <Text fz={22} fw={650} className="weir-number" lh={1.2}>
            {value}
          </Text>
        </Box>
      ))}
    </Group>
  );
}
