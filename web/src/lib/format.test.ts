import { describe, expect, it } from 'vitest';
import { ago, bytes, duration, inUnit, parseBytes } from './format';

describe('sizes', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1536, '1.5 KiB'],
    [100 * 2 ** 30, '100 GiB'],
    [2 ** 40, '1 TiB'],
    [-2048, '-2 KiB'],
    [Number.NaN, '–'],
  ])('%d is %s', (n, text) => expect(bytes(n)).toBe(text));

  it.each([
    ['1 GiB', 2 ** 30],
    ['512m', 512 * 2 ** 20],
    ['1.5 KB', 1536],
    ['7', 7],
    ['', undefined],
    ['much', undefined],
    ['-1 GiB', undefined],
    ['1 XiB', undefined],
  ])('%s is read as %s', (text, n) => expect(parseBytes(text)).toBe(n));

  it('reads what it writes', () => {
    for (const n of [512 * 2 ** 20, 2 ** 30, 100 * 2 ** 30]) expect(parseBytes(bytes(n))).toBe(n);
  });
});

describe('times', () => {
  it.each([
    [9, '9 s', '9초'],
    [80, '1 min 20 s', '1분 20초'],
    [872, '14 min', '14분'],
    [7260, '2 h 1 min', '2시간 1분'],
    [200_000, '2 d 7 h', '2일 7시간'],
    [-5, '0 s', '0초'],
  ])('%d s', (n, en, ko) => {
    expect(duration(n, 'en')).toBe(en);
    expect(duration(n, 'ko')).toBe(ko);
  });

  it('tells how long ago', () => {
    const now = new Date('2026-01-01T12:00:00Z');
    expect(ago('2026-01-01T11:59:58Z', now, 'ko')).toBe('방금');
    expect(ago('2026-01-01T11:57:00Z', now, 'ko')).toBe('3분 전');
    expect(ago('2026-01-01T11:57:00Z', now, 'en')).toMatch(/^3 min/);
  });
});

describe('values of graphs', () => {
  it.each([
    [2048, 'bytes/s', '2 KiB/s'],
    [0.5, 'ms', '0.5 ms'],
    [1500, 'ms', '1.5 s'],
    [12.34, 'percent', '12.3%'],
    [0.256, 'ratio', '25.6%'],
    [0.25, 'cores', '0.25 cores'],
    [1500, 'records/s', '1,500/s'],
    [null, 'ms', '–'],
    [1234, 'count', '1,234'],
  ])('%s %s', (value, unit, text) => expect(inUnit(value, unit, 'en')).toBe(text));
});
