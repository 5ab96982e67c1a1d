import { describe, expect, it } from 'vitest';
import type { Operation, Step } from '@/api/types';
import { secondsLeft, share } from './progress';

const step = (kind: string, state: Step['state'], bytesDone = 0, bytesTotal = 0, left = -1): Step => ({
  name: kind,
  kind,
  args: {},
  state,
  attempts: 1,
  progress: { bytesDone, bytesTotal, secondsLeft: left },
});

const operation = (steps: Step[], more: Partial<Operation> = {}): Operation => ({
  id: 'op-1',
  cluster: 'c-1',
  kind: 'scale',
  actor: 'ada',
  state: 'RUNNING',
  plan: {
    summary: '',
    steps: [],
    partitionsToMove: 0,
    bytesToMove: 0,
    estimatedSeconds: 100,
    restarts: 0,
    risks: [],
    undo: '',
  },
  steps,
  log: [],
  createdAt: '2026-01-01T00:00:00Z',
  startedAt: '2026-01-01T00:00:00Z',
  revision: 1,
  ...more,
});

describe('how far an operation is', () => {
  it('counts bytes of the step that moves them', () => {
    const half = operation([step('start-broker', 'SUCCEEDED'), step('reassign', 'RUNNING', 50, 100)]);
    expect(share(half)).toBeCloseTo((1 + 3) / 7);
  });
  it('never goes beyond the end', () => {
    expect(share(operation([step('reassign', 'RUNNING', 300, 100)]))).toBe(1);
  });
  it('is whole when done, whatever the steps say', () => {
    expect(share(operation([step('x', 'PENDING')], { state: 'SUCCEEDED' }))).toBe(1);
  });
});

describe('the time that is left', () => {
  const now = new Date('2026-01-01T00:01:00Z');
  it('is the step’s own when it moves data', () => {
    expect(secondsLeft(operation([step('reassign', 'RUNNING', 1, 2, 33)]), now)).toBe(33);
  });
  it('else what the plan promised', () => {
    expect(secondsLeft(operation([step('start-broker', 'RUNNING')]), now)).toBe(40);
  });
  it('is unknown once the plan was wrong', () => {
    expect(
      secondsLeft(operation([step('start-broker', 'RUNNING')]), new Date('2026-01-01T01:00:00Z')),
    ).toBeUndefined();
  });
});
