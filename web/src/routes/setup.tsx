import { Button, PasswordInput, Stack, Text, TextInput } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { rememberSession } from '@/api/client';
import { keys } from '@/api/keys';
import { send, useWrite } from '@/api/writes';
import { Door } from '@/features/shell/Door';
import { useSpeech } from '@/lib/i18n';
import { CodeBlock } from '@/ui/Code';
import { ErrorNote } from '@/ui/States';

const minPassword = 10;

// The secret may stand after the # (never sent to a server by the browser) or in the query.
function secretOf(): string {
  const here = new URL(window.location.href);
  const fragment = here.hash.slice(1);
  return (
    here.searchParams.get('secret') ??
    here.searchParams.get('token') ??
    new URLSearchParams(fragment).get('secret') ??
    fragment
  );
}

export function SetupPage() {
  const { t } = useSpeech();
  const navigate = useNavigate();
  const client = useQueryClient();
  const [secret] = useState(secretOf);
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [again, setAgain] = useState('');
  const [tried, setTried] = useState(false);
  const setup = useWrite(send.setup, {
    touches: [keys.status],
    onDone: (session) => {
      rememberSession(session);
      client.setQueryData(keys.session, session);
      navigate({ to: '/', replace: true });
    },
  });

  if (!secret) {
    return (
      <Door title={t.setup.missingTitle} subtitle={t.setup.missingText}>
        <CodeBlock code="weir up" />
      </Door>
    );
  }
  const short = [...password].length < minPassword;
  const differs = password !== again;
  const refused = setup.error?.fields ?? {};
  return (
    <Door title={t.setup.title} subtitle={t.setup.subtitle}>
      <form
        noValidate
        onSubmit={(e) => {
          e.preventDefault();
          setTried(true);
          if (name.trim() && !short && !differs) setup.mutate({ secret, name: name.trim(), password });
        }}
      >
        <Stack>
          <TextInput
            label={t.setup.name}
            value={name}
            onChange={(e) => setName(e.currentTarget.value)}
            autoComplete="username"
            required
            error={refused.name ?? (tried && !name.trim())}
            autoFocus
          />
          <PasswordInput
            label={t.setup.password}
            description={t.setup.passwordHelp}
            value={password}
            onChange={(e) => setPassword(e.currentTarget.value)}
            autoComplete="new-password"
            required
            error={refused.password ?? (tried && short ? t.setup.tooShort : undefined)}
          />
          <PasswordInput
            label={t.setup.repeat}
            value={again}
            onChange={(e) => setAgain(e.currentTarget.value)}
            autoComplete="new-password"
            required
            error={tried && !short && differs ? t.setup.mismatch : undefined}
          />
          {setup.error &&
            setup.error.status !== 422 &&
            (setup.error.status === 403 || setup.error.status === 410 ? (
              <Text c="var(--weir-bad)" fz="sm" role="alert">
                {t.setup.expired}
              </Text>
            ) : (
              <ErrorNote error={setup.error} />
            ))}
          <Button type="submit" size="md" loading={setup.isPending} mt="xs">
            {t.setup.submit}
          </Button>
        </Stack>
      </form>
    </Door>
  );
}
