import type { BrokerObservation, ClusterView } from '@/api/types';
import type { Messages } from '@/lib/i18n';
import type { Tone } from '@/ui/Status';

/** The colour of a cluster: its health, or that something is under way. */
export function toneOfCluster(c: ClusterView): Tone {
  if (c.operation && c.healthLevel !== 'bad' && c.state !== 'HEALING') return 'run';
  return c.healthLevel;
}

export function seen(c: ClusterView, id: number): BrokerObservation | undefined {
  return c.observation?.brokers?.find((b) => b.id === id);
}

/** Whether a time is set: Go's zero time is not. */
export function isSet(at: string | undefined): at is string {
  return at !== undefined && !at.startsWith('0001-');
}

export function isUp(c: ClusterView, b: BrokerObservation | undefined): boolean {
  if (!b?.processAlive || isSet(b.unresponsiveSince)) return false;
  return !c.observation?.reachable || (b.registered && !b.fenced);
}

export function brokersUp(c: ClusterView): number {
  return (c.brokers ?? []).filter((b) => isUp(c, seen(c, b.id))).length;
}

export type BrokerState = keyof Messages['cluster']['stateOf'];

/** What a broker is doing, in a word and a colour. */
export function brokerState(c: ClusterView, id: number): { state: BrokerState; tone: Tone } {
  if (c.brokers?.find((b) => b.id === id)?.stopped) return { state: 'stopped', tone: 'off' };
  const b = seen(c, id);
  if (!b) return { state: 'unknown', tone: 'off' };
  if (!b.processAlive) {
    if (c.state === 'STOPPED') return { state: 'stopped', tone: 'off' };
    if (comes(c, b)) return { state: 'starting', tone: 'run' };
    return { state: b.dataDirPresent ? 'down' : 'noData', tone: 'bad' };
  }
  if (isSet(b.unresponsiveSince)) {
    return startsStill(c, b) ? { state: 'starting', tone: 'run' } : { state: 'unresponsive', tone: 'bad' };
  }
  if (!c.observation?.reachable || isUp(c, b)) return { state: 'running', tone: 'ok' };
  return b.registered ? { state: 'fenced', tone: 'warn' } : { state: 'starting', tone: 'run' };
}

// A process that has not answered since it began, not long ago.
function startsStill(c: ClusterView, b: BrokerObservation): boolean {
  if (!isSet(b.startedAt) || !isSet(b.unresponsiveSince) || !c.observation) return false;
  const began = Date.parse(b.startedAt);
  return Date.parse(b.unresponsiveSince) - began < 10_000 && Date.parse(c.observation.at) - began < 120_000;
}

// A broker without a process that an open operation brings up.
function comes(c: ClusterView, b: BrokerObservation): boolean {
  const kind = c.operation?.kind;
  if (kind === 'create' || kind === 'start') return true;
  return kind === 'scale' && !isSet(b.startedAt) && !b.dataDirPresent;
}

/** The share of all disks that is used, 0 to 1. */
export function diskShare(c: ClusterView): { used: number; of: number } {
  const of = (c.brokers ?? []).reduce((sum, b) => sum + b.diskBytes, 0);
  const used = (c.observation?.brokers ?? []).reduce((sum, b) => sum + b.diskUsedBytes, 0);
  return { used, of };
}
