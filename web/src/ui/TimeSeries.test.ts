import { expect, it } from 'vitest';
import { align } from './TimeSeries';

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
