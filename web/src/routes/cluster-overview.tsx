import { Stack } from '@mantine/core';
import { BrokersCard } from '@/features/cluster/BrokersCard';
import { useClusterPage } from '@/features/cluster/context';
import { Vitals } from '@/features/cluster/Vitals';
import { PanelGrid } from '@/features/panels/PanelGrid';

export function ClusterOverview() {
  const { cluster } = useClusterPage();
  return (
    <Stack gap="lg">
      <Vitals />
      <BrokersCard />
      <PanelGrid cluster={cluster.name} />
    </Stack>
  );
}
