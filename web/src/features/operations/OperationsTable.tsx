import { Button, Group, Table, Text } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { ListChecks } from 'lucide-react';
import { useState } from 'react';
import { useOperations } from '@/api/hooks';
import type { Operation } from '@/api/types';
import { ago, dateTime, duration } from '@/lib/format';
import { useSpeech } from '@/lib/i18n';
import { Card } from '@/ui/Card';
import { Meter } from '@/ui/Meter';
import { Empty, ErrorState, Loading } from '@/ui/States';
import { StatusBadge, toneOf } from '@/ui/Status';
import { useNow } from '@/ui/useNow';
import { isOver, share, tookSeconds } from './progress';

/** What was done to a cluster, the newest first. */
export function OperationsTable({ cluster }: { cluster: string }) {
  const { t } = useSpeech();
  const [limit, setLimit] = useState(25);
  const operations = useOperations(cluster, limit);
  const list = operations.data ?? [];
  const c = t.operations.columns;
  return (
    <Card title={t.operations.title}>
      {operations.isPending && <Loading rows={3} height={44} />}
      {operations.isError && <ErrorState error={operations.error} onRetry={() => operations.refetch()} />}
      {operations.data && list.length === 0 && <Empty icon={ListChecks} title={t.operations.empty} />}
      {list.length > 0 && (
        <Table.ScrollContainer minWidth={640} type="native">
          <Table verticalSpacing="sm" highlightOnHover>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>{c.what}</Table.Th>
                <Table.Th>{c.state}</Table.Th>
                <Table.Th>{c.actor}</Table.Th>
                <Table.Th>{c.when}</Table.Th>
                <Table.Th ta="right">{c.took}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {list.map((op) => (
                <Row key={op.id} operation={op} />
              ))}
            </Table.Tbody>
          </Table>
        </Table.ScrollContainer>
      )}
      {list.length === limit && (
        <Group justify="center" mt="md">
          <Button variant="default" size="xs" onClick={() => setLimit(limit + 50)}>
            {t.common.more}
          </Button>
        </Group>
      )}
    </Card>
  );
}

function Row({ operation: op }: { operation: Operation }) {
  const { t, say, language } = useSpeech();
  const now = useNow();
  const took = tookSeconds(op, now);
  return (
    <Table.Tr>
      <Table.Td>
        <Text
          component={Link}
          to={`/operations/${op.id}`}
          fw={600}
          fz="sm"
          c="var(--weir-accent)"
          style={{ textDecoration: 'none' }}
        >
          {t.operations.kinds[op.kind] ?? op.kind}
        </Text>
        <Text fz="xs" c="dimmed">
          {say(op.plan.summary)}
        </Text>
      </Table.Td>
      <Table.Td w={150}>
        <StatusBadge tone={toneOf(op.state)}>{t.states[op.state]}</StatusBadge>
        {!isOver(op) && (
          <div style={{ marginTop: 6 }}>
            <Meter value={share(op)} label={t.operations.progress} size={5} />
          </div>
        )}
      </Table.Td>
      <Table.Td fz="sm">{op.actor === 'healing' ? t.operations.healing : op.actor}</Table.Td>
      <Table.Td fz="sm" title={dateTime(op.createdAt, language)} style={{ whiteSpace: 'nowrap' }}>
        {ago(op.createdAt, now, language)}
      </Table.Td>
      <Table.Td fz="sm" ta="right" className="weir-number" style={{ whiteSpace: 'nowrap' }}>
        {took === undefined ? '–' : duration(took, language)}
      </Table.Td>
    </Table.Tr>
  );
}
