import { expect, it } from 'vitest';
import { rebuildStore } from '../../../daemon/rebuild.ts';
import { signCheckpoint } from '../../../protocols/feed/checkpoint.ts';
import { makeForkProof } from '../../../protocols/feed/fork.ts';
import { encodeOp } from '../../../protocols/feed/op.ts';
import { draftCheckpoint } from '../../../protocols/ledger/drafts.ts';
import { rangeItems, rangeRequest } from '../../../protocols/mycelium/range.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { checkpointKey } from '../../../storage/commit-rows.ts';
import { entryKey } from '../../../storage/entry-row.ts';
import { fullKey, numberKey } from '../../../storage/keyspace.ts';
import type { Store } from '../../../storage/store.ts';
import {
  checkpointMembers,
  edit,
  erase,
  found,
  heldOf,
  made,
  type Member,
  newestTime,
  planned,
} from '../../support/checkpoint-member.ts';
import { Hand, priceOps } from '../../support/forge.ts';
import { pull } from '../../support/ledger-node.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';
import { waitFor } from '../../support/wait.ts';

const { merger, member } = checkpointMembers();

const maize = (node: Member, i: number): ReturnType<typeof recordKey> =>
  recordKey('listings', node.self, `maize-${i}`);

/** An author of listings, each created and then edited, and somebody who follows it. */
async function pair(count = 3): Promise<{ author: Member; other: Member }> {
  const author = await member(nodeOf(1));
  const other = await member(nodeOf(2), [author.identity]);
  for (let i = 0; i < count; i++) await edit(author, `maize-${i}`, { type: 'offer', status: 'active' });
  for (let i = 0; i < count; i++) await edit(author, `maize-${i}`, { price: i });
  return { author, other };
}

/** The proof that an author has signed two entries at a place of its newest feed. */
async function forkAt(author: Member, seq: number): Promise<Uint8Array> {
  const [feed] = author.store.feeds(author.self, 'public');
  const entry = feed && (await author.store.entry(feed.no, seq));
  if (feed === undefined || entry === undefined) throw new Error('no such entry');
  const hand = new Hand(author.identity, feed.epoch);
  const place = { seq, prev: entry.header.prev ?? null };
  return makeForkProof(entry, hand.sign(priceOps(hand.pen, 'other', 1), place)).bytes;
}

/** Publishes a checkpoint like the last one, but for what it says of its chunks. */
async function lie(author: Member): Promise<void> {
  const good = (await heldOf(author)).at(-1);
  if (good === undefined) throw new Error('none was made');
  const { author: _, id, signed: __, ...said } = good;
  const altered = { ...said, gen: said.gen + 1, prev: [id], chunks: '11'.repeat(32) };
  await author.ledger.write({
    keys: [],
    draft: () => [draftCheckpoint(author.self, signCheckpoint(author.identity, altered))],
  });
}

/** The store of a node; before the keys of records are read for the first time, something else happens. */
function meanwhile(store: Store, happens: () => Promise<unknown>): Store {
  let isFirst = true;
  return new Proxy(store, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      if (name !== 'records') return value.bind(target);
      return async (...what: Parameters<Store['records']>) => {
        const states = await target.records(...what);
        if (isFirst) {
          isFirst = false;
          await happens();
        }
        return states;
      };
    },
  });
}

const INCOMPLETE = { verified: 'incomplete' };

it('a fork that is proven later, at what is covered: still what it gave; after a rebuild nothing is decided', async () => {
  const { author, other } = await pair();
  await made(author.checkpoints());
  await pull(author, other, [author.self]);
  const before = other.digestOf(author.self);
  expect(await other.ledger.receiveProof(await forkAt(author, 2))).toBe('new');
  await other.ledger.drain();
  expect(other.digestOf(author.self)).not.toBe(before);
  const { store } = await rebuildStore(other.db, merger, () => undefined);
  expect(await found(other, other.checkpoints(0, { store }))).toMatchObject(INCOMPLETE);
  expect(other.alarmed).toEqual([]);
  const third = await member(nodeOf(3), [author.identity]);
  await pull(author, third, [author.self]);
  await third.ledger.receiveProof(await forkAt(author, 2));
  expect(await found(third)).toMatchObject({ verified: 'true' });
});

