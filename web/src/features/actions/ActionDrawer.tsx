import { Button, Drawer, Group, Select, Stack, Title } from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { useEffect, useState } from 'react';
import { usePlanChange, useSession } from '@/api/hooks';
import type { ChangeRequest, Operation } from '@/api/types';
import { send, useWrite } from '@/api/writes';
import { useSpeech } from '@/lib/i18n';
import { changeCommand, curl } from '@/lib/verbs';
import { ErrorNote, ErrorState, Loading, Note } from '@/ui/States';
import { Doors } from './Doors';
import { PlanView } from './PlanView';

interface Props {
  cluster: string;
  /** What is to be done; null: the drawer is shut. */
  change: ChangeRequest | null;
  onClose: () => void;
  onStarted?: (operation: Operation) => void;
}

const mib = 1024 * 1024;

/** Shows the plan of a change before it runs, and how to do the same by the other doors. */
export function ActionDrawer({ cluster, change, onClose, onStarted }: Props) {
  const { t } = useSpeech();
  const [kept, keep] = useState<ChangeRequest | null>(change);
  useEffect(() => {
    if (change) keep(change); // what is shown stays while the drawer slides shut
  }, [change]);
  const title = kept ? titleOf(t.actions.title, cluster, kept) : '';
  return (
    <Drawer
      opened={change !== null}
      onClose={onClose}
      position="right"
      size={560}
      padding="lg"
      title={
        <Title order={2} fz="lg" component="span">
          {title}
        </Title>
      }
      closeButtonProps={{ 'aria-label': t.common.close }}
    >
      {kept && (
        <Body
          key={JSON.stringify(kept)}
          cluster={cluster}
          change={kept}
          open={change !== null}
          onClose={onClose}
          onStarted={onStarted}
        />
      )}
    </Drawer>
  );
}

function Body({
  cluster,
  change,
  open,
  onClose,
  onStarted,
}: Omit<Props, 'change'> & { change: ChangeRequest; open: boolean }) {
  const { t } = useSpeech();
  const session = useSession();
  const [limit, setLimit] = useState('0');
  const wanted: ChangeRequest = limit === '0' ? change : { ...change, throttleBytesPerSecond: Number(limit) };
  const plan = usePlanChange(cluster, open ? wanted : null);
  const path = `/clusters/${encodeURIComponent(cluster)}/operations`;
  const run = useWrite(send.change(cluster), {
    onDone: (operation) => {
      notifications.show({ message: t.actions.started, color: 'river', autoClose: 2500 });
      onClose();
      onStarted?.(operation);
    },
  });
  const need = change.kind === 'delete' ? 'admin' : 'operator';
  const role = session.data?.role ?? 'viewer';
  const may = role === 'admin' || role === need;
  const danger = change.kind === 'delete' || change.kind === 'kill-broker';

  return (
    <Stack gap="lg">
      <Doors cli={changeCommand(cluster, wanted)} api={curl(window.location.origin, 'POST', path, wanted)}>
        <Stack gap="lg">
          {plan.isPending && <Loading rows={3} height={60} />}
          {plan.isError && <ErrorState error={plan.error} onRetry={() => plan.refetch()} />}
          {plan.data && <PlanView plan={plan.data} />}
          {change.kind === 'scale' && plan.data && !plan.data.impossible && (
            <Select
              label={t.actions.throttle}
              value={limit}
              onChange={(v) => setLimit(v ?? '0')}
              allowDeselect={false}
              data={[
                { value: '0', label: '40 MiB/s' },
                { value: String(10 * mib), label: '10 MiB/s' },
                { value: String(100 * mib), label: '100 MiB/s' },
                { value: '-1', label: t.actions.throttleNone },
              ]}
            />
          )}
        </Stack>
      </Doors>
      {!may && <Note tone="warn">{t.errors.forbiddenHelp(t.roles[need], t.roles[role])}</Note>}
      <ErrorNote error={run.error} />
      <Group justify="flex-end">
        <Button variant="default" onClick={onClose}>
          {t.common.cancel}
        </Button>
        <Button
          color={danger ? 'red.9' : undefined}
          disabled={!may || !plan.data || Boolean(plan.data.impossible)}
          loading={run.isPending}
          onClick={() => run.mutate(wanted)}
          data-testid="run-plan"
        >
          {t.actions.run[change.kind]}
        </Button>
      </Group>
    </Stack>
  );
}

type Titles = ReturnType<typeof useSpeech>['t']['actions']['title'];

function titleOf(titles: Titles, cluster: string, c: ChangeRequest): string {
  switch (c.kind) {
    case 'scale':
      return titles.scale(cluster, c.brokers ?? 0);
    case 'stop':
    case 'start':
    case 'delete':
      return titles[c.kind](cluster);
    default:
      return titles[c.kind](cluster, c.broker ?? 0);
  }
}
