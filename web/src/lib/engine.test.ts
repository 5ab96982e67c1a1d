import { expect, it } from 'vitest';
import { engineLabel } from './engine';
import { messages as en } from './i18n/en';
import { messages as ko } from './i18n/ko';

it.each([
  [en, 'weir', '1.2.3', 'Weir 1.2.3'],
  [en, 'weir', '0.0.0-dev', 'Weir development build'],
  [en, 'weir', '0.0.0-4d1a595-dirty', 'Weir build 4d1a595-dirty'],
  [ko, 'weir', '0.0.0-20261128225500-4d1a595b3c6f', 'Weir 빌드 4d1a595b3c6f'],
  [en, 'apache-kafka', '4.3.1', 'Apache Kafka 4.3.1'],
  [en, 'other', '2.0.0', 'other 2.0.0'],
])('%# the engine for people', (t, engine, engineVersion, want) => {
  expect(engineLabel(t, { engine, engineVersion })).toBe(want);
});
