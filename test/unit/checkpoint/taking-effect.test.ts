import { cpSync } from 'node:fs';
import { expect, it } from 'vitest';
import { checkDerived, type Problem } from '../../../daemon/check-derived.ts';
import { rebuildDamaged } from '../../../daemon/rebuild.ts';
import { checkRecord } from '../../../daemon/scrub/check-rows.ts';
import { SCRUB_LIMITS } from '../../../daemon/scrub/limits.ts';
import { chunkOf, ChunkWriter, erasedItem } from '../../../protocols/checkpoint/chunk.ts';
import { coverItem, floorItems } from '../../../protocols/checkpoint/items.ts';
import type { Floor } from '../../../protocols/open-dialog/floor.ts';
import { recordKey, type RecordKey } from '../../../protocols/wire/ids.ts';
import { floorIn, floorRow, itemsIn } from '../../../storage/floor-rows.ts';
import { floorKey, slotStart } from '../../../storage/floor-table.ts';
import { fullKey, innerKey, range, type SublevelName } from '../../../storage/keyspace.ts';
import { withChecksum } from '../../../storage/values.ts';
import {
  checkpointMembers,
  edit,
  end,
  erase,
  fact,
  heldOf,
  made,
  type Member,
  openMember,
} from '../../support/checkpoint-member.ts';
import { type LedgerNode, pull } from '../../support/ledger-node.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const { merger, member } = checkpointMembers();

const price = (market: string): Record<string, string | number> => ({
  date: '2026-01-15',
  market,
  commodity: 'Maize',
  unit: 'kg',
  priceType: 'Retail',
  currency: 'KES',
  price: 55.5,
});

/** Listings of which some were edited and one ended, a price, and a head of an audit log, which stays as evidence. */
async function trade(node: LedgerNode, listings: number): Promise<void> {
  for (let i = 0; i < listings; i++) await edit(node, `l${i}`, { type: 'offer', status: 'active', price: i });
  await edit(node, 'l1', { price: 100, unit: 'kg' });
  await end(node, recordKey('listings', node.self, 'l2'));
  await fact(node, 'prices', price('Kisumu'));
  await fact(node, 'audit-heads', { head: '7a'.repeat(32), place: 'a'.repeat(22), at: 1 });
}

const taken = (node: Member, author = node.self) => node.checkpoints().takeEffect(author);

async function rowsOf({ db }: LedgerNode, names: readonly SublevelName[]): Promise<Map<string, string>> {
  const rows = new Map<string, string>();
  for (const name of names)
    for await (const [key, value] of db.level.iterator(range(name)))
      rows.set(key, Buffer.from(value).toString('hex'));
  return rows;
}

/** What a scrub finds wrong of every record, and fsck of all. */
async function wrongOf({ db, store }: LedgerNode): Promise<unknown[]> {
  const parts = { db, store, merges: merger, opsOfRecord: SCRUB_LIMITS.opsOfRecord };
  const wrong: unknown[] = [];
  for await (const key of db.level.keys(range('records')))
    wrong.push(...(await checkRecord(parts, innerKey(key) as RecordKey)).wrong);
  return [...wrong, ...(await problemsOf(db))];
}

async function problemsOf(db: LedgerNode['db']): Promise<Problem[]> {
  const problems: Problem[] = [];
  await checkDerived(db, problems, true);
  return problems;
}

const DERIVED = ['records', 'verdicts', 'recordOps', 'index', 'digests', 'past', 'usage'] as const;

