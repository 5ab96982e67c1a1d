import { Grid } from '@mantine/core';
import { useClusterPage } from '@/features/cluster/context';
import { Journal } from '@/features/healing/Journal';
import { Simulate } from '@/features/healing/Simulate';

export function ClusterHealing() {
  const { cluster } = useClusterPage();
  return (
    <Grid gap="lg" align="flex-start">
      <Grid.Col span={{ base: 12, md: 7 }}>
        <Journal cluster={cluster.name} />
      </Grid.Col>
      <Grid.Col span={{ base: 12, md: 5 }}>
        <Simulate cluster={cluster} />
      </Grid.Col>
    </Grid>
  );
}
