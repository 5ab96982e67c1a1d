import { Group, Table, Text, VisuallyHidden } from '@mantine/core';
import { useState } from 'react';
import type { Broker } from '@/api/types';
import { bytes, duration } from '@/lib/format';
import { useSpeech } from '@/lib/i18n';
import { Card } from '@/ui/Card';
import { fillTone, Meter } from '@/ui/Meter';
import { StatusBadge } from '@/ui/Status';
import { useNow } from '@/ui/useNow';
import { BrokerLog } from './BrokerLog';
import { BrokerMenu } from './BrokerMenu';
import { useClusterPage } from './context';
import { brokerState, isSet, seen } from './health';
import { ScaleSlider } from './ScaleSlider';

/** Brokers as they are, each with its actions, and the slider for their number. */
export function BrokersCard() {
  const { t } = useSpeech();
  const { cluster, mayOperate } = useClusterPage();
  const [log, showLog] = useState<number | null>(null);
  const c = t.brokers.columns;
  const racks = cluster.brokers?.some((b) => b.rack);
  return (
    <Card
      title={t.brokers.title}
      wrap
      right={
        mayOperate && cluster.state !== 'STOPPED' && cluster.state !== 'CREATING' ? (
          <ScaleSlider />
        ) : undefined
      }
    >
      <Table.ScrollContainer minWidth={720} type="native">
        <Table verticalSpacing="sm" horizontalSpacing="sm">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>{c.broker}</Table.Th>
              <Table.Th>{c.state}</Table.Th>
              {racks && <Table.Th>{c.rack}</Table.Th>}
              <Table.Th ta="right">{c.leaders}</Table.Th>
              <Table.Th ta="right">{c.replicas}</Table.Th>
              <Table.Th w={190}>{c.disk}</Table.Th>
              <Table.Th ta="right">{c.uptime}</Table.Th>
              <Table.Th ta="right">{c.port}</Table.Th>
              <Table.Th>
                <VisuallyHidden>{t.brokers.columns.actions}</VisuallyHidden>
              </Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {(cluster.brokers ?? []).map((b) => (
              <Row key={b.id} broker={b} racks={Boolean(racks)} onLog={() => showLog(b.id)} />
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      <BrokerLog cluster={cluster.name} broker={log} onClose={() => showLog(null)} />
    </Card>
  );
}

function Row({ broker, racks, onLog }: { broker: Broker; racks: boolean; onLog: () => void }) {
  const { t, language } = useSpeech();
  const { cluster } = useClusterPage();
  const now = useNow(5000);
  const b = seen(cluster, broker.id);
  const { state, tone } = brokerState(cluster, broker.id);
  const used = b?.diskUsedBytes ?? 0;
  const part = used / broker.diskBytes;
  const known = b && cluster.observation?.reachable;
  const up =
    b?.processAlive && isSet(b.startedAt)
      ? (now.getTime() - new Date(b.startedAt).getTime()) / 1000
      : undefined;
  return (
    <Table.Tr data-broker={broker.id} data-state={state}>
      <Table.Td>
        <Group gap={8} wrap="nowrap">
          <Text fw={600} fz="sm" style={{ whiteSpace: 'nowrap' }}>
            {t.brokers.broker(broker.id)}
          </Text>
          {broker.controller && (
            <Text
              fz={11}
              c="dimmed"
              px={6}
              style={{ border: '1px solid var(--weir-line)', borderRadius: 6, whiteSpace: 'nowrap' }}
            >
              {t.brokers.controller}
            </Text>
          )}
        </Group>
      </Table.Td>
      <Table.Td>
        <StatusBadge tone={tone}>{t.cluster.stateOf[state]}</StatusBadge>
      </Table.Td>
      {racks && <Table.Td style={{ whiteSpace: 'nowrap' }}>{broker.rack}</Table.Td>}
      <Table.Td ta="right" className="weir-number">
        {known ? b.leaders : '–'}
      </Table.Td>
      <Table.Td ta="right" className="weir-number">
        {known ? b.replicas : '–'}
      </Table.Td>
      <Table.Td>
        <Meter
          value={part}
          tone={fillTone(part)}
          label={`${t.brokers.columns.disk}: ${t.brokers.broker(broker.id)}`}
          size={6}
        />
        <Text fz={11} c="dimmed" mt={3} className="weir-number">
          {t.brokers.diskUse(bytes(used), bytes(broker.diskBytes))}
        </Text>
      </Table.Td>
      <Table.Td ta="right" className="weir-number" style={{ whiteSpace: 'nowrap' }}>
        {up === undefined ? '–' : duration(up, language)}
      </Table.Td>
      <Table.Td ta="right" className="weir-number">
        {broker.clientPort}
      </Table.Td>
      <Table.Td ta="right" w={48}>
        <BrokerMenu id={broker.id} onLog={onLog} />
      </Table.Td>
    </Table.Tr>
  );
}
