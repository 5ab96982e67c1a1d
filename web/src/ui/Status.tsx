import { Box, Group, Text } from '@mantine/core';
import {
  AlertTriangle,
  CheckCircle2,
  CircleDashed,
  type LucideIcon,
  MinusCircle,
  XCircle,
} from 'lucide-react';
import type { ReactNode } from 'react';

export type Tone = 'ok' | 'warn' | 'bad' | 'off' | 'run';

const icons: Record<Tone, LucideIcon> = {
  ok: CheckCircle2,
  warn: AlertTriangle,
  bad: XCircle,
  off: MinusCircle,
  run: CircleDashed,
};

const stateTones: Record<string, Tone> = {
  ACTIVE: 'ok',
  SUCCEEDED: 'ok',
  DEGRADED: 'warn',
  FAILED: 'bad',
  STOPPED: 'off',
  CANCELLED: 'off',
  SKIPPED: 'off',
  PENDING: 'off',
};

/** The tone of a state of a cluster, an operation or a step. */
export function toneOf(state: string): Tone {
  return stateTones[state] ?? 'run';
}

export function StatusIcon({ tone, size = 18 }: { tone: Tone; size?: number }) {
  const Icon = icons[tone];
  return <Icon size={size} color={`var(--weir-${tone})`} aria-hidden strokeWidth={2.2} />;
}

/** A state in a word, told by icon and colour too. */
export function StatusBadge({ tone, children }: { tone: Tone; children: ReactNode }) {
  const Icon = icons[tone];
  return (
    <Group
      component="span"
      gap={5}
      wrap="nowrap"
      px={9}
      py={3}
      style={{
        display: 'inline-flex',
        borderRadius: 999,
        background: `var(--weir-${tone}-bg)`,
        color: `var(--weir-${tone})`,
        whiteSpace: 'nowrap',
        width: 'fit-content',
      }}
    >
      <Icon size={13} aria-hidden strokeWidth={2.4} className={tone === 'run' ? 'weir-pulse' : undefined} />
      <Text component="span" fz={12} fw={600} lh={1.3} c="inherit">
        {children}
      </Text>
    </Group>
  );
}

export function Dot({ tone }: { tone: Tone }) {
  return (
    <Box
      component="span"
      className={tone === 'run' ? 'weir-pulse' : undefined}
      style={{
        width: 9,
        height: 9,
        borderRadius: 99,
        background: `var(--weir-${tone}-solid)`,
        flex: 'none',
        display: 'inline-block',
      }}
      aria-hidden
    />
  );
}
