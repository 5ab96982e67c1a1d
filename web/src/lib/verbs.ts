import { bytes } from './format';

// The same action by the other two doors: the command line and the API.

export interface Change {
  kind: string;
  brokers?: number;
  broker?: number;
  throttleBytesPerSecond?: number;
}

export interface Creation {
  name: string;
  engine?: string;
  engineVersion?: string;
  profile?: string;
  brokers?: number;
  memoryBytes?: number;
  diskBytes?: number;
  racks?: string[];
  settings?: Record<string, string>;
}

/** A word as a shell takes it. */
export function quote(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** undefined where the command line has no verb for it. */
export function changeCommand(cluster: string, change: Change): string | undefined {
  const name = quote(cluster);
  switch (change.kind) {
    case 'scale': {
      const limit = change.throttleBytesPerSecond
        ? ` --throttle ${change.throttleBytesPerSecond < 0 ? 'none' : size(change.throttleBytesPerSecond)}`
        : '';
      return `weir cluster scale ${name} --brokers ${change.brokers ?? ''}${limit}`;
    }
    case 'stop':
    case 'start':
    case 'delete':
      return `weir cluster ${change.kind} ${name}`;
    default:
      return undefined;
  }
}

// 1073741824 → 1GiB, as flags take it.
function size(n: number): string {
  return bytes(n).replace(' ', '');
}

export function createCommand(c: Creation): string {
  const parts = [`weir cluster create ${quote(c.name)}`];
  if (c.profile) parts.push(`--profile ${c.profile}`);
  if (c.brokers) parts.push(`--brokers ${c.brokers}`);
  if (c.engine) parts.push(`--engine ${c.engine}`);
  if (c.engine === 'apache-kafka' && c.engineVersion) parts.push(`--kafka-version ${c.engineVersion}`);
  if (c.memoryBytes) parts.push(`--memory ${size(c.memoryBytes)}`);
  if (c.diskBytes) parts.push(`--disk ${size(c.diskBytes)}`);
  if (c.racks?.length) parts.push(`--rack ${quote(c.racks.join(','))}`);
  for (const [key, value] of Object.entries(c.settings ?? {}))
    parts.push(`--set ${quote(`${key}=${value}`)}`);
  return parts.join(' \\\n  ');
}

/** A curl call that can be pasted; the token comes from the environment. */
export function curl(origin: string, method: string, path: string, body?: unknown): string {
  const parts = [`curl -X ${method} ${origin}/api/v1${path}`, `-H "Authorization: Bearer $WEIR_TOKEN"`];
  if (body !== undefined)
    parts.push(`-H 'Content-Type: application/json'`, `-d ${quote(JSON.stringify(body))}`);
  return parts.join(' \\\n  ');
}

/** A flat object as YAML; enough for requests of this API. */
export function yaml(value: Record<string, unknown>): string {
  const lines: string[] = [];
  for (const [key, v] of Object.entries(value)) {
    if (v === undefined) continue;
    if (Array.isArray(v)) lines.push(`${key}: [${v.map(scalar).join(', ')}]`);
    else if (typeof v === 'object' && v !== null) {
      lines.push(`${key}:`);
      for (const [k, x] of Object.entries(v)) lines.push(`  ${k}: ${scalar(x)}`);
    } else lines.push(`${key}: ${scalar(v)}`);
  }
  return `${lines.join('\n')}\n`;
}

function scalar(v: unknown): string {
  if (typeof v !== 'string') return String(v);
  return /^[A-Za-z_][A-Za-z0-9_./-]*$/.test(v) && !/^(true|false|yes|no|on|off|null|y|n)$/i.test(v)
    ? v
    : JSON.stringify(v);
}
