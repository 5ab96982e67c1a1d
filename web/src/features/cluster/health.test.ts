import { describe, expect, it } from 'vitest';
import type { BrokerObservation, ClusterView, Operation } from '@/api/types';
import { brokerState, brokersUp, diskShare, toneOfCluster } from './health';

const broker = (more: Partial<BrokerObservation> = {}): BrokerObservation => ({
  id: 1,
  processAlive: true,
  dataDirPresent: true,
  diskUsedBytes: 5,
  registered: true,
  fenced: false,
  leaders: 1,
  replicas: 1,
  bytes: 1,
  startedAt: '2026-01-01T00:00:00Z',
  ...more,
});

const cluster = (seen: BrokerObservation[], more: Partial<ClusterView> = {}): ClusterView =>
  ({
    state: 'ACTIVE',
    healthLevel: 'ok',
    brokers: seen.map(({ id }) => ({ id, diskBytes: 10 })),
    observation: { at: '2026-01-01T00:00:00Z', reachable: true, brokers: seen },
    ...more,
  }) as ClusterView;

describe('a broker', () => {
  it.each([
    ['running', broker()],
    ['down', broker({ processAlive: false })],
    ['noData', broker({ processAlive: false, dataDirPresent: false })],
    ['starting', broker({ unresponsiveSince: '2026-01-01T00:00:01Z' })], // since it began
    ['unresponsive', broker({ unresponsiveSince: '2026-01-01T00:00:30Z' })],
    [
      'unresponsive',
      broker({ startedAt: '2025-12-31T23:00:00Z', unresponsiveSince: '2025-12-31T23:00:01Z' }),
    ],
    ['running', broker({ unresponsiveSince: '0001-01-01T00:00:00Z' })], // Go's zero time
    ['fenced', broker({ fenced: true })],
    ['starting', broker({ registered: false })],
  ])('is %s', (state, seen) => expect(brokerState(cluster([seen]), 1).state).toBe(state));

  it('that a person stopped is not ill', () => {
    const c = cluster([broker({ processAlive: false })]);
    if (c.brokers[0]) c.brokers[0].stopped = true;
    expect(brokerState(c, 1)).toEqual({ state: 'stopped', tone: 'off' });
  });

  it('that is being added has lost nothing', () => {
    const fresh = broker({ processAlive: false, dataDirPresent: false, startedAt: undefined });
    const operation = { kind: 'scale' } as Operation;
    expect(brokerState(cluster([fresh], { operation }), 1).state).toBe('starting');
  });

  it('is judged by its process alone while the cluster does not answer', () => {
    const c = cluster([broker({ registered: false })]);
    if (c.observation) c.observation.reachable = false;
    expect(brokersUp(c)).toBe(1);
  });
});

describe('a cluster', () => {
  it('is at work, not ill, during a person’s operation', () => {
    const operation = { kind: 'scale', actor: 'ada' } as Operation;
    expect(toneOfCluster(cluster([broker()], { operation, state: 'UPDATING', healthLevel: 'warn' }))).toBe(
      'run',
    );
    expect(toneOfCluster(cluster([broker()], { operation, state: 'HEALING', healthLevel: 'warn' }))).toBe(
      'warn',
    );
    expect(toneOfCluster(cluster([broker()], { operation, healthLevel: 'bad' }))).toBe('bad');
  });
  it('adds up its disks', () =>
    expect(diskShare(cluster([broker(), broker({ id: 2 })]))).toEqual({ used: 10, of: 20 }));
});