it('a fork, an erasure or a forgetting that comes while it is looked at', async () => {
  const { author } = await pair();
  await made(author.checkpoints());
  const proof = await forkAt(author, 2);
  const forked = await member(nodeOf(2), [author.identity]);
  await pull(author, forked, [author.self]);
  const fork = meanwhile(forked.store, () => forked.ledger.receiveProof(proof));
  expect((await found(forked, forked.checkpoints(0, { store: fork }))).verified).not.toBe('false');
  const erased = await member(nodeOf(3), [author.identity]);
  await pull(author, erased, [author.self]);
  await erase(author, 'maize-1');
  const erasure = meanwhile(erased.store, () => pull(author, erased, [author.self]));
  expect(await found(erased, erased.checkpoints(0, { store: erasure }))).toMatchObject(INCOMPLETE);
  const forgetful = await member(nodeOf(4), [author.identity]);
  await pull(author, forgetful, [author.self]);
  const [feed] = forgetful.store.feeds(author.self, 'public');
  if (feed === undefined) throw new Error('nothing pulled');
  const { no, channel, epoch, seq } = feed;
  const gap = { no, author: author.self, channel, epoch, at: 1, seq, kept: new Map<number, Set<number>>() };
  const forgetting = meanwhile(forgetful.store, () => forgetful.store.forget([gap], author.self));
  expect(await found(forgetful, forgetful.checkpoints(0, { store: forgetting }))).toMatchObject(INCOMPLETE);
  expect([...forked.alarmed, ...erased.alarmed, ...forgetful.alarmed]).toEqual([]);
});

it('edits and endings that come while it is looked at do not matter', async () => {
  const { author, other } = await pair();
  await made(author.checkpoints());
  await pull(author, other, [author.self]);
  for (let i = 0; i < 3; i++) await edit(author, `maize-${i}`, { price: 50 });
  const store = meanwhile(other.store, () => pull(author, other, [author.self]));
  expect(await found(other, other.checkpoints(0, { store }))).toMatchObject({ verified: 'true' });
});

it('a listing that was erased since', async () => {
  const { author, other } = await pair();
  await made(author.checkpoints());
  await erase(author, 'maize-1');
  await pull(author, other, [author.self]);
  expect(await found(other)).toMatchObject({ ...INCOMPLETE, why: expect.stringContaining('erased') });
  expect(other.alarmed).toEqual([]);
});

it('a listing that was erased since, where the erasure itself is not here yet, or stands above a fork', async () => {
  const { author, other } = await pair();
  await made(author.checkpoints());
  await erase(author, 'maize-1');
  const last = author.store.feeds(author.self, 'public')[0]?.seq ?? 0;
  const proof = await forkAt(author, last);
  const forked = await member(nodeOf(3), [author.identity]);
  await pull(author, forked, [author.self]);
  await forked.ledger.receiveProof(proof);
  expect(await found(forked)).toMatchObject(INCOMPLETE);
  const entries: Uint8Array[] = [];
  for await (const item of rangeItems(author.store, rangeRequest(author.self, 'public', [])))
    if (item.kind === 'erasure') await other.ledger.receiveErasure(item.bytes);
    else entries.push(item.bytes);
  await other.ledger.receive(entries.slice(0, -1));
  expect(await found(other)).toMatchObject(INCOMPLETE);
  expect([...forked.alarmed, ...other.alarmed]).toEqual([]);
});

it('a covered erasure is part of it, whoever still had the listing and whoever never did', async () => {
  const { author, other } = await pair();
  await pull(author, other, [author.self]);
  await erase(author, 'maize-1');
  await made(author.checkpoints());
  const late = await member(nodeOf(3), [author.identity]);
  for (const node of [other, late]) {
    await pull(author, node, [author.self]);
    expect(await found(node)).toMatchObject({ verified: 'true' });
  }
});

it('is not made where an erasure may not be known to whoever has it', async () => {
  const author = await member(nodeOf(1));
  const copy = await member(nodeOf(1));
  await edit(author, 'maize-1', { type: 'offer', status: 'active' });
  await edit(author, 'maize-2', { type: 'offer', status: 'active' });
  await pull(author, copy, [author.self]);
  const then = Date.now();
  await waitFor('the clock goes on', () => Date.now() > then + 2);
  await erase(copy, 'maize-1');
  await edit(author, 'maize-2', { price: 1 });
  await pull(copy, author, [author.self]);
  const lag = (await newestTime(author)) - then;
  const plan = await planned(author.checkpoints(lag));
  expect(plan).toMatchObject({ outcome: 'refused', why: { code: 'checkpoint-refused' } });
  expect(plan.why?.message).toContain('erased');
  expect(await made(author.checkpoints())).toMatchObject({ outcome: 'made' });
});

it('entries of the author that need a newer version', async () => {
  const { author, other } = await pair();
  await made(author.checkpoints());
  await lie(author);
  const later = encodeOp({ v: 1, c: 'later', k: '', t: 'fact', d: new Uint8Array(1) });
  const hand = new Hand(author.identity, 'ab'.repeat(8));
  await pull(author, other, [author.self]);
  await other.ledger.receive([hand.next([later]).bytes]);
  expect(await found(other)).toMatchObject({ ...INCOMPLETE, why: expect.stringContaining('newer') });
  expect(other.alarmed).toEqual([]);
});

