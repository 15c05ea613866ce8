import fc from 'fast-check';
import { expect, it } from 'vitest';
import { type CheckpointLink, effectiveCheckpoint } from '../../../protocols/checkpoint/effective.ts';
import { sha256Hex } from '../../../protocols/wire/bytes.ts';

/** Histories of checkpoints as one key can make them: each names some of those before it, and its id tells all of that. */
const histories = fc
  .array(fc.record({ gen: fc.integer({ min: 1, max: 4 }), prev: fc.array(fc.nat(30), { maxLength: 3 }) }), {
    maxLength: 14,
  })
  .map((drawn) => {
    const made: CheckpointLink[] = [];
    for (const [i, { gen, prev }] of drawn.entries()) {
      const named = i === 0 ? [] : [...new Set(prev.map((at) => made[at % i]?.id ?? ''))].sort();
      made.push({ id: sha256Hex(`${i} ${gen} ${named.join()}`), gen, prev: named });
    }
    return made;
  });

it('is the same in whatever order they come, and however often', () => {
  fc.assert(
    fc.property(
      histories.chain((held) =>
        fc.tuple(fc.constant(held), fc.shuffledSubarray([...held, ...held], { minLength: held.length * 2 })),
      ),
      ([held, shuffled]) => {
        expect(effectiveCheckpoint(shuffled)).toEqual(effectiveCheckpoint(held));
      },
    ),
    { numRuns: 1000 },
  );
});

it('is one that no other leads to, with the highest generation of those and then the lowest id', () => {
  fc.assert(
    fc.property(histories, (held) => {
      const leadsTo = (from: CheckpointLink): CheckpointLink[] =>
        held.filter(({ id }) => from.prev.includes(id)).flatMap((each) => [each, ...leadsTo(each)]);
      const reached = new Set(held.flatMap(leadsTo));
      const left = held
        .filter((each) => !reached.has(each))
        .sort((a, b) => b.gen - a.gen || (a.id < b.id ? -1 : 1));
      const found = effectiveCheckpoint(held);
      expect(found?.checkpoint).toEqual(left[0]);
      expect(found?.contested ?? false).toBe(left.length > 1);
    }),
    { numRuns: 1000 },
  );
});

it('one that joins all that are left ends a contest', () => {
  fc.assert(
    fc.property(histories, (held) => {
      const reached = new Set(held.flatMap(({ prev }) => prev));
      const left = held.filter(({ id }) => !reached.has(id));
      const joins = { id: '00'.repeat(32), gen: 1, prev: left.map(({ id }) => id) };
      expect(effectiveCheckpoint([...held, joins])).toEqual({ checkpoint: joins, contested: false });
    }),
    { numRuns: 300 },
  );
});
