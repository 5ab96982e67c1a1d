import { Button, PasswordInput, Stack, Text, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { Navigate, useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { rememberSession } from '@/api/client';
import { useSession, useStatus } from '@/api/hooks';
import { keys } from '@/api/keys';
import { send, useWrite } from '@/api/writes';
import { Door } from '@/features/shell/Door';
import { useSpeech } from '@/lib/i18n';
import { CodeBlock } from '@/ui/Code';
import { ErrorNote } from '@/ui/States';

export function LoginPage() {
  const { t } = useSpeech();
  const navigate = useNavigate();
  const client = useQueryClient();
  const { to } = useSearch({ strict: false }) as { to?: string };
  const status = useStatus();
  const session = useSession();
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  // Only pages of ours: an address from elsewhere must not lead away.
  const next = to?.startsWith('/') && !to.startsWith('//') ? to : '/';
  const login = useWrite(send.login, {
    onDone: (made) => {
      rememberSession(made);
      client.setQueryData(keys.session, made);
      navigate({ to: next, replace: true });
    },
  });

  if (session.data) return <Navigate to={next} replace />;
  if (status.data?.needsSetup) {
    return (
      <Door title={t.login.firstTitle} subtitle={t.login.firstText}>
        <CodeBlock code="weir up" />
      </Door>
    );
  }
  return (
    <Door title={t.login.title}>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          login.mutate({ name: name.trim(), password });
        }}
      >
        <Stack>
          <TextInput
            label={t.login.name}
            value={name}
            onChange={(e) => setName(e.currentTarget.value)}
            autoComplete="username"
            required
            withAsterisk={false}
            autoFocus
          />
          <PasswordInput
            label={t.login.password}
            value={password}
            onChange={(e) => setPassword(e.currentTarget.value)}
            autoComplete="current-password"
            required
            withAsterisk={false}
          />
          {login.error?.status === 401 || login.error?.status === 403 ? (
            <Text c="var(--weir-bad)" fz="sm" role="alert">
              {t.login.wrong}
            </Text>
          ) : (
            <ErrorNote error={login.error} />
          )}
          <Button type="submit" size="md" loading={login.isPending} mt="xs">
            {t.login.submit}
          </Button>
        </Stack>
      </form>
    </Door>
  );
}
