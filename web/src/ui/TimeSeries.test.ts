import { expect, it } from 'vitest';
import { align, beginning } from './TimeSeries';

it('puts lines with different times on one axis', () => {
  const lines = [
    {
      label: 'a',
      points: [
        [1000, 1],
        [3000, 3],
      ],
    },
    {
      label: 'b',
      points: [
        [2000, 20],
        [3000, 30],
      ],
    },
  ];
  expect(align(lines)).toEqual([
    [1, 2, 3],
    [1, null, 3],
    [null, 20, 30],
  ]);
});

it('begins where its lines do, two minutes ago at the latest', () => {
  expect(beginning(undefined, 900, 10_000)).toBe(9_100);
  expect(beginning(5_000, 900, 10_000)).toBe(9_100);
  expect(beginning(9_500, 900, 10_000)).toBe(9_500);
  expect(beginning(9_990, 900, 10_000)).toBe(9_880);
});
