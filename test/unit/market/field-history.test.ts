import fc from 'fast-check';
import { expect, it } from 'vitest';
import { fieldHistory } from '../../../daemon/market/field-history.ts';
import { firstValues } from '../../../protocols/market/contract-book/bindings.ts';
import type { PastValue } from '../../../protocols/market/conversation-members.ts';
import type { PlacedOp } from '../../../protocols/open-dialog/record.ts';
import { ChangeHand } from '../../support/change-hand.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

it('of a long history each value of a field is tried once, and one op is held at a time', async () => {
  const author = nodeOf(1).peerId;
  const epoch = '0'.repeat(16);
  const hand = new ChangeHand({ author, epoch }, 'listings', 'maize');
  let asked = 0;
  const opsOf = async function* (): AsyncGenerator<PlacedOp> {
    for (; asked < 1000; asked++) {
      const begins = asked === 0 ? { type: 'offer', status: 'active' } : {};
      const bytes = hand.set({ ...begins, title: asked % 3 === 0 ? 'Maize' : 'Beans', price: asked });
      yield { author, channel: 'public', epoch, seq: asked + 1, index: 0, bytes, time: [0, 0] };
    }
  };
  const history = fieldHistory({ opsOf });
  for await (const { value } of history(hand.key, 'title')) {
    expect([value, asked]).toEqual(['Maize', 0]);
    break;
  }
  expect(await firstValues(history(hand.key, 'title'), 256)).toEqual(['Maize', 'Beans']);
  expect(asked).toBe(1000);
});

it('the first values are the same in whatever order a node holds them: each author’s as signed, the authors in turn', async () => {
  const most = 3;
  const places = fc.uniqueArray(
    fc.record({
      author: fc.constantFrom(nodeOf(1).peerId, nodeOf(2).peerId),
      time: fc.tuple(fc.nat(3), fc.nat(1)),
      epoch: fc.constantFrom('0'.repeat(16), '1'.repeat(16)),
      seq: fc.nat(4),
      index: fc.nat(2),
      value: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'),
    }),
    { selector: ({ author, epoch, seq, index }) => `${author} ${epoch} ${seq} ${index}`, maxLength: 60 },
  );
  const shuffled = places.chain((all) =>
    fc.shuffledSubarray(all, { minLength: all.length }).map((mixed) => [all, mixed] as const),
  );
  const of = (held: readonly PastValue[]): Promise<unknown[]> => {
    const history = async function* () {
      yield* held;
    };
    return firstValues(history(), most);
  };
  await fc.assert(
    fc.asyncProperty(shuffled, async ([all, mixed]) => {
      const signed = all.toSorted(
        (a, b) =>
          a.time[0] - b.time[0] ||
          a.time[1] - b.time[1] ||
          Number(a.epoch > b.epoch) - Number(a.epoch < b.epoch) ||
          a.seq - b.seq ||
          a.index - b.index,
      );
      const lists = [...new Set(all.map(({ author }) => author))].sort().map((author) => {
        const values = signed.flatMap((each) => (each.author === author ? [each.value] : []));
        return [...new Set(values)].slice(0, most);
      });
      const turns = [0, 1, 2].flatMap((at) => lists.flatMap((list) => list.slice(at, at + 1)));
      expect(await of(mixed)).toEqual(turns);
    }),
  );
});
