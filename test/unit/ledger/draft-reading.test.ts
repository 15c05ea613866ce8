import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Draft, draftEdit, draftFact, type Patch } from '../../../protocols/ledger/drafts.ts';
import { applyFast, emptyState } from '../../../protocols/open-dialog/fast-path.ts';
import { type ReadOp, readOp } from '../../../protocols/open-dialog/read-op.ts';
import { openState, type PlacedOp } from '../../../protocols/open-dialog/record.ts';
import { collectionOf } from '../../../protocols/open-dialog/schema.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';

const [self = '', other = ''] = [1, 2].map((n) => identityFromSeed(new Uint8Array(32).fill(n)).peerId);
const author = self as ReturnType<typeof identityFromSeed>['peerId'];
const epochs = ['0000000000000001', '0000000000000002'] as const;

function placed(draft: Draft, epoch: string): PlacedOp {
  const [bytes = new Uint8Array(0)] = draft.ops;
  return { author, channel: draft.channel, epoch, seq: 1, index: 0, bytes, time: [1, 0] };
}

const word = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 12 }), fc.constant('{"phone":1,"a":2}'));
const amount = fc.oneof(fc.nat(), fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }));
const patch: fc.Arbitrary<Patch> = fc.record(
  {
    title: fc.option(word, { nil: undefined }),
    notes: fc.option(word, { nil: undefined }),
    price: fc.option(amount, { nil: undefined }),
    quantity: fc.option(amount, { nil: undefined }),
    status: fc.constantFrom('active', 'sold'),
  },
  { requiredKeys: [] },
);
const edits = fc.array(fc.record({ patch, epoch: fc.constantFrom(...epochs) }), { maxLength: 8 });

describe('what a draft says of its op', () => {
  it('is what its bytes say, over the edits of a listing', () => {
    const key = recordKey('listings', author, 'x');
    const listings = collectionOf(key);
    if (listings === undefined) throw new TypeError('no listings');
    fc.assert(
      fc.property(patch, edits, (first, more) => {
        const state = openState(emptyState(key, listings, 'public'));
        const all = [{ patch: { type: 'offer', status: 'active', ...first }, epoch: epochs[0] }, ...more];
        for (const { patch: fields, epoch } of all) {
          const draft = draftEdit({ author, epoch }, key, 'public', state, fields);
          if (draft.ops.length === 0) continue;
          const op = placed(draft, epoch);
          const read = readOp(op);
          expect(draft.read).toEqual(read);
          expect('reading' in read && applyFast(state, read, op, undefined)).toEqual({ state: 'applied' });
        }
      }),
    );
  });

  it('is what its bytes say, of a price, its fields in the same order', () => {
    const price = { market: 'Kibuye', commodity: 'Maize', unit: 'KG', currency: 'KES', priceType: 'Retail' };
    const rest = fc.record({ admin1: word, latitude: fc.double({ min: -90, max: 90, noNaN: true }) });
    fc.assert(
      fc.property(amount, rest, (value, more) => {
        const fields = { ...price, ...more, price: value, date: '2026-01-15' };
        const draft = draftFact({ author, epoch: epochs[0] }, 'prices', fields);
        const read = readOp(placed(draft, epochs[0]));
        expect(draft.read).toEqual(read);
        expect(names(draft.read)).toEqual(names(read));
      }),
    );
  });

  it('is left to its bytes where it may not count: of another owner, in another channel', () => {
    const foreign = recordKey('listings', other as typeof author, 'x');
    const fields = { type: 'offer', status: 'active', title: 'Maize' };
    const writer = { author, epoch: epochs[0] };
    const draft = draftEdit(writer, foreign, 'public', undefined, fields);
    expect(draft.read).toBeUndefined();
    expect(readOp(placed(draft, epochs[0]))).toMatchObject({ problem: 'not-owner' });
    const own = recordKey('listings', author, 'x');
    expect(draftEdit(writer, own, own, undefined, fields).read).toBeUndefined();
    const message = { from: 'a', type: 'text', content: 'x', sentAt: 1 };
    expect(draftFact(writer, 'messages', message, own).read).toBeUndefined();
  });
});

function names(read: ReadOp | undefined): string[] {
  if (read === undefined || !('reading' in read) || read.reading.kind !== 'fact') return [];
  return Object.keys(read.reading.fields);
}
