import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ContractOrder, type ListedUnder } from '../../../protocols/market/contract-book/order.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { recordKey, type RecordKey } from '../../../protocols/wire/ids.ts';

const owner = identityFromSeed(new Uint8Array(32).fill(1)).peerId;
const keyOf = (n: number): RecordKey => recordKey('contracts', owner, `c${String(n).padStart(3, '0')}`);
const AMINA = `amina@${owner}`;
/** Every third is amina's, every fourth an open request. */
const standing = (n: number, at: number): ListedUnder => ({
  at,
  isPublic: n % 4 === 0,
  users: n % 3 === 0 ? [AMINA] : [],
  listing: n % 2 === 0 ? 'even' : '',
  request: '',
});
const WANTS: Readonly<Record<string, (each: ListedUnder) => boolean>> = {
  operator: () => true,
  amina: ({ isPublic, users }) => isPublic || users.includes(AMINA),
  nobody: ({ isPublic }) => isPublic,
  'operator, one listing': ({ listing }) => listing === 'even',
};

/** A step of some contract, or a new one; times are small so that many are equal. */
const move = fc.record({ n: fc.nat(40), at: fc.nat(12) });

describe('a walk through a list while contracts move', () => {
  it.each(Object.keys(WANTS))(
    'shows %s each of its contracts once, in the order of the moment it began',
    (who) => {
      const wants = WANTS[who] ?? (() => false);
      fc.assert(
        fc.property(
          fc.array(move, { maxLength: 40 }),
          fc.array(move, { maxLength: 30 }),
          fc.array(fc.array(move, { maxLength: 8 }), { maxLength: 30 }),
          fc.integer({ min: 1, max: 7 }),
          (stored, earlier, between, limit) => {
            const order = new ContractOrder();
            const at = new Map<number, number>();
            let clock = 1_000_000;
            const put = (n: number, to: number, moment: number): void => {
              order.put(keyOf(n), standing(n, to), moment);
              at.set(n, to);
            };
            for (const { n, at: to } of stored) if (!at.has(n)) put(n, to, 0);
            for (const { n, at: to } of earlier) put(n, to, clock++);
            const expected = [...at]
              .map(([n, when]) => ({ key: keyOf(n), when, n }))
              .filter(({ n, when }) => wants(standing(n, when)))
              .sort((a, b) => b.when - a.when || (a.key < b.key ? 1 : -1))
              .map(({ key }) => key);
            const seen: RecordKey[] = [];
            let page = order.page(wants, limit, undefined);
            let i = 0;
            for (;;) {
              seen.push(...page.keys);
              if (page.cursor === undefined) break;
              expect(page.keys).toHaveLength(limit);
              // Moves that only the clock tells apart, and several at once.
              for (const { n, at: to } of between[i++] ?? []) put(n, to, clock);
              clock += i % 2;
              page = order.page(wants, limit, page.cursor);
            }
            expect(seen).toEqual(expected);
            // Whoever begins now has the order of now.
            const now = order.page(wants, 100, undefined).keys;
            const times = now.map((key) => at.get(Number(key.slice(-3))) ?? -1);
            expect(times).toEqual(times.toSorted((a, b) => b - a));
          },
        ),
        { numRuns: 300 },
      );
    },
  );

  it('says nothing in its cursors of what it does not show', () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 40 }), fc.array(move, { maxLength: 40 }), (seen, hidden) => {
        const cursors = [[], hidden].map((others) => {
          const order = new ContractOrder();
          for (const [i, { n, at }] of seen.entries()) {
            order.put(keyOf(n * 4), standing(n * 4, at), 1000 * (i + 1));
            for (const { n: other, at: to } of others) {
              const no = other * 4 + 1;
              order.put(keyOf(no), standing(no, to), 1000 * (i + 1) + 1);
            }
          }
          return order.page(WANTS['nobody'] ?? (() => false), 2, undefined);
        });
        expect(cursors[1]).toEqual(cursors[0]);
      }),
    );
  });

  it('begins anew for a cursor that is none', () => {
    const order = new ContractOrder();
    order.put(keyOf(1), standing(1, 5), 0);
    for (const text of ['', 'x', '1.2', '-1.2.k'])
      expect(order.page(() => true, 5, text).keys).toEqual([keyOf(1)]);
  });
});
