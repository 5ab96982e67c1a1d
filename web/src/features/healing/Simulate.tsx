import { Button, Chip, Group, SimpleGrid, Stack, Text } from '@mantine/core';
import { FlaskConical } from 'lucide-react';
import { useState } from 'react';
import type { ClusterView } from '@/api/types';
import { send, useWrite } from '@/api/writes';
import { useSpeech } from '@/lib/i18n';
import { Card } from '@/ui/Card';
import { ErrorNote, Note } from '@/ui/States';
import classes from './healing.module.css';

/** What the failure of brokers would do; nothing is touched. */
export function Simulate({ cluster }: { cluster: ClusterView }) {
  const { t, say } = useSpeech();
  const [chosen, choose] = useState<string[]>([]);
  const simulate = useWrite(send.simulate(cluster.name), { touches: [] });
  const found = simulate.data;
  return (
    <Card title={t.simulate.title} subtitle={t.simulate.subtitle}>
      <Stack gap="md">
        <Chip.Group
          multiple
          value={chosen}
          onChange={(v) => {
            choose(v);
            simulate.reset();
          }}
        >
          <Group gap="xs" role="group" aria-label={t.simulate.choose}>
            {(cluster.brokers ?? []).map((b) => (
              <Chip key={b.id} value={String(b.id)} size="sm" radius="md">
                {t.brokers.broker(b.id)}
              </Chip>
            ))}
          </Group>
        </Chip.Group>
        <div>
          <Button
            leftSection={<FlaskConical size={16} />}
            variant="default"
            disabled={chosen.length === 0}
            loading={simulate.isPending}
            onClick={() => simulate.mutate(chosen.map(Number))}
          >
            {t.simulate.run}
          </Button>
        </div>
        <ErrorNote error={simulate.error} />
        {found && (
          <Stack gap="md" aria-live="polite">
            <Note
              tone={found.offline > 0 || found.quorumLost ? 'bad' : found.underMinISR > 0 ? 'warn' : 'ok'}
            >
              {say(found.sentence)}
            </Note>
            <SimpleGrid cols={3} spacing="xs">
              {(
                [
                  [found.offline, t.simulate.offline],
                  [found.underMinISR, t.simulate.underMin],
                  [found.underReplicated, t.simulate.under],
                ] as const
              ).map(([n, label]) => (
                <div key={label} className={classes.number}>
                  <Text fw={650} fz={22} lh={1.2} className="weir-number">
                    {n}
                  </Text>
                  <Text fz="xs" c="dimmed">
                    {label}
                  </Text>
                </div>
              ))}
            </SimpleGrid>
            {found.quorumLost && (
              <Text fz="sm">
                <b>{t.simulate.quorum}:</b> {say(found.quorumLost)}
              </Text>
            )}
            {(found.examples?.length ?? 0) > 0 && (
              <Text fz="sm" c="dimmed">
                {t.simulate.examples}: {found.examples?.join(', ')}
              </Text>
            )}
            {found.action && (
              <Text fz="sm">
                <b>
                  {t.simulate.wouldDo}: {t.healing.choices[found.action] ?? found.action}.
                </b>{' '}
                {say(found.why)}
              </Text>
            )}
          </Stack>
        )}
      </Stack>
    </Card>
  );
}
