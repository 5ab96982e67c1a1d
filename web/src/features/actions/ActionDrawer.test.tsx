import { cleanup, screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { rememberSession } from '@/api/client';
import type { Plan, Role } from '@/api/types';
import { answering, show } from '@/testing';
import { ActionDrawer } from './ActionDrawer';

const plan: Plan = {
  summary: 'Stop broker 2',
  steps: [{ kind: 'stop-broker', title: 'Stop broker 2', args: {} }],
  partitionsToMove: 0,
  bytesToMove: 0,
  estimatedSeconds: 5,
  restarts: 0,
  risks: ['9 partitions have one replica fewer in sync meanwhile; they go on serving'],
  undo: 'Start the broker again.',
};

const session = (role: Role) => ({ body: { name: 'ada', role, csrf: 'word' } });
const service = (role: Role, more: Partial<Plan> = {}) => ({
  'GET /session': session(role),
  'POST /clusters/orders/plan': { body: { ...plan, ...more } },
  'POST /clusters/orders/operations': { status: 202, body: { id: 'op-1', kind: 'stop-broker' } },
});

afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
  rememberSession(null);
});

const drawer = (onStarted = vi.fn()) => (
  <ActionDrawer
    cluster="orders"
    change={{ kind: 'stop-broker', broker: 2 }}
    onClose={() => {}}
    onStarted={onStarted}
  />
);

describe('a change', () => {
  it('runs only after its plan was shown, with the word of the session', async () => {
    const asked = answering(service('operator'));
    const started = vi.fn();
    show(drawer(started));
    const run = await screen.findByTestId('run-plan');
    await screen.findByText('Start the broker again.');
    expect(asked.some((a) => a.path.endsWith('/operations'))).toBe(false);
    await waitFor(() => expect(run).toHaveProperty('disabled', false));
    await userEvent.click(run);
    await waitFor(() => expect(started).toHaveBeenCalledOnce());
    const sent = asked.find((a) => a.path.endsWith('/operations'));
    expect(JSON.parse(sent?.body ?? '')).toEqual({ kind: 'stop-broker', broker: 2 });
    expect(sent?.csrf).toBe('word');
  });

  it('that cannot be done says why and cannot be run', async () => {
    answering(
      service('admin', { impossible: 'only 1 of 3 controllers would be left, and 2 are needed', steps: [] }),
    );
    show(drawer(), 'ko');
    await screen.findByText(/컨트롤러 3개 중 1개만 남습니다/);
    expect(await screen.findByTestId('run-plan')).toHaveProperty('disabled', true);
  });

  it('is not for somebody who may only look, who is told the role it takes', async () => {
    answering(service('viewer'));
    show(drawer());
    await screen.findByText('It needs the role operator; yours is viewer.');
    expect(await screen.findByTestId('run-plan')).toHaveProperty('disabled', true);
  });

  it('whose plan cannot be had says so and offers to try again', async () => {
    answering({
      ...service('admin'),
      'POST /clusters/orders/plan': { status: 500, body: { title: 'Internal', detail: 'the disk is gone' } },
    });
    show(drawer());
    await screen.findByText('the disk is gone');
    await screen.findByRole('button', { name: 'Try again' });
  });
});
