import { Box, Group, Text } from '@mantine/core';
import type { ReactNode } from 'react';
import type { Tone } from './Status';

/** A bar that says how much of something is used or done, 0 to 1; null while nobody can tell. */
export function Meter({
  value,
  label,
  right,
  tone = 'run',
  size = 8,
}: {
  value: number | null;
  label: string;
  right?: ReactNode;
  tone?: Tone;
  size?: number;
}) {
  const percent = value === null ? null : Math.round(Math.min(1, Math.max(0, value)) * 100);
  return (
    <div>
      {right !== undefined && (
        <Group justify="space-between" mb={5} gap="xs">
          <Text fz="xs" c="dimmed" fw={600}>
            {label}
          </Text>
          <Text fz="xs" className="weir-number" component="div">
            {right}
          </Text>
        </Group>
      )}
      <Box
        role="progressbar"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={percent ?? undefined}
        style={{ height: size, borderRadius: size, background: 'var(--weir-off-bg)', overflow: 'hidden' }}
      >
        <Box
          className={percent === null ? 'weir-pulse' : undefined}
          style={{
            height: '100%',
            width: `${percent ?? 100}%`,
            minWidth: percent ? size : 0,
            opacity: percent === null ? 0.5 : 1,
            borderRadius: size,
            background: `var(--weir-${tone}-solid)`,
            transition: 'width 400ms ease',
          }}
        />
      </Box>
    </div>
  );
}

/** Full disks are bad before they are full. */
export function fillTone(part: number): Tone {
  return part >= 0.85 ? 'bad' : part >= 0.7 ? 'warn' : 'run';
}
