import { expect, it } from 'vitest';
import { createTally } from '../../../daemon/metrics/tally.ts';

it('has so many places and no more', () => {
  const tally = createTally({ most: 3 });
  for (let i = 0; i < 1000; i++) tally.add(`code-${i}`);
  tally.add('code-1', 5);
  expect([...tally.entries()]).toEqual([
    ['code-0', 1],
    ['code-1', 6],
    ['code-2', 1],
    ['other', 997],
  ]);
});

it('counts what is not known as other', () => {
  const tally = createTally({ known: new Set(['accept']) });
  tally.add('accept');
  tally.add('made-up');
  tally.add('__proto__');
  expect(Object.fromEntries(tally.entries())).toEqual({ accept: 1, other: 2 });
});
