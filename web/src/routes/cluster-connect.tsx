import { Grid, Stack } from '@mantine/core';
import { useConnect } from '@/api/hooks-more';
import { useClusterPage } from '@/features/cluster/context';
import { ConnectCard, SnippetsCard } from '@/features/connect/ConnectCard';
import { UsersCard } from '@/features/connect/UsersCard';
import { useSpeech } from '@/lib/i18n';
import { ErrorState, Loading, Note } from '@/ui/States';

export function ClusterConnect() {
  const { t } = useSpeech();
  const { cluster } = useClusterPage();
  const connect = useConnect(cluster.name);
  return (
    <Stack gap="lg">
      {!cluster.secured && <Note tone="warn">{t.connect.unsecured}</Note>}
      {connect.isPending && <Loading rows={2} height={200} />}
      {connect.isError && <ErrorState error={connect.error} onRetry={() => connect.refetch()} />}
      {connect.data && (
        <Grid gap="lg" align="flex-start">
          <Grid.Col span={{ base: 12, md: 5 }}>
            <Stack gap="lg">
              <ConnectCard cluster={cluster.name} connect={connect.data} />
              {cluster.secured && <UsersCard />}
            </Stack>
          </Grid.Col>
          <Grid.Col span={{ base: 12, md: 7 }}>
            <SnippetsCard connect={connect.data} />
          </Grid.Col>
        </Grid>
      )}
    </Stack>
  );
}
