import {
  ActionIcon,
  Button,
  Group,
  PasswordInput,
  Select,
  Stack,
  Table,
  Text,
  TextInput,
  VisuallyHidden,
} from '@mantine/core';
import { notifications } from '@mantine/notifications';
import { Trash2, UserPlus } from 'lucide-react';
import { useState } from 'react';
import { usePeople } from '@/api/hooks-more';
import { keys } from '@/api/keys';
import type { Role } from '@/api/types';
import { send, useWrite } from '@/api/writes';
import { useSpeech } from '@/lib/i18n';
import { Card } from '@/ui/Card';
import { ErrorNote, ErrorState, Loading } from '@/ui/States';

const touches = [keys.people];
const roles: Role[] = ['viewer', 'operator', 'admin'];

/** Who may sign in. */
export function PeopleCard({ me }: { me: string }) {
  const { t } = useSpeech();
  const people = usePeople();
  const [adding, setAdding] = useState(false);
  const remove = useWrite(send.deletePerson, { touches });
  return (
    <Card
      title={t.settings.people}
      subtitle={t.settings.peopleHelp}
      right={
        <Button
          size="xs"
          variant="default"
          leftSection={<UserPlus size={14} />}
          onClick={() => setAdding(!adding)}
          aria-expanded={adding}
          style={{ flex: 'none' }}
        >
          {t.settings.addPerson}
        </Button>
      }
    >
      {people.isPending && <Loading rows={1} height={60} />}
      {people.isError && <ErrorState error={people.error} onRetry={() => people.refetch()} />}
      {adding && <AddPerson onDone={() => setAdding(false)} />}
      {people.data && (
        <Table verticalSpacing="xs">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{t.common.name}</Table.Th>
              <Table.Th>{t.common.role}</Table.Th>
              <Table.Th>
                <VisuallyHidden>{t.common.remove}</VisuallyHidden>
              </Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {people.data.map((p) => (
              <Table.Tr key={p.name}>
                <Table.Td>
                  <Text fz="sm" fw={600} span>
                    {p.name}
                  </Text>
                  {p.name === me && (
                    <Text span c="dimmed" fz="sm">
                      {' '}
                      ({t.settings.you})
                    </Text>
                  )}
                </Table.Td>
                <Table.Td>{t.roles[p.role]}</Table.Td>
                <Table.Td ta="right">
                  {p.name !== me && (
                    <ActionIcon
                      variant="subtle"
                      color="gray"
                      c="dimmed"
                      aria-label={t.settings.removePerson(p.name)}
                      onClick={() => remove.mutate(p.name)}
                    >
                      <Trash2 size={16} />
                    </ActionIcon>
                  )}
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      )}
      <ErrorNote error={remove.error} />
    </Card>
  );
}

function AddPerson({ onDone }: { onDone: () => void }) {
  const { t } = useSpeech();
  const [name, setName] = useState('');
  const [role, setRole] = useState<Role>('viewer');
  const [password, setPassword] = useState('');
  const add = useWrite(send.createPerson, {
    touches,
    onDone: (_, made) => {
      notifications.show({ message: t.settings.personAdded(made.name) });
      onDone();
    },
  });
  return (
    <form
      onSubmit={(e) => {
        e.preventDefault();
        add.mutate({ name: name.trim(), role, password });
      }}
    >
      <Stack gap="sm" mb="lg" p="md" style={{ background: 'var(--weir-sunken)', borderRadius: 10 }}>
        <TextInput
          label={t.common.name}
          value={name}
          onChange={(e) => setName(e.currentTarget.value)}
          required
          error={add.error?.fields.name}
          autoComplete="off"
        />
        <Select
          label={t.common.role}
          description={t.roleHelp[role]}
          value={role}
          onChange={(v) => setRole((v as Role) ?? 'viewer')}
          allowDeselect={false}
          data={roles.map((value) => ({ value, label: t.roles[value] }))}
        />
        <PasswordInput
          label={t.setup.password}
          description={t.setup.passwordHelp}
          value={password}
          onChange={(e) => setPassword(e.currentTarget.value)}
          required
          error={add.error?.fields.password}
          autoComplete="new-password"
        />
        <ErrorNote error={add.error} />
        <Group justify="flex-end">
          <Button variant="default" size="xs" onClick={onDone}>
            {t.common.cancel}
          </Button>
          <Button type="submit" size="xs" loading={add.isPending}>
            {t.settings.addPerson}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
