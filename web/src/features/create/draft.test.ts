import { describe, expect, it } from 'vitest';
import type { EngineInfo, Profile } from '@/api/types';
import { draftOf, refusalOf, requestOf, words } from './draft';

const profiles: Profile[] = [
  { name: 'dev', brokers: 1, memoryBytes: 2 ** 29, diskBytes: 10 * 2 ** 30, survives: 0, doc: '' },
  { name: 'prod-3', brokers: 3, memoryBytes: 2 ** 30, diskBytes: 100 * 2 ** 30, survives: 1, doc: '' },
];
const engine = (name: string, ready: boolean): EngineInfo => ({
  name,
  ready,
  versions: ['1.0.0'],
  default: '1.0.0',
  capabilities: { secured: true, maxBrokers: 0 },
});

describe('the create page', () => {
  const draft = draftOf(profiles, [engine('weir', false), engine('apache-kafka', true)]);
  it('begins with the profile for three brokers on an engine that is ready', () => {
    expect(draft).toMatchObject({
      profile: 'prod-3',
      brokers: 3,
      engine: 'apache-kafka',
      version: '1.0.0',
      disk: '100 GiB',
    });
  });
  it('sends nothing without a name, or with a size that is none', () => {
    expect(requestOf(draft)).toBeNull();
    expect(requestOf({ ...draft, name: 'a', memory: 'much' })).toBeNull();
  });
  it('sends what was filled in and leaves out what was not', () => {
    expect(
      requestOf({
        ...draft,
        name: ' orders ',
        racks: 'a, b',
        settings: [
          { key: '', value: 'x' },
          { key: 'k', value: 'v' },
        ],
      }),
    ).toEqual({
      name: 'orders',
      profile: 'prod-3',
      engine: 'apache-kafka',
      engineVersion: '1.0.0',
      brokers: 3,
      memoryBytes: 2 ** 30,
      diskBytes: 100 * 2 ** 30,
      racks: ['a', 'b'],
      settings: { k: 'v' },
    });
  });
  it('finds the refusal of a field or of what is inside it', () => {
    const refused = { 'brokers[2].rack': 'bad', name: 'worse' };
    expect(refusalOf(refused, 'brokers')).toBe('bad');
    expect(refusalOf(refused, 'name')).toBe('worse');
    expect(refusalOf(refused, 'nam')).toBeUndefined();
  });
  it('reads lists', () => expect(words(' a,b  c,, ')).toEqual(['a', 'b', 'c']));
});
