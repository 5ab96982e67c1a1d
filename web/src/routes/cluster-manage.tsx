import { Button, Group, Stack, Table, Text, TextInput, Title } from '@mantine/core';
import { useState } from 'react';
import { useClusterPage } from '@/features/cluster/context';
import { engineLabel } from '@/lib/engine';
import { bytes, dateTime } from '@/lib/format';
import { useSpeech } from '@/lib/i18n';
import { Card } from '@/ui/Card';
import { CodeBlock } from '@/ui/Code';
import { Note } from '@/ui/States';

export function ClusterManage() {
  const { t, language } = useSpeech();
  const { cluster } = useClusterPage();
  const first = cluster.brokers?.[0];
  const rows: [string, string][] = [
    [t.create.profile, t.create.profiles[cluster.profile]?.title ?? cluster.profile],
    [t.create.engine, engineLabel(t, cluster)],
    [t.create.memory, first ? bytes(first.memoryBytes) : '–'],
    [t.create.disk, first ? bytes(first.diskBytes) : '–'],
    ['cluster.id', cluster.kafkaClusterId],
    [t.common.created, dateTime(cluster.createdAt, language)],
    ...Object.entries(cluster.settings ?? {}),
  ];
  return (
    <Stack gap="lg">
      <Card title={t.manage.configuration}>
        <Table variant="vertical" layout="fixed">
          <Table.Tbody>
            {rows.map(([name, value]) => (
              <Table.Tr key={name}>
                <Table.Th w={220}>{name}</Table.Th>
                <Table.Td style={{ overflowWrap: 'anywhere' }}>{value}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Card>
      <Card title={t.manage.exportTitle} subtitle={t.manage.exportText}>
        <CodeBlock code={`weir cluster export ${cluster.name} ./${cluster.name}`} label={t.common.cli} />
      </Card>
      <DangerZone />
    </Stack>
  );
}

function DangerZone() {
  const { t } = useSpeech();
  const { cluster, propose, mayOperate, isAdmin } = useClusterPage();
  const [typed, type] = useState('');
  const stopped = cluster.state === 'STOPPED';
  const role = isAdmin ? t.roles.admin : mayOperate ? t.roles.operator : t.roles.viewer;
  return (
    <section
      className="weir-card"
      style={{ padding: 20, borderColor: 'var(--weir-bad-solid)' }}
      aria-labelledby="danger"
    >
      <Title order={2} fz="md" id="danger" c="var(--weir-bad)" mb="md">
        {t.manage.danger}
      </Title>
      <Stack gap="lg">
        <Group justify="space-between" gap="md">
          <div>
            <Text fw={600}>{stopped ? t.manage.startTitle : t.manage.stopTitle}</Text>
            <Text fz="sm" c="dimmed">
              {stopped ? t.manage.startText : t.manage.stopText}
            </Text>
          </div>
          <Button
            variant="default"
            disabled={!mayOperate}
            onClick={() => propose({ kind: stopped ? 'start' : 'stop' })}
          >
            {stopped ? t.manage.startTitle : t.manage.stopTitle}
          </Button>
        </Group>
        <Group justify="space-between" align="flex-end" gap="md">
          <div style={{ flex: '1 1 300px' }}>
            <Text fw={600}>{t.manage.deleteTitle}</Text>
            <Text fz="sm" c="dimmed">
              {t.manage.deleteText}
            </Text>
            <TextInput
              mt="sm"
              maw={360}
              label={t.manage.deleteConfirm(cluster.name)}
              value={typed}
              onChange={(e) => type(e.currentTarget.value)}
              autoComplete="off"
              spellCheck={false}
              disabled={!isAdmin}
            />
          </div>
          <Button
            color="red.9"
            disabled={!isAdmin || typed !== cluster.name}
            onClick={() => propose({ kind: 'delete' })}
            data-testid="delete"
          >
            {t.manage.deleteTitle}
          </Button>
        </Group>
        {!isAdmin && <Note tone="warn">{t.errors.forbiddenHelp(t.roles.admin, role)}</Note>}
      </Stack>
    </section>
  );
}
