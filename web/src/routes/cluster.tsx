import { Group, Stack, Tabs, Text } from '@mantine/core';
import { Outlet, useLocation, useNavigate, useParams } from '@tanstack/react-router';
import { Activity, HeartPulse, ListChecks, type LucideIcon, PlugZap, Settings2 } from 'lucide-react';
import { useMemo, useState } from 'react';
import { useCluster, useSession } from '@/api/hooks';
import type { ChangeRequest } from '@/api/types';
import { ActionDrawer } from '@/features/actions/ActionDrawer';
import { ClusterContext } from '@/features/cluster/context';
import { HealthBanner } from '@/features/cluster/HealthBanner';
import { toneOfCluster } from '@/features/cluster/health';
import { StaleNote } from '@/features/cluster/StaleNote';
import { OperationBanner } from '@/features/operations/OperationBanner';
import { engineLabel } from '@/lib/engine';
import { useSpeech } from '@/lib/i18n';
import { PageHead } from '@/ui/Page';
import { ErrorState, Loading } from '@/ui/States';
import { StatusBadge } from '@/ui/Status';
import { NotFoundPage } from './not-found';

const tabs: {
  id: 'overview' | 'operations' | 'healing' | 'connect' | 'manage';
  path: string;
  icon: LucideIcon;
}[] = [
  { id: 'overview', path: '', icon: Activity },
  { id: 'operations', path: '/operations', icon: ListChecks },
  { id: 'healing', path: '/healing', icon: HeartPulse },
  { id: 'connect', path: '/connect', icon: PlugZap },
  { id: 'manage', path: '/manage', icon: Settings2 },
];

/** The frame of a cluster's pages: how it is, what is under way, and the tabs. */
export function ClusterPage() {
  const { t } = useSpeech();
  const { cluster: name } = useParams({ strict: false }) as { cluster: string };
  const navigate = useNavigate();
  const { pathname } = useLocation();
  const cluster = useCluster(name);
  const session = useSession();
  const [change, propose] = useState<ChangeRequest | null>(null);
  const role = session.data?.role;
  const state = useMemo(
    () =>
      cluster.data && {
        cluster: cluster.data,
        propose,
        mayOperate: role === 'admin' || role === 'operator',
        isAdmin: role === 'admin',
      },
    [cluster.data, role],
  );

  if (cluster.isPending) return <Loading rows={4} height={120} />;
  if (cluster.error?.status === 404) return <NotFoundPage />;
  if (!state) return cluster.error && <ErrorState error={cluster.error} onRetry={() => cluster.refetch()} />;
  const c = state.cluster;
  const base = `/c/${c.name}`;
  const here = tabs.find((tab) => tab.path && pathname.startsWith(`${base}${tab.path}`)) ?? tabs[0];

  return (
    <ClusterContext value={state}>
      <PageHead
        title={c.name}
        badge={<StatusBadge tone={toneOfCluster(c)}>{t.states[c.state]}</StatusBadge>}
        subtitle={
          <Group gap={6}>
            <Text span fz="sm">
              {engineLabel(t, c)} · {t.cluster.brokersCount(c.brokers?.length ?? 0)} ·{' '}
              {c.secured ? t.fleet.secured : t.fleet.unsecured}
            </Text>
          </Group>
        }
      />
      <Stack gap="md" mb="lg">
        <HealthBanner />
        <StaleNote />
        {c.operation && <OperationBanner operation={c.operation} />}
      </Stack>
      <Tabs
        value={here?.id}
        onChange={(id) => navigate({ to: `${base}${tabs.find((tab) => tab.id === id)?.path ?? ''}` })}
        mb="lg"
      >
        <Tabs.List>
          {tabs.map(({ id, icon: Icon }) => (
            <Tabs.Tab key={id} value={id} leftSection={<Icon size={16} />}>
              {t.cluster.tabs[id]}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        {here && (
          <Tabs.Panel value={here.id} pt="lg">
            <Outlet />
          </Tabs.Panel>
        )}
      </Tabs>
      <ActionDrawer
        cluster={c.name}
        change={change}
        onClose={() => propose(null)}
        onStarted={(operation) => {
          if (operation.kind === 'delete')
            navigate({ to: '/operations/$operation', params: { operation: operation.id } });
        }}
      />
    </ClusterContext>
  );
}