it('takes effect without anybody noticing: digests, lists and the order of changes stay as they are, and what is written next is above it', async () => {
  const author = await member(nodeOf(1));
  const other = await member(nodeOf(2), [author.identity]);
  const never = await member(nodeOf(3), [author.identity]);
  await trade(author, 300);
  expect(await made(author.checkpoints())).toMatchObject({ outcome: 'made' });
  await pull(author, other, [author.self]);
  const quiet = ['index', 'digests', 'changes', 'recordOps'] as const;
  for (const node of [author, other]) {
    const [before, epoch] = [await rowsOf(node, quiet), node.ledger.epoch()];
    const views = await node.views();
    expect(await taken(node, author.self)).toMatchObject({
      outcome: 'done',
      ids: [(await heldOf(author))[0]?.id],
    });
    expect(await rowsOf(node, quiet)).toEqual(before);
    expect(await node.views()).toEqual(views);
    // Whose floors they are goes on in a new epoch.
    expect(node.ledger.epoch() === epoch).toBe(node !== author);
    expect(await taken(node, author.self)).toEqual({ outcome: 'none', ids: [] });
    expect(await wrongOf(node)).toEqual([]);
  }
  const key = recordKey('listings', author.self, 'l1');
  expect((await author.store.records([key]))[0]).toMatchObject({ floored: 'open', ops: 0, seqs: {} });
  await edit(author, 'l1', { price: 7 });
  await edit(author, 'new', { type: 'offer', status: 'active' });
  for (const node of [other, never]) {
    await pull(author, node, [author.self]);
    expect(node.digestOf(author.self)).toBe(author.digestOf(author.self));
    expect(await node.views()).toEqual(await author.views());
  }
  expect((await other.store.records([key]))[0]).toMatchObject({
    floored: 'open',
    ops: 1,
    view: { price: 7, unit: 'kg' },
  });
  expect((await never.store.records([key]))[0]?.floored).toBeUndefined();
  // The next one is upon it, for whoever takes one after the other.
  expect(await made(author.checkpoints(0, { takesEffect: true }))).toMatchObject({ figures: { gen: 2 } });
  for (const node of [other, never]) await pull(author, node, [author.self]);
  expect((await taken(author)).outcome).toBe('none');
  expect((await taken(other, author.self)).ids.length).toBe(1);
  expect((await taken(never, author.self)).ids.length).toBe(2);
  for (const node of [other, never]) expect(await wrongOf(node)).toEqual([]);
  expect(await rowsOf(never, ['digests'])).toEqual(await rowsOf(other, ['digests']));
});

it('killed after any of its batches it goes on at the next start, and ends as if nobody had killed it', async () => {
  const author = await member(nodeOf(1));
  const other = await member(nodeOf(2), [author.identity]);
  await trade(author, 600);
  await made(author.checkpoints());
  await edit(author, 'l1', { price: 7 });
  await pull(author, other, [author.self]);
  const digest = other.digestOf(author.self);
  const views = await other.views();
  const copies: { path: string; remove(): void }[] = [];
  const batch = other.db.batch.bind(other.db);
  other.db.batch = async (...what) => {
    await batch(...what);
    const copy = tempDir('killed');
    // What the process has handed to the system is there after its end.
    cpSync(other.dir, copy.path, { recursive: true });
    copies.push(copy);
  };
  expect((await taken(other, author.self)).outcome).toBe('done');
  other.db.batch = batch;
  const expected = await rowsOf(other, [...DERIVED, 'floors', 'changes']);
  // Marks, rows, marks, and three times some of the records.
  expect(copies.length).toBeGreaterThanOrEqual(7);
  for (const [i, copy] of copies.entries()) {
    const kept = { path: copy.path, remove: () => undefined };
    let close = (): Promise<void> => Promise.resolve();
    const again = await openMember(merger, (each) => (close = each), other.identity, [author.identity], kept);
    expect(again.digestOf(author.self), `after batch ${i + 1}`).toBe(digest);
    expect(await again.views()).toEqual(views);
    await again.ledger.drain();
    await taken(again, author.self);
    expect(await rowsOf(again, [...DERIVED, 'floors', 'changes']), `after batch ${i + 1}`).toEqual(expected);
    expect(await wrongOf(again)).toEqual([]);
    await close();
    copy.remove();
  }
}, 120_000);

/** The root of the chunks, cut anew from what is stored. */
async function rootOf({ db, store }: LedgerNode, author: Member['self']): Promise<string> {
  const { now } = store.floors.mark(author);
  if (now === undefined) throw new Error('nothing is in effect');
  const chunks = new ChunkWriter();
  for (const cover of now.covers) chunks.add(coverItem(cover));
  for await (const [key, value] of db.level.iterator(range('floors', slotStart('r', author, now.slot))))
    for (const item of itemsIn(key, value)) chunks.add(item);
  chunks.end();
  return chunks.root();
}

