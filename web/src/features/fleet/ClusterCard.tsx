import { Box, Group, SimpleGrid, Stack, Text, Title } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { Lock, LockOpen } from 'lucide-react';
import type { ClusterView } from '@/api/types';
import { engineLabel } from '@/lib/engine';
import { bytes } from '@/lib/format';
import { useSpeech } from '@/lib/i18n';
import { fillTone, Meter } from '@/ui/Meter';
import { StatusBadge, StatusIcon } from '@/ui/Status';
import { brokerState, brokersUp, diskShare, toneOfCluster } from '../cluster/health';
import { useHealthSentence } from '../cluster/useHealthSentence';
import { OperationLine } from '../operations/OperationLine';
import { TrafficSpark } from '../panels/TrafficSpark';
import classes from './fleet.module.css';

/** A cluster on the fleet page; the whole card leads to it. */
export function ClusterCard({ cluster }: { cluster: ClusterView }) {
  const { t } = useSpeech();
  const sentence = useHealthSentence(cluster);
  const tone = toneOfCluster(cluster);
  const total = cluster.brokers?.length ?? 0;
  const disk = diskShare(cluster);
  const share = disk.of > 0 ? disk.used / disk.of : 0;
  return (
    <Box component="article" className={`weir-card ${classes.card}`} p="lg" data-cluster={cluster.name}>
      <Stack gap="md">
        <Group justify="space-between" wrap="nowrap" align="flex-start">
          <Group gap="sm" wrap="nowrap" miw={0}>
            <StatusIcon tone={tone} size={22} />
            <div style={{ minWidth: 0 }}>
              <Title order={2} fz={18} lh={1.25}>
                <Link to="/c/$cluster" params={{ cluster: cluster.name }} className={classes.link}>
                  {cluster.name}
                </Link>
              </Title>
              <Text fz="xs" c="dimmed">
                {engineLabel(t, cluster)}
              </Text>
            </div>
          </Group>
          <StatusBadge tone={tone}>{t.states[cluster.state]}</StatusBadge>
        </Group>

        <Text fz="sm" lineClamp={2} mih="2.6em">
          {sentence}
        </Text>

        <SimpleGrid cols={2} spacing="md">
          <div>
            <Text fz="xs" c="dimmed" fw={600} mb={6}>
              {t.fleet.brokers}
            </Text>
            <Group gap={8} wrap="nowrap">
              <Text
                fw={650}
                fz="lg"
                lh={1}
                className="weir-number"
                aria-label={t.fleet.brokersUp(brokersUp(cluster), total)}
              >
                {brokersUp(cluster)}
                <Text span c="dimmed" fz="sm" fw={500}>
                  {' '}
                  / {total}
                </Text>
              </Text>
              <Group gap={4} aria-hidden>
                {(cluster.brokers ?? []).slice(0, 12).map((b) => (
                  <span
                    key={b.id}
                    className={classes.pip}
                    style={{ background: `var(--weir-${brokerState(cluster, b.id).tone}-solid)` }}
                  />
                ))}
              </Group>
            </Group>
          </div>
          <Meter
            value={share}
            tone={fillTone(share)}
            label={t.fleet.disk}
            right={`${bytes(disk.used)} / ${bytes(disk.of)}`}
          />
        </SimpleGrid>

        <TrafficSpark cluster={cluster} />

        {cluster.operation ? (
          <OperationLine operation={cluster.operation} />
        ) : (
          <Group gap={6} c={cluster.secured ? 'dimmed' : 'var(--weir-warn)'}>
            {cluster.secured ? <Lock size={14} aria-hidden /> : <LockOpen size={14} aria-hidden />}
            <Text fz="xs" c="inherit">
              {cluster.secured ? t.fleet.secured : t.fleet.unsecured}
            </Text>
          </Group>
        )}
      </Stack>
    </Box>
  );
}
