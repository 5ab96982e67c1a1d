import { describe, expect, it } from 'vitest';
import { changeCommand, createCommand, curl, quote, yaml } from './verbs';

describe('words of a shell', () => {
  it.each([
    ['orders', 'orders'],
    ['a b', "'a b'"],
    ["it's", `'it'\\''s'`],
    ['$HOME', "'$HOME'"],
    ['', "''"],
  ])('%s', (word, quoted) => expect(quote(word)).toBe(quoted));
});

describe('the command line', () => {
  it('scales, with a limit if one was chosen', () => {
    expect(changeCommand('orders', { kind: 'scale', brokers: 5 })).toBe(
      'weir cluster scale orders --brokers 5',
    );
    expect(changeCommand('orders', { kind: 'scale', brokers: 5, throttleBytesPerSecond: -1 })).toContain(
      '--throttle none',
    );
  });
  it('has no verb for one broker', () =>
    expect(changeCommand('orders', { kind: 'stop-broker', broker: 1 })).toBeUndefined());
  it('deletes', () => expect(changeCommand('orders', { kind: 'delete' })).toBe('weir cluster delete orders'));
  it('creates with what was asked for', () => {
    const command = createCommand({
      name: 'orders',
      profile: 'prod-3',
      engine: 'apache-kafka',
      engineVersion: '4.3.1',
      settings: { 'a.b': 'x y' },
    });
    expect(command).toBe(
      "weir cluster create orders \\\n  --profile prod-3 \\\n  --engine apache-kafka \\\n  --kafka-version 4.3.1 \\\n  --set 'a.b=x y'",
    );
  });
});

it('calls the API with the token of the environment', () => {
  const call = curl('http://127.0.0.1:1', 'POST', '/clusters/orders/operations', { kind: 'stop' });
  expect(call).toContain('Bearer $WEIR_TOKEN');
  expect(call).toContain(`-d '{"kind":"stop"}'`);
});

it('writes YAML that means the same', () => {
  expect(
    yaml({ name: 'on', brokers: 3, racks: ['a', 'b c'], settings: { 'x.y': '1' }, none: undefined }),
  ).toBe('name: "on"\nbrokers: 3\nracks: [a, "b c"]\nsettings:\n  x.y: "1"\n');
});