it('an erasure takes the values out of the floor in the same batch, and the chunks stay what they are', async () => {
  const author = await member(nodeOf(1));
  const other = await member(nodeOf(2), [author.identity]);
  await trade(author, 20);
  await edit(author, 'l5', { title: 'plain-willow-12' });
  await made(author.checkpoints());
  await pull(author, other, [author.self]);
  for (const node of [author, other]) expect((await taken(node, author.self)).outcome).toBe('done');
  const [checkpoint] = await heldOf(author);
  await edit(author, 'l5', { price: 3 });
  await erase(author, 'l5');
  await pull(author, other, [author.self]);
  for (const node of [author, other]) {
    const key = recordKey('listings', author.self, 'l5');
    expect(await node.store.floor(key)).toBeUndefined();
    expect(await rootOf(node, author.self)).toBe(checkpoint?.chunks);
    expect((await node.store.records([key]))[0]).toMatchObject({ erased: true, view: {} });
    for (const value of (await rowsOf(node, ['floors', 'records', 'entries'])).values())
      expect(Buffer.from(value, 'hex').includes('plain-willow-12')).toBe(false);
    expect(await wrongOf(node)).toEqual([]);
    await rebuilt(node);
    expect((await node.store.records([key]))[0]).toMatchObject({ erased: true, view: {} });
    expect(node.digestOf(author.self)).toBe(author.digestOf(author.self));
  }
});

it('that a record was erased stays in its floor, whatever is erased of it later; a checkpoint that covers what an erasure has ended without naming it is not called false', async () => {
  const author = await member(nodeOf(1));
  const copy = await member(nodeOf(1));
  const other = await member(nodeOf(2), [author.identity]);
  await trade(author, 5);
  await pull(author, copy, [author.self]);
  await made(author.checkpoints());
  await pull(author, other, [author.self]);
  for (const node of [author, other]) expect((await taken(node, author.self)).outcome).toBe('done');
  // Of this change the copy does not know, and its erasure does not name it.
  await edit(author, 'l4', { price: 9 });
  await made(author.checkpoints(0, { takesEffect: true }));
  await erase(copy, 'l4');
  await pull(author, other, [author.self]);
  await pull(copy, other, [author.self]);
  const key = recordKey('listings', author.self, 'l4');
  expect((await other.store.records([key]))[0]).toMatchObject({ erased: true, exists: false });
  expect(await taken(other, author.self)).toMatchObject({ outcome: 'incomplete', ids: [] });
  await pull(copy, author, [author.self]);
  expect(await made(author.checkpoints(0, { takesEffect: true }))).toMatchObject({ outcome: 'made' });
  expect(await author.store.floor(key)).toMatchObject({ kind: 'ended', erased: true });
  await erase(author, 'l4').catch(() => undefined); // there may be nothing left to name
  expect(await author.store.floor(key)).toMatchObject({ kind: 'ended', erased: true });
});

it('an author whose last checkpoint cannot be made anew makes the next upon the one before it', async () => {
  const author = await member(nodeOf(1));
  const [early, late, none] = await Promise.all([2, 3, 4].map((n) => member(nodeOf(n), [author.identity])));
  if (early === undefined || late === undefined || none === undefined) throw new Error('no members');
  await trade(author, 8);
  await made(author.checkpoints());
  const [first] = await heldOf(author);
  for (const node of [author, early, late]) {
    await pull(author, node, [author.self]);
    expect((await taken(node, author.self)).outcome).toBe('done');
  }
  await edit(author, 'l3', { title: 'plain-willow-12' });
  // Made by a process in which it does not take effect at once.
  await made(author.checkpoints());
  const second = (await heldOf(author)).find(({ gen }) => gen === 2);
  expect(second).toMatchObject({ prev: [first?.id], upon: first?.id });
  await pull(author, early, [author.self]);
  expect((await taken(early, author.self)).ids).toEqual([second?.id]);
  await erase(author, 'l3');
  expect(await taken(author)).toMatchObject({ outcome: 'incomplete', ids: [] });
  expect(await made(author.checkpoints(0, { takesEffect: true }))).toMatchObject({ outcome: 'made' });
  const third = (await heldOf(author)).find(({ gen }) => gen === 3);
  expect(third).toMatchObject({ prev: [second?.id], upon: first?.id });
  const outcomes: string[] = [];
  for (const node of [author, early, late, none]) {
    await pull(author, node, [author.self]);
    outcomes.push((await taken(node, author.self)).outcome);
    expect(node.digestOf(author.self)).toBe(author.digestOf(author.self));
    expect(await node.views()).toEqual(await author.views());
    expect(await wrongOf(node)).toEqual([]);
  }
  // Whoever had the first one in effect goes on from there; the others need what is stored at one of these.
  expect(outcomes).toEqual(['none', 'incomplete', 'done', 'incomplete']);
  for (const node of [author, late]) expect(node.store.floors.mark(author.self).now?.id).toBe(third?.id);
});

