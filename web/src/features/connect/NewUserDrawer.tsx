import { Button, Drawer, Group, Stack, TextInput, Title } from '@mantine/core';
import { useState } from 'react';
import { keys } from '@/api/keys';
import type { Credentials, KafkaUserRequest } from '@/api/types';
import { send, useWrite } from '@/api/writes';
import { useSpeech } from '@/lib/i18n';
import { curl, quote } from '@/lib/verbs';
import { CodeBlock, CopyLine } from '@/ui/Code';
import { ErrorNote, Note } from '@/ui/States';
import { Doors } from '../actions/Doors';
import { words } from '../create/draft';

const blank = { name: '', produce: '', consume: '', groups: '' };

/** Makes a user that may do just what it needs, and shows its password once. */
export function NewUserDrawer({
  cluster,
  open,
  onClose,
}: {
  cluster: string;
  open: boolean;
  onClose: () => void;
}) {
  const { t } = useSpeech();
  const [form, set] = useState(blank);
  const path = `/clusters/${encodeURIComponent(cluster)}/users`;
  const create = useWrite(send.createUser(cluster), { touches: [keys.users] });
  const put = (field: keyof typeof blank) => (e: React.ChangeEvent<HTMLInputElement>) => {
    const value = e.currentTarget.value;
    set((f) => ({ ...f, [field]: value }));
  };
  const body: KafkaUserRequest = {
    name: form.name.trim(),
    produce: words(form.produce),
    consume: words(form.consume),
    groups: words(form.groups),
  };
  const refused = create.error?.fields ?? {};
  const close = () => {
    onClose();
    set(blank);
    create.reset();
  };
  return (
    <Drawer
      opened={open}
      onClose={close}
      position="right"
      size={520}
      padding="lg"
      title={
        <Title order={2} fz="lg" component="span">
          {t.connect.addUser}
        </Title>
      }
      closeButtonProps={{ 'aria-label': t.common.close }}
    >
      {create.data ? (
        <Made made={create.data} onClose={close} />
      ) : (
        <form
          onSubmit={(e) => {
            e.preventDefault();
            create.mutate(body);
          }}
        >
          <Doors cli={command(cluster, body)} api={curl(window.location.origin, 'POST', path, body)}>
            <Stack gap="md">
              <TextInput
                label={t.connect.userName}
                value={form.name}
                onChange={put('name')}
                error={refused.name}
                required
                placeholder="app1"
                autoComplete="off"
                data-autofocus
              />
              <TextInput
                label={t.connect.produce}
                value={form.produce}
                onChange={put('produce')}
                error={refused.produce}
                placeholder="orders, payments"
              />
              <TextInput
                label={t.connect.consume}
                value={form.consume}
                onChange={put('consume')}
                error={refused.consume}
                placeholder="orders"
              />
              <TextInput
                label={t.connect.groups}
                description={t.connect.listHelp}
                value={form.groups}
                onChange={put('groups')}
                error={refused.groups}
                placeholder="app1"
                inputWrapperOrder={['label', 'input', 'description', 'error']}
              />
            </Stack>
          </Doors>
          <Stack mt="lg">
            <ErrorNote error={create.error} />
            <Group justify="flex-end">
              <Button variant="default" onClick={close}>
                {t.common.cancel}
              </Button>
              <Button
                type="submit"
                disabled={!body.name}
                loading={create.isPending}
                data-testid="submit-user"
              >
                {t.connect.submit}
              </Button>
            </Group>
          </Stack>
        </form>
      )}
    </Drawer>
  );
}

function Made({ made, onClose }: { made: Credentials; onClose: () => void }) {
  const { t } = useSpeech();
  return (
    <Stack gap="md">
      <Note tone="ok">{t.connect.once}</Note>
      <CopyLine label={t.connect.userName} value={made.name} />
      <CopyLine label={t.connect.password} value={made.password} />
      <CodeBlock code={made.clientProperties} label="client.properties" />
      {made.path && <CopyLine label={t.connect.file} value={made.path} />}
      <Group justify="flex-end">
        <Button onClick={onClose}>{t.common.close}</Button>
      </Group>
    </Stack>
  );
}

function command(cluster: string, u: KafkaUserRequest): string {
  const parts = [`weir user create ${quote(u.name)}`, `--cluster ${quote(cluster)}`];
  for (const [flag, list] of [
    ['produce', u.produce],
    ['consume', u.consume],
    ['group', u.groups],
  ] as const) {
    for (const name of list ?? []) parts.push(`--${flag} ${quote(name)}`);
  }
  return parts.join(' \\\n  ');
}
