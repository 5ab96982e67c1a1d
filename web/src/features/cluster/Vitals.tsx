import { SimpleGrid, Text, UnstyledButton } from '@mantine/core';
import { useState } from 'react';
import type { PartitionState } from '@/api/hooks-more';
import { bytes } from '@/lib/format';
import { useSpeech } from '@/lib/i18n';
import { Dot, type Tone } from '@/ui/Status';
import { useClusterPage } from './context';
import { brokersUp } from './health';
import { Partitions } from './Partitions';
import classes from './vitals.module.css';

/** The four numbers that say whether anybody is hurt; those of partitions lead to them. */
export function Vitals() {
  const { t } = useSpeech();
  const { cluster } = useClusterPage();
  const [shown, show] = useState<PartitionState | 'all' | null>(null);
  const { counts } = cluster;
  const up = brokersUp(cluster);
  const of = cluster.brokers?.length ?? 0;
  const v = t.cluster.vitals;
  const off = cluster.state === 'STOPPED';
  const tone = (bad: boolean, worse: Tone): Tone => (off ? 'off' : bad ? worse : 'ok');
  return (
    <>
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
          onOpen={() => show(counts.offline > 0 ? 'offline' : 'all')}
        />
        <Tile
          label={v.under}
          tone={tone(counts.underReplicated > 0, counts.underMinISR > 0 ? 'bad' : 'warn')}
          value={`${counts.underReplicated}`}
          more={v.underMin(counts.underMinISR)}
          name="under"
          onOpen={() => show('under-replicated')}
        />
        <Tile
          label={v.data}
          tone={off ? 'off' : 'run'}
          value={bytes(counts.bytes)}
          more={v.topics(counts.topics, counts.partitions)}
          name="data"
          onOpen={() => show('all')}
        />
      </SimpleGrid>
      <Partitions cluster={cluster.name} shown={shown} onShow={show} />
    </>
  );
}

interface TileProps {
  label: string;
  value: string;
  of?: string;
  more: string;
  tone: Tone;
  name: string;
  onOpen?: () => void;
}

function Tile({ label, value, of, more, tone, name, onOpen }: TileProps) {
  const { t } = useSpeech();
  const inside = (
    <>
      <Text fz="xs" c="dimmed" fw={600} className={classes.label}>
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
    </>
  );
  const shared = {
    className: `weir-card ${classes.tile}`,
    style: { borderTopColor: `var(--weir-${tone}-solid)` },
    'data-vital': name,
  };
  if (!onOpen) return <div {...shared}>{inside}</div>;
  return (
    <UnstyledButton {...shared} data-opens onClick={onOpen} title={t.partitions.open}>
      {inside}
    </UnstyledButton>
  );
}
