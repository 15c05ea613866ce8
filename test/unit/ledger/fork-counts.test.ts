import { expect, test } from 'vitest';
import { ForkCounts, mayForkToday } from '../../../protocols/ledger/fork-counts.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { LIMITS } from '../../../protocols/wire/limits.ts';

const author = identityFromSeed(new Uint8Array(32).fill(1)).peerId;
const DAY_MS = 86_400_000;

test('below its limits a fork is taken, at either of them it is put off', () => {
  const { forksPerEpochDay, forksPerDay, privateFeedsPerEpoch } = LIMITS;
  const none = { ofEpoch: 0, ofAuthor: 0 };
  for (const [channel, most] of [
    ['public', forksPerDay],
    ['contracts/x/y', forksPerDay * privateFeedsPerEpoch],
  ] as const) {
    const may = (today: typeof none): boolean => mayForkToday(channel as 'public', today);
    expect(may({ ofEpoch: forksPerEpochDay - 1, ofAuthor: most - 1 })).toBe(true);
    expect(may({ ofEpoch: forksPerEpochDay, ofAuthor: 0 })).toBe(false);
    expect(may({ ofEpoch: forksPerEpochDay + 1, ofAuthor: 0 })).toBe(false);
    expect(may({ ofEpoch: 0, ofAuthor: most })).toBe(false);
    expect(may({ ofEpoch: 0, ofAuthor: most + 1 })).toBe(false);
  }
});

test('another epoch has its own count, and a new day begins from none', () => {
  let now = 10 * DAY_MS;
  const counts = new ForkCounts(() => now);
  const proof = { author, channel: 'public', epoch: 'aa' } as const;
  for (let i = 0; i < LIMITS.forksPerEpochDay; i++) {
    expect(counts.mayTake(proof)).toBe(true);
    counts.note(proof);
  }
  expect(counts.mayTake(proof)).toBe(false);
  expect(counts.mayTake({ ...proof, epoch: 'bb' })).toBe(true);
  now += DAY_MS;
  expect(counts.mayTake(proof)).toBe(true);
});
