import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { messages as en } from './en';
import { messages as ko } from './ko';
import { inKorean } from './sentences';

function paths(value: unknown, at = ''): string[] {
  if (typeof value !== 'object' || value === null) return [at];
  return Object.entries(value).flatMap(([key, v]) => paths(v, `${at}.${key}`));
}

describe('the catalogues', () => {
  it('have the same messages', () => {
    // Titles of panels and snippets are the service's own in English.
    const own = (p: string) => !/^\.(panels|connect)\.(titles|helps|lines)/.test(p);
    expect(paths(ko).filter(own).sort()).toEqual(paths(en).filter(own).sort());
  });

  it('leave nothing in English that is not a name', () => {
    const names = /^(API|CLI|YAML|Java|Python|Weir|Apache Kafka|rack-a, rack-b, rack-c)$/;
    const same = paths(ko).filter((p) => {
      const get = (m: unknown) =>
        p
          .slice(1)
          .split('.')
          .reduce<unknown>((v, k) => (v as Record<string, unknown>)?.[k], m);
      const text = get(ko);
      return typeof text === 'string' && /[a-z]{3}/i.test(text) && text === get(en) && !names.test(text);
    });
    expect(same).toEqual([]);
  });
});

describe('sentences of the service', () => {
  it.each([
    ['Start broker 2', '브로커 2 시작'],
    ['Wait until brokers 1, 2, 3 serve', '브로커 1, 2, 3: 서비스 시작 대기'],
    [
      'Healthy: 3 of 3 brokers serve, and all 63 partitions are in sync.',
      '정상: 브로커 3개 중 3개가 서비스 중이고 파티션 63개가 모두 동기화되어 있습니다.',
    ],
    [
      'Broker 1 has no process, broker 2 does not answer.',
      '브로커 1의 프로세스가 없습니다, 브로커 2이(가) 응답하지 않습니다',
    ],
    ['Healing: Restart broker 3.', '복구 중: 브로커 3 재시작'],
    [
      'Without broker 1 everything goes on: 4 partitions have one replica fewer in sync.',
      '브로커 1이(가) 없어도 모두 계속됩니다. 파티션 4개의 동기화된 복제본이 하나 줄어듭니다.',
    ],
    [
      'Move 18 partitions, 1.3 GiB, off brokers 4, 5, at most 40.0 MiB/s to or from a broker',
      '브로커 4, 5에서 파티션 18개(1.3 GiB) 옮기기, 브로커당 최대 40.0 MiB/s',
    ],
    ['Create orders with 3 brokers of weir build 4d1a595', 'orders 생성: 브로커 3개, weir 빌드 4d1a595'],
    ['Get weir development build ready', 'weir 개발 빌드 준비'],
    ['Get apache-kafka 4.3.1 ready', 'apache-kafka 4.3.1 준비'],
    [
      'Healthy: 3 of 3 brokers serve; there are no topics yet.',
      '정상: 브로커 3개 중 3개가 서비스 중이며 아직 토픽이 없습니다.',
    ],
    [
      'The service has just begun, and has not looked at this cluster yet.',
      '서비스가 방금 시작되어 아직 이 클러스터를 확인하지 않았습니다.',
    ],
    ['something that nobody has said before', 'something that nobody has said before'],
  ])('%s', (english, korean) => expect(inKorean(english)).toBe(korean));

  // What the planner and the healer can say, read from their source: a new sentence wants its Korean.
  const said = ['plan', 'heal'].flatMap((room) => {
    const dir = join(import.meta.dirname, '../../../../internal/controlplane', room);
    return readdirSync(dir)
      .filter((f) => f.endsWith('.go') && !f.endsWith('_test.go'))
      .flatMap((f) => {
        const source = readFileSync(join(dir, f), 'utf8').replace(/"\s*\+\s*"/g, '');
        return [...source.matchAll(/"((?:[^"\\\n]|\\.)*)"/g)].map((m) => m[1] ?? '');
      });
  });
  const sentences = [...new Set(said.filter((s) => /^[A-Z][a-z]+( [^ ]+)+/.test(s)))];

  it('are found in the source', () => expect(sentences.length).toBeGreaterThan(40));

  it.each(sentences)('%s', (pattern) => {
    // A number for %d; for the rest names, or brokers where those are named.
    const whole = pattern.endsWith(': ') ? `${pattern}%s` : pattern; // the rest comes from elsewhere
    const fill = (...words: string[]) =>
      whole
        .replaceAll('%%', '%')
        .replace(/%[dsvq]/g, (v) => (v === '%d' ? '4' : (words.shift() ?? 'orders')));
    const spoken = [fill(), fill('brokers 1, 2'), fill('orders', 'brokers 1, 2')];
    expect(spoken.filter((s) => inKorean(s) !== s)).not.toEqual([]);
  });
});
