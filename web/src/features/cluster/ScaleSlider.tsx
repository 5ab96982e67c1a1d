import { Button, Group, Slider, Text } from '@mantine/core';
import { useState } from 'react';
import { useSpeech } from '@/lib/i18n';
import { useClusterPage } from './context';

/** The wanted number of brokers; letting go proposes the change. */
export function ScaleSlider() {
  const { t } = useSpeech();
  const { cluster, propose } = useClusterPage();
  const now = cluster.brokers?.length ?? 1;
  const [wanted, want] = useState<number | null>(null);
  const value = wanted ?? now;
  const top = Math.max(9, now + 4);
  const changed = value !== now;
  return (
    <Group gap="md" wrap="nowrap" align="center">
      <Text fz="xs" c="dimmed" fw={600} visibleFrom="xs" style={{ whiteSpace: 'nowrap' }}>
        {t.brokers.scale}
      </Text>
      <Slider
        w={{ base: 120, sm: 200 }}
        min={1}
        max={top}
        step={1}
        value={value}
        onChange={want}
        marks={[{ value: now }]}
        label={(v) => v}
        thumbLabel={t.brokers.scale}
        data-testid="scale"
      />
      <Text fw={650} fz="lg" className="weir-number" w={22} ta="right">
        {value}
      </Text>
      <Button
        size="xs"
        variant={changed ? 'filled' : 'default'}
        disabled={!changed}
        onClick={() => {
          propose({ kind: 'scale', brokers: value });
          want(null);
        }}
      >
        {t.brokers.scaleTo(value)}
      </Button>
    </Group>
  );
}
