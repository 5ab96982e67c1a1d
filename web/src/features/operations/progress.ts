import type { Operation, Step } from '@/api/types';

/** The share of an operation that is done, 0 to 1: steps, the running one by its bytes. */
export function share(op: Operation): number {
  const steps = op.steps ?? [];
  if (op.state === 'SUCCEEDED') return 1;
  if (steps.length === 0) return 0;
  const weights = steps.map(weight);
  const all = weights.reduce((a, b) => a + b, 0);
  const done = steps.reduce((sum, s, i) => sum + (weights[i] ?? 0) * stepShare(s), 0);
  return all > 0 ? done / all : 0;
}

// Steps that move data take most of the time.
function weight(s: Step): number {
  return s.kind === 'reassign' || s.progress.bytesTotal > 0 ? 6 : 1;
}

function stepShare(s: Step): number {
  if (s.state === 'SUCCEEDED' || s.state === 'SKIPPED') return 1;
  if (s.state !== 'RUNNING') return 0;
  return s.progress.bytesTotal > 0 ? Math.min(1, s.progress.bytesDone / s.progress.bytesTotal) : 0.3;
}

export function running(op: Operation): { step: Step; number: number } | undefined {
  const steps = op.steps ?? [];
  const i = steps.findIndex((s) => s.state === 'RUNNING');
  const step = steps[i];
  return step ? { step, number: i + 1 } : undefined;
}

export function isOver(op: Operation): boolean {
  return op.state === 'SUCCEEDED' || op.state === 'FAILED' || op.state === 'CANCELLED';
}

/** Seconds that remain, undefined while nobody can tell. */
export function secondsLeft(op: Operation, now: Date): number | undefined {
  const left = running(op)?.step.progress.secondsLeft;
  if (left !== undefined && left >= 0 && (running(op)?.step.progress.bytesTotal ?? 0) > 0) return left;
  if (!op.startedAt || !op.plan.estimatedSeconds) return undefined;
  const spent = (now.getTime() - new Date(op.startedAt).getTime()) / 1000;
  const rest = op.plan.estimatedSeconds - spent;
  return rest > 0 ? rest : undefined;
}

export function tookSeconds(op: { startedAt?: string; endedAt?: string }, now: Date): number | undefined {
  if (!op.startedAt) return undefined;
  return (new Date(op.endedAt ?? now).getTime() - new Date(op.startedAt).getTime()) / 1000;
}
