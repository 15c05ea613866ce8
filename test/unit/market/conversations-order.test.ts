import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  headsOf,
  messageOrder,
  type OrderedMessage,
  placeOf,
  readSeen,
  writeSeen,
} from '../../../protocols/market/message-order.ts';
import { emptyState } from '../../../protocols/open-dialog/fast-path.ts';
import { COLLECTIONS } from '../../../protocols/open-dialog/schema.ts';
import type { Scalar } from '../../../protocols/open-dialog/change.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { randomFrom, someIdentity } from '../../support/forge.ts';

/** Messages that name only earlier ones, as hashes force them to; clocks are anybody's. */
const messages = fc
  .array(
    fc.record({ sentAt: fc.integer({ min: 0, max: 5 }), seen: fc.array(fc.nat(40), { maxLength: 4 }) }),
    {
      maxLength: 40,
    },
  )
  .chain((drawn) =>
    fc.shuffledSubarray(
      drawn.map(({ sentAt, seen }, i): OrderedMessage => ({
        // Hashes that say nothing about who came first.
        hash: `${(i * 7) % 41}`.padStart(2, '0'),
        seen: [...new Set(seen.filter((at) => at < i).map((at) => `${(at * 7) % 41}`.padStart(2, '0')))],
        sentAt,
      })),
      { minLength: 0, maxLength: drawn.length },
    ),
  );

/** The same rule, said as slowly and plainly as can be. */
function plainOrder(set: readonly OrderedMessage[]): string[] {
  const left = new Map(set.map((message) => [message.hash, message]));
  const order: string[] = [];
  while (left.size > 0) {
    const [next] = [...left.values()]
      .filter(({ seen }) => !seen.some((hash) => left.has(hash)))
      .sort((a, b) => a.sentAt - b.sentAt || (a.hash < b.hash ? -1 : 1));
    if (next === undefined) throw new Error('a circle');
    order.push(next.hash);
    left.delete(next.hash);
  }
  return order;
}

describe('the order of messages', () => {
  it('is that of the plain rule, whatever part is held and however it came', () => {
    fc.assert(
      fc.property(messages, fc.infiniteStream(fc.nat()), (set, numbers) => {
        const order = messageOrder(set).map(({ hash }) => hash);
        expect(order).toEqual(plainOrder(set));
        const shuffled = set
          .map((message) => ({ message, at: numbers.next().value }))
          .sort((a, b) => a.at - b.at)
          .map(({ message }) => message);
        expect(messageOrder([...shuffled, ...set]).map(({ hash }) => hash)).toEqual(order);
      }),
      { numRuns: 2000 },
    );
  });

  it('puts no message before one it has seen, whatever the clocks say', () => {
    const late = { hash: 'a', seen: [], sentAt: 9_000 };
    const answer = { hash: 'b', seen: ['a'], sentAt: 1 };
    const beside = { hash: 'c', seen: [], sentAt: 5 };
    expect(messageOrder([answer, late, beside]).map(({ hash }) => hash)).toEqual(['c', 'a', 'b']);
    // Held without what it has seen it stands by its own clock, until that comes.
    expect(messageOrder([answer, beside]).map(({ hash }) => hash)).toEqual(['b', 'c']);
  });

  it('comes last with all heads seen', () => {
    fc.assert(
      fc.property(messages, (set) => {
        const order = messageOrder(set);
        const heads = headsOf(order);
        const next = { hash: '!', seen: heads, sentAt: 0 };
        if (set.length > 0) expect(heads.length).toBeGreaterThan(0);
        expect(messageOrder([...set, next]).at(-1)).toBe(next);
        expect(headsOf([...order, next])).toEqual(['!']);
      }),
    );
  });

  it('loses nothing, not even of a circle', () => {
    const set = [
      { hash: 'a', seen: ['b'], sentAt: 1 },
      { hash: 'b', seen: ['a'], sentAt: 1 },
      { hash: 'c', seen: [], sentAt: 2 },
    ];
    expect(messageOrder(set).map(({ hash }) => hash)).toEqual(['c', 'a', 'b']);
  });

  it('takes ten thousand in a moment', () => {
    const random = randomFrom(7);
    const set = Array.from({ length: 10_000 }, (_, i) => ({
      hash: String((i * 7919) % 10_007).padStart(5, '0'),
      seen: i === 0 ? [] : [String((Math.max(0, i - 1 - random.int(3)) * 7919) % 10_007).padStart(5, '0')],
      sentAt: random.int(1000),
    }));
    const started = performance.now();
    expect(messageOrder(set)).toHaveLength(10_000);
    expect(performance.now() - started).toBeLessThan(1000);
  });
});

describe('a message as a fact', () => {
  const [own, other] = [1, 2].map((seed) => someIdentity(randomFrom(seed)).peerId);
  const state = (view: Record<string, Scalar>) => {
    const messagesOf = COLLECTIONS['messages'];
    if (own === undefined || messagesOf === undefined) throw new Error('no collection');
    const key = recordKey('messages', own, 'm1');
    return { ...emptyState(key, messagesOf, 'public'), exists: true, view };
  };

  it('is hidden when its node does not speak for who is named', () => {
    expect(placeOf(state({ from: `amina@${own}`, sentAt: 5 }))).toMatchObject({
      hash: 'm1',
      sentAt: 5,
      seen: [],
    });
    expect(placeOf(state({ from: `amina@${other}`, sentAt: 5 }))).toBe('from-foreign');
    for (const from of ['amina', '', `@${own?.slice(1)}`, `a\nb@${own}`, 7])
      expect(placeOf(state({ from, sentAt: 5 })), String(from)).toBe('from-malformed');
  });

  it('names what it has seen, bounded, and nothing that is no hash', () => {
    const hash = (n: number): string => String(n).padStart(43, '0');
    const many = Array.from({ length: 60 }, (_, i) => hash(i));
    expect(writeSeen(many).length).toBeLessThanOrEqual(2048);
    expect(readSeen(writeSeen(many))).toEqual(many.slice(-46));
    expect(readSeen(`${hash(1)},x,,${hash(1)},${hash(2)}`)).toEqual([hash(1), hash(2)]);
    expect(readSeen('')).toEqual([]);
  });
});