it('entries that were refused here, as beyond a quota', async () => {
  const { author, other } = await pair();
  const items = await Array.fromAsync(rangeItems(author.store, rangeRequest(author.self, 'public', [])));
  await made(author.checkpoints());
  // The checkpoint itself comes by another branch of its author, which names nothing of the first.
  const [checkpoint] = await heldOf(author);
  const hand = new Hand(author.identity, 'ab'.repeat(8));
  const op = encodeOp({
    v: 1,
    c: 'checkpoints',
    k: '',
    t: 'checkpoint',
    d: checkpoint?.signed ?? new Uint8Array(),
  });
  await other.ledger.receive([...items.slice(0, -1).map(({ bytes }) => bytes), hand.next([op]).bytes]);
  expect(await found(other)).toMatchObject({ ...INCOMPLETE, why: expect.stringContaining('not all') });
});

/** What is done to a holder's rows, and whether what the entries give can be told all the same. */
const FAULTS: Readonly<Record<string, (node: Member, author: Member, no: number) => Promise<unknown>>> = {
  'an entry that is gone': ({ db }, _, no) => db.level.del(entryKey(no, 2)),
  'an entry that is damaged': ({ db }, _, no) => db.level.put(entryKey(no, 2), new Uint8Array(90)),
  'the entry of a checkpoint that is gone': async ({ db, store }, { self }, no) => {
    const [first] = await Array.fromAsync(store.checkpoints(self));
    return db.level.del(entryKey(no, first?.seq ?? 0));
  },
  'a record that is gone': ({ db }, author) => db.level.del(fullKey('records', maize(author, 1))),
  'a record that is damaged': ({ db }, author) =>
    db.level.put(fullKey('records', maize(author, 1)), new Uint8Array(90)),
  'an op that is not found from its record': async ({ db }, author, no) => {
    const start = fullKey('recordOps', `${maize(author, 1)}\0${numberKey(no)}`);
    const rows = await db.level.keys({ gte: start, lt: `${start}g` }).all();
    await db.level.del(rows.at(1) ?? '');
  },
  'a checkpoint that is gone': async ({ db, store }, { self }) => {
    const [first] = await Array.fromAsync(store.checkpoints(self));
    if (first === undefined) throw new Error('none');
    await db.level.del(checkpointKey({ author: self, channel: 'public', ...first }));
  },
};

it.each(Object.entries(FAULTS))('%s: nothing is decided', async (_, plant) => {
  const { author, other } = await pair();
  await made(author.checkpoints());
  await edit(author, 'maize-1', { price: 90 });
  await made(author.checkpoints());
  await edit(author, 'maize-1', { price: 91 });
  await pull(author, other, [author.self]);
  await plant(other, author, other.store.feeds(author.self, 'public')[0]?.no ?? 0);
  expect(await found(other)).toMatchObject(INCOMPLETE);
  expect(other.alarmed).toEqual([]);
});

it('a record whose stored state is an older one is evaluated from its ops', async () => {
  const { author, other } = await pair();
  await pull(author, other, [author.self]);
  const row = fullKey('records', maize(author, 1));
  const old = await other.db.level.get(row);
  await edit(author, 'maize-1', { price: 90 });
  await made(author.checkpoints());
  await pull(author, other, [author.self]);
  await other.db.level.put(row, old ?? new Uint8Array());
  expect(await found(other)).toMatchObject({ verified: 'true' });
});

it('two of one generation: the one in force is verified, and that there is another is shown', async () => {
  const author = await member(nodeOf(1));
  const copy = await member(nodeOf(1));
  const other = await member(nodeOf(2), [author.identity]);
  await edit(author, 'maize-1', { type: 'offer', status: 'active' });
  await pull(author, copy, [author.self]);
  await edit(author, 'maize-1', { price: 1 });
  await edit(copy, 'maize-1', { price: 2 });
  for (const each of [author, copy]) await made(each.checkpoints());
  for (const each of [author, copy]) await pull(each, other, [author.self]);
  const checkpoints = other.checkpoints();
  expect(await found(other, checkpoints)).toMatchObject({ verified: 'true' });
  expect((await checkpoints.status()).checkpoints[0]).toMatchObject({ contested: true, gen: 1 });
  expect(other.alarmed).toEqual([]);
});

it('what somebody waits for is not behind a verification: that ends, and is done another time', async () => {
  const { author, other } = await pair();
  await made(author.checkpoints());
  await edit(other, 'beans-1', { type: 'offer', status: 'active' });
  await pull(author, other, [author.self]);
  let asked: Promise<unknown> = Promise.resolve();
  const store = meanwhile(other.store, async () => {
    asked = planned(checkpoints);
  });
  const checkpoints = other.checkpoints(0, { store });
  expect(await found(other, checkpoints)).toMatchObject({ verified: undefined });
  expect(await asked).toMatchObject({ outcome: 'ready', figures: { records: 1 } });
  expect(await found(other, checkpoints)).toMatchObject({ verified: 'true' });
});