async function rebuilt(node: LedgerNode): Promise<Problem[]> {
  let problems: Problem[] = [];
  await node.ledger.alone(async () => {
    ({ problems } = await rebuildDamaged(node.db, merger, () => undefined));
    await node.store.reload();
  });
  return problems;
}

it('a damaged floor is named by fsck, and a rebuild begins at the genesis again, until it takes effect once more', async () => {
  const author = await member(nodeOf(1));
  await trade(author, 20);
  await made(author.checkpoints());
  await taken(author);
  const [digest, views] = [author.digestOf(author.self), await author.views()];
  const before = await rowsOf(author, ['floors']);
  // A rebuild leaves alone what is sound.
  expect(await rebuilt(author)).toEqual([]);
  expect(await rowsOf(author, ['floors'])).toEqual(before);
  expect([author.digestOf(author.self), await author.views()]).toEqual([digest, views]);
  expect(await wrongOf(author)).toEqual([]);
  const key = floorKey(recordKey('listings', author.self, 'l3'), 'a');
  const value = await author.db.level.get(key);
  if (value === undefined) throw new Error('no floor');
  await author.db.batch(
    [{ type: 'put', key, value: Uint8Array.from(value, (byte, i) => (i === 9 ? byte ^ 4 : byte)) }],
    true,
  );
  expect(await problemsOf(author.db)).toMatchObject([{ code: 'value-damaged' }]);
  expect(await rebuilt(author)).toMatchObject([{ code: 'value-damaged' }]);
  expect(await rowsOf(author, ['floors'])).toEqual(new Map());
  expect([author.digestOf(author.self), await author.views()]).toEqual([digest, views]);
  expect(await wrongOf(author)).toEqual([]);
  expect((await taken(author)).outcome).toBe('done');
  expect(await rowsOf(author, ['floors'])).toEqual(before);
  expect(await wrongOf(author)).toEqual([]);
});

it('a row is read strictly: another record, another owner, half erased, or what no chunk can have', () => {
  const owner = nodeOf(1).peerId;
  const key = recordKey('listings', owner, 'x');
  const full = floorKey(key, 'a');
  const floor: Floor = {
    kind: 'document',
    key,
    heads: ['ab'.repeat(32)],
    maxOp: 3,
    created: [1, 0],
    updated: [2, 0],
    values: [
      { field: 'status', counter: 3, actor: 'cd'.repeat(16), value: 'active' },
      { field: 'type', counter: 2, actor: 'cd'.repeat(16), value: 'offer' },
    ],
  };
  const items = [...floorItems(floor)];
  const row = floorRow(full, items);
  expect(floorIn(full, key, row)).toEqual(floor);
  expect(floorIn(full, key, floorRow(full, items.map(erasedItem)))).toBeUndefined();
  const other = recordKey('listings', owner, 'y');
  const moved = floorRow(floorKey(other, 'a'), items);
  const bad = [
    () => floorIn(floorKey(other, 'a'), other, moved),
    () => floorIn(floorKey(other, 'a'), other, row),
    () => floorIn(full, key, floorRow(full, [...items, ...items])),
    () => floorIn(full, key, floorRow(full, [...items, ...items.map(erasedItem)])),
    () =>
      floorIn(
        full,
        key,
        floorRow(full, [coverItem({ epoch: '0'.repeat(16), seq: 1, hash: 'ab'.repeat(32) })]),
      ),
    () => floorIn(full, key, withChecksum(full, chunkOf(items).bytes.subarray(1))),
    () => floorIn(fullKey('floors', 'r'), key, row),
    () =>
      floorIn(
        full,
        key,
        Uint8Array.from(row, (byte, i) => (i === 5 ? byte ^ 1 : byte)),
      ),
  ];
  for (const [i, read] of bad.entries())
    expect(read, `${i}`).toThrow(expect.objectContaining({ code: 'value-damaged' }) as Error);
});
