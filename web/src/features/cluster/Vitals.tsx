import { SimpleGrid, Text } from '@mantine/core';
import type { ReactNode } from 'react';
import { bytes } from '@/lib/format';
import { useSpeech } from '@/lib/i18n';
import { Dot, type Tone } from '@/ui/Status';
import { useClusterPage } from './context';
import { brokersUp } from './health';

/** The four numbers that say whether anybody is hurt. */
export function Vitals() {
  const { t } = useSpeech();
  const { cluster } = useClusterPage();
  const { counts } = cluster;
  const up = brokersUp(cluster);
  const of = cluster.brokers?.length ?? 0;
  const v = t.cluster.vitals;
  const off = cluster.state === 'STOPPED';
  const tone = (bad: boolean, worse: Tone): Tone => (off ? 'off' : bad ? worse : 'ok');
  return (
    <SimpleGrid cols={{ base: 2, md: 4 }} spacing="md">
      <Tile
        label={v.brokers}
        tone={tone(up < of, up === 0 ? 'bad' : 'warn')}
        value={`${up}`}
        of={` / ${of}`}
        more={up < of ? '' : v.good}
        name="brokers"
      />
      <Tile
        label={v.offline}
        tone={tone(counts.offline > 0, 'bad')}
        value={`${counts.offline}`}
        more={counts.offline > 0 ? v.noUse : v.ofPartitions(counts.partitions)}
        name="offline"
      />
      <Tile
        label={v.under}
        tone={tone(counts.underReplicated > 0, counts.underMinISR > 0 ? 'bad' : 'warn')}
        value={`${counts.underReplicated}`}
        more={v.underMin(counts.underMinISR)}
        name="under"
      />
      <Tile
        label={v.data}
        tone={off ? 'off' : 'run'}
        value={bytes(counts.bytes)}
        more={v.topics(counts.topics, counts.partitions)}
        name="data"
      />
    </SimpleGrid>
  );
}

function Tile({
  label,
  value,
  of,
  more,
  tone,
  name,
}: {
  label: string;
  value: string;
  of?: string;
  more: ReactNode;
  tone: Tone;
  name: string;
}) {
  return (
    <div
      className="weir-card"
      style={{ padding: '14px 18px', borderTop: `3px solid var(--weir-${tone}-solid)` }}
      data-vital={name}
    >
      <Text fz="xs" c="dimmed" fw={600} style={{ display: 'flex', gap: 7, alignItems: 'center' }}>
        <Dot tone={tone} />
        {label}
      </Text>
      <Text
        fz={28}
        fw={650}
        lh={1.25}
        mt={4}
        className="weir-number"
        c={tone === 'bad' ? 'var(--weir-bad)' : undefined}
      >
        {value}
        {of && (
          <Text span fz={16} c="dimmed" fw={500}>
            {of}
          </Text>
        )}
      </Text>
      <Text fz="xs" c="dimmed" mih="1.5em">
        {more}
      </Text>
    </div>
  );
}
