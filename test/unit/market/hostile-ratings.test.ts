import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { draftFact, draftPrivate } from '../../../protocols/ledger/drafts.ts';
import { RATING_LIMITS } from '../../../protocols/market/facts-by-subject.ts';
import { RatingReasons } from '../../../protocols/market/rating-reasons.ts';
import { Ratings } from '../../../protocols/market/ratings.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { recordKey, type RecordKey } from '../../../protocols/wire/ids.ts';
import { fullKey, range } from '../../../storage/keyspace.ts';
import { Reader } from '../../../storage/reader.ts';
import { createInlineMerges } from '../../support/inline-merges.ts';
import { type LedgerNode, openLedgerNode } from '../../support/ledger-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

const [self, peer] = [1, 2].map((n) => identityFromSeed(Buffer.alloc(32, n))) as [
  ReturnType<typeof identityFromSeed>,
  ReturnType<typeof identityFromSeed>,
];
const VICTIM = `mary@${peer.peerId}`;
const RECEIPT = 'AAAA.BBBB';

let dir: ReturnType<typeof tempDir>;
let node: LedgerNode;
let ratings: Ratings;
beforeEach(async () => {
  dir = tempDir('hostile-ratings');
  node = await openLedgerNode(dir.path, self, createInlineMerges(systemEnv));
  ratings = new Ratings('test', new Reader(node.db), systemEnv);
});
afterEach(async () => {
  await node.close();
  dir.remove();
});

/** Facts of this node, as a peer may write them too: nothing but their fields has been looked at. */
async function write(collection: string, all: Record<string, string | number>[], channel?: RecordKey) {
  const keys: RecordKey[] = [];
  for (let i = 0; i < all.length; i += 256) {
    const { records } = await node.ledger.write({
      keys: [],
      draft: (writer) =>
        all.slice(i, i + 256).map((fields) => draftFact(writer, collection, fields, channel ?? 'public')),
    });
    keys.push(...records.map(({ key }) => key));
  }
  return keys;
}
const rating = (n: number) => ({
  from: `u${n}@${self.peerId}`,
  to: VICTIM,
  score: 4,
  receipt: RECEIPT,
  ratedAt: n,
});

it('of one node’s ratings of a subject, and notes on them, so many are looked at and no more', async () => {
  const keys = await write(
    'ratings',
    Array.from({ length: RATING_LIMITS.perNode + 50 }, (_, n) => rating(n)),
  );
  const on = keys[0] ?? recordKey('ratings', self.peerId, 'x');
  await write(
    'rating-notes',
    Array.from({ length: RATING_LIMITS.perNode + 50 }, (_, n) => ({
      rating: on,
      to: VICTIM,
      kind: 'dismiss',
      by: `u${n}@${self.peerId}`,
      why: 'mistaken',
      notedAt: n,
    })),
  );
  const view = { roots: [self.peerId], adjudicators: [self.peerId], asOf: 0 };
  const proof = await ratings.proof(VICTIM, view);
  expect(proof.inputs.map(({ id }) => id)).toEqual(keys.toSorted().slice(0, RATING_LIMITS.perNode));
  expect(proof.inputs.every(({ verdict }) => verdict.startsWith('receipt-'))).toBe(true);
  expect((await ratings.notesOf({ id: on, to: VICTIM })).length).toBe(RATING_LIMITS.perNode);
  expect(await ratings.keptContracts(VICTIM, view)).toEqual({ contracts: 0, kept: 0, counterparties: 0 });
});

it('a note that names somebody else as rated is not found with the rating', async () => {
  const [on = recordKey('ratings', self.peerId, 'x')] = await write('ratings', [rating(1)]);
  const said = { rating: on, kind: 'contest', by: `u@${self.peerId}`, why: 'mistaken', notedAt: 1 };
  await write('rating-notes', [{ ...said, to: `else@${self.peerId}` }]);
  expect(await ratings.notesOf({ id: on, to: VICTIM })).toEqual([]);
});

it('a rating whose row is damaged leaves everybody else’s reputation as it is', async () => {
  const [mine = ''] = await write('ratings', [rating(1)]);
  await write('ratings', [{ ...rating(2), to: `ben@${peer.peerId}` }]);
  const full = fullKey('records', mine);
  const row = Buffer.from((await node.db.level.get(full)) ?? []);
  row.writeUInt8(row.readUInt8(row.length - 1) ^ 1, row.length - 1);
  await node.db.level.put(full, row);
  const view = { roots: [self.peerId], adjudicators: [], asOf: 0 };
  expect((await ratings.proof(`ben@${peer.peerId}`, view)).inputs).toHaveLength(1);
  expect((await ratings.proof(`u2@${self.peerId}`, view)).given).toEqual([]);
  expect(await ratings.tradesOf(self.peerId)).toEqual(new Set());
});

it('what is kept of a subject is counted anew when a rating of it comes, and not for each question', async () => {
  const jury = { roots: [self.peerId], adjudicators: [] };
  const first = await ratings.keptContracts(VICTIM, jury);
  expect(await ratings.keptContracts(VICTIM, jury)).toBe(first);
  expect(await ratings.keptContracts(VICTIM, { ...jury, roots: [] })).not.toBe(first);
  const again = await ratings.keptContracts(VICTIM, jury);
  const [key] = await write('ratings', [rating(1)]);
  const [after] = await node.store.records(key === undefined ? [] : [key]);
  if (key === undefined || after === undefined) throw new Error('nothing was written');
  ratings.note([{ key, before: undefined, after }]);
  expect(await ratings.keptContracts(VICTIM, jury)).not.toBe(again);
});

it('of one node’s reasons in a contract as many are written as are looked at: none hides another', async () => {
  const writers = [self.peerId, peer.peerId];
  const made = draftPrivate(
    { author: self.peerId },
    'contracts',
    { writers, participants: writers },
    new Uint8Array(16),
  );
  await node.ledger.write({ keys: [made.key], draft: () => [made] });
  const other = `loud@${self.peerId}`;
  const reader = new Reader(node.db);
  const reasons = new RatingReasons({ reader, ledger: node.ledger, now: () => 1 });
  const mine = `amina@${self.peerId}`;
  expect(await reasons.write(made.key, mine, 'it never came')).toBe(true);
  expect(await reasons.write(made.key, mine, 'it never came')).toBe(false);
  for (let n = 0; n < 63; n++) await reasons.write(made.key, other, `noise ${n}`);
  expect(await reasons.of(made.key, mine)).toBe('it never came');
  await expect(reasons.write(made.key, mine, 'one more')).rejects.toMatchObject({ code: 'contract-full' });
  let rows = 0;
  for await (const key of node.db.level.keys(range('records', 'rating-reasons/'))) rows += key === '' ? 0 : 1;
  expect(rows).toBe(64);
});
