import { Button, Group, Select, Stack, Table, Text, VisuallyHidden } from '@mantine/core';
import { KeyRound } from 'lucide-react';
import { useState } from 'react';
import { useTokens } from '@/api/hooks-more';
import { keys } from '@/api/keys';
import type { Role } from '@/api/types';
import { send, useWrite } from '@/api/writes';
import { dateTime } from '@/lib/format';
import { useSpeech } from '@/lib/i18n';
import { Card } from '@/ui/Card';
import { CopyLine } from '@/ui/Code';
import { ErrorNote, ErrorState, Loading, Note } from '@/ui/States';
import { isSet } from '../cluster/health';

const touches = [keys.tokens];
const day = 86_400;

/** Keys of programs. */
export function TokensCard() {
  const { t, language } = useSpeech();
  const tokens = useTokens();
  const [role, setRole] = useState<Role>('viewer');
  const [days, setDays] = useState('30');
  const create = useWrite(send.createToken, { touches });
  const revoke = useWrite(send.deleteToken, { touches });
  return (
    <Card title={t.settings.tokens} subtitle={t.settings.tokensHelp}>
      <Stack gap="md">
        <Group align="flex-end" gap="sm">
          <Select
            label={t.settings.tokenRole}
            value={role}
            onChange={(v) => setRole((v as Role) ?? 'viewer')}
            allowDeselect={false}
            w={140}
            data={(['viewer', 'operator', 'admin'] as const).map((value) => ({
              value,
              label: t.roles[value],
            }))}
          />
          <Select
            label={t.settings.tokenLife}
            value={days}
            onChange={(v) => setDays(v ?? '30')}
            allowDeselect={false}
            w={120}
            data={['1', '30', '90', '365'].map((value) => ({ value, label: t.settings.days(Number(value)) }))}
          />
          <Button
            leftSection={<KeyRound size={16} />}
            loading={create.isPending}
            onClick={() => create.mutate({ role, expiresInSeconds: Number(days) * day })}
          >
            {t.settings.addToken}
          </Button>
        </Group>
        <ErrorNote error={create.error ?? revoke.error} />
        {create.data && (
          <Stack gap="xs">
            <Note tone="ok">{t.settings.tokenOnce}</Note>
            <CopyLine label="WEIR_TOKEN" value={create.data.token} />
          </Stack>
        )}
        {tokens.isPending && <Loading rows={1} height={60} />}
        {tokens.isError && <ErrorState error={tokens.error} onRetry={() => tokens.refetch()} />}
        {tokens.data?.length === 0 && (
          <Text fz="sm" c="dimmed">
            {t.settings.noTokens}
          </Text>
        )}
        {(tokens.data?.length ?? 0) > 0 && (
          <Table.ScrollContainer minWidth={420} type="native">
            <Table verticalSpacing="xs">
              <Table.Thead>
                <Table.Tr>
                  <Table.Th>ID</Table.Th>
                  <Table.Th>{t.common.role}</Table.Th>
                  <Table.Th>{t.common.expires}</Table.Th>
                  <Table.Th>
                    <VisuallyHidden>{t.settings.revoke}</VisuallyHidden>
                  </Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {tokens.data?.map((token) => (
                  <Table.Tr key={token.id}>
                    <Table.Td ff="monospace" fz="xs" style={{ overflowWrap: 'anywhere' }}>
                      {token.id}
                    </Table.Td>
                    <Table.Td>{t.roles[token.role]}</Table.Td>
                    <Table.Td fz="xs">
                      {isSet(token.expiresAt) ? dateTime(token.expiresAt, language) : t.common.never}
                    </Table.Td>
                    <Table.Td ta="right">
                      <Button
                        size="compact-xs"
                        variant="default"
                        aria-label={t.settings.revokeToken(token.id)}
                        onClick={() => revoke.mutate(token.id)}
                      >
                        {t.settings.revoke}
                      </Button>
                    </Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </Table.ScrollContainer>
        )}
      </Stack>
    </Card>
  );
}
