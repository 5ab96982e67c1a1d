import { ActionIcon, Button, Group, Stack, Text } from '@mantine/core';
import { Plus, Trash2, User } from 'lucide-react';
import { useState } from 'react';
import { useKafkaUsers } from '@/api/hooks-more';
import { keys } from '@/api/keys';
import { send, useWrite } from '@/api/writes';
import { useSpeech } from '@/lib/i18n';
import { Card } from '@/ui/Card';
import { ErrorNote, ErrorState, Loading } from '@/ui/States';
import { useClusterPage } from '../cluster/context';
import { NewUserDrawer } from './NewUserDrawer';

/** The cluster's own users. */
export function UsersCard() {
  const { t } = useSpeech();
  const { cluster, mayOperate } = useClusterPage();
  const [adding, add] = useState(false);
  const users = useKafkaUsers(cluster.name, mayOperate);
  const remove = useWrite(send.deleteUser(cluster.name), { touches: [keys.users] });
  if (!mayOperate) return null;
  return (
    <Card
      title={t.connect.users}
      subtitle={t.connect.usersHelp}
      right={
        <Button size="xs" leftSection={<Plus size={14} />} onClick={() => add(true)} style={{ flex: 'none' }}>
          {t.connect.addUser}
        </Button>
      }
    >
      {users.isPending && <Loading rows={1} height={40} />}
      {users.isError && <ErrorState error={users.error} onRetry={() => users.refetch()} />}
      {users.data?.length === 0 && (
        <Text fz="sm" c="dimmed">
          {t.connect.noUsers}
        </Text>
      )}
      <Stack gap={4}>
        {users.data?.map((name) => (
          <Group key={name} justify="space-between">
            <Group gap="xs">
              <User size={16} aria-hidden color="var(--weir-accent)" />
              <Text fz="sm" fw={600}>
                {name}
              </Text>
            </Group>
            <ActionIcon
              variant="subtle"
              color="gray"
              c="dimmed"
              aria-label={t.connect.removeUser(name)}
              onClick={() => remove.mutate(name)}
            >
              <Trash2 size={16} />
            </ActionIcon>
          </Group>
        ))}
      </Stack>
      <ErrorNote error={remove.error} />
      <NewUserDrawer cluster={cluster.name} open={adding} onClose={() => add(false)} />
    </Card>
  );
}
