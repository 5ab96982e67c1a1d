import { Button, Group, SimpleGrid } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { Plus } from 'lucide-react';
import { useClusters, useSession } from '@/api/hooks';
import { ClusterCard } from '@/features/fleet/ClusterCard';
import { EmptyFleet } from '@/features/fleet/EmptyFleet';
import { FleetTotals } from '@/features/fleet/FleetTotals';
import { useSpeech } from '@/lib/i18n';
import { PageHead } from '@/ui/Page';
import { ErrorState, Loading } from '@/ui/States';

export function FleetPage() {
  const { t } = useSpeech();
  const clusters = useClusters();
  const session = useSession();
  const list = clusters.data ?? [];
  const mayCreate = session.data?.role === 'admin';

  return (
    <>
      <PageHead
        title={t.fleet.title}
        subtitle={list.length > 0 ? t.fleet.subtitle(list.length) : undefined}
        right={
          mayCreate &&
          list.length > 0 && (
            <Button component={Link} to="/clusters/new" leftSection={<Plus size={18} />}>
              {t.app.newCluster}
            </Button>
          )
        }
      />
      {clusters.isPending && <Loading rows={2} height={220} />}
      {clusters.isError && !clusters.data && (
        <ErrorState error={clusters.error} onRetry={() => clusters.refetch()} />
      )}
      {clusters.data && list.length === 0 && <EmptyFleet mayCreate={mayCreate} />}
      {list.length > 0 && (
        <>
          {list.length > 1 && (
            <Group mb="lg">
              <FleetTotals clusters={list} />
            </Group>
          )}
          <SimpleGrid cols={{ base: 1, md: 2, xl: 3 }} spacing="lg">
            {list.map((c) => (
              <ClusterCard key={c.id} cluster={c} />
            ))}
          </SimpleGrid>
        </>
      )}
    </>
  );
}
