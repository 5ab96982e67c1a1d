import type { CreateRequest, EngineInfo, Profile } from '@/api/types';
import { bytes, parseBytes } from '@/lib/format';

/** The create page as it is filled in; sizes are text until they are read. */
export interface Draft {
  profile: string;
  name: string;
  engine: string;
  version: string;
  brokers: number;
  memory: string;
  disk: string;
  racks: string;
  settings: { key: string; value: string }[];
}

/** What a profile proposes, on the first engine that is ready. */
export function draftOf(profiles: Profile[], engines: EngineInfo[], name?: string): Draft {
  const profile = profiles.find((p) => p.name === (name ?? 'prod-3')) ?? profiles[0];
  const engine = engines.find((e) => e.ready) ?? engines[0];
  return {
    profile: profile?.name ?? 'prod-3',
    name: '',
    engine: engine?.name ?? '',
    version: engine?.default ?? '',
    brokers: profile?.brokers ?? 3,
    memory: bytes(profile?.memoryBytes ?? 0),
    disk: bytes(profile?.diskBytes ?? 0),
    racks: '',
    settings: [],
  };
}

/** What is sent; null while it cannot be. */
export function requestOf(d: Draft): CreateRequest | null {
  const memoryBytes = parseBytes(d.memory);
  const diskBytes = parseBytes(d.disk);
  if (!d.name.trim() || memoryBytes === undefined || diskBytes === undefined || !d.brokers) return null;
  const racks = words(d.racks);
  const settings = Object.fromEntries(
    d.settings.filter((s) => s.key.trim()).map((s) => [s.key.trim(), s.value]),
  );
  return {
    name: d.name.trim(),
    profile: d.profile,
    engine: d.engine,
    engineVersion: d.version,
    brokers: d.brokers,
    memoryBytes,
    diskBytes,
    ...(racks.length ? { racks } : {}),
    ...(Object.keys(settings).length ? { settings } : {}),
  };
}

/** "a, b,c" → a, b, c. */
export function words(list: string): string[] {
  return list
    .split(/[,\s]+/)
    .map((w) => w.trim())
    .filter(Boolean);
}

/** The refusal of a field: its own, or of what is inside it. */
export function refusalOf(refused: Record<string, string>, ...fields: string[]): string | undefined {
  for (const [path, rule] of Object.entries(refused)) {
    if (fields.some((f) => path === f || path.startsWith(`${f}.`) || path.startsWith(`${f}[`))) return rule;
  }
  return undefined;
}
