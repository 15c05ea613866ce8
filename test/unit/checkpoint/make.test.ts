import { afterAll, afterEach, expect, it } from 'vitest';
import type { CheckpointOutcome } from '../../../api/ports/checkpoints.ts';
import { Checkpoints } from '../../../daemon/checkpoint/checkpoints.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { type Checkpoint, readCheckpoint, signCheckpoint } from '../../../protocols/checkpoint/statement.ts';
import { draftCheckpoint, draftEdit, draftFact, draftTombstone } from '../../../protocols/ledger/drafts.ts';
import { recordKey, type RecordKey } from '../../../protocols/wire/ids.ts';
import type { Identity } from '../../../protocols/wire/identity.ts';
import { type LedgerNode, openLedgerNode, pull } from '../../support/ledger-node.ts';
import { createInlineMerges } from '../../support/inline-merges.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';
import { waitFor } from '../../support/wait.ts';

const merger = createInlineMerges(systemEnv);
const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});
afterAll(() => merger.stop());

interface Member extends LedgerNode {
  readonly identity: Identity;
  readonly alarmed: Checkpoint[];
  /** Its checkpoints, lagging so many milliseconds. */
  checkpoints(lagMs?: number, isKeyElsewhere?: boolean): Checkpoints;
}

async function member(identity: Identity, followed: readonly Identity[] = []): Promise<Member> {
  const dir = tempDir('checkpoint');
  const made: Checkpoints[] = [];
  const node = await openLedgerNode(dir.path, identity, merger, (committed) => {
    for (const each of made) each.committed(committed);
  });
  const alarmed: Checkpoint[] = [];
  open.push(async () => {
    for (const each of made) await each.stop();
    await node.close();
    dir.remove();
  });
  return {
    ...node,
    identity,
    alarmed,
    checkpoints(lagMs = 0, isKeyElsewhere = false) {
      const checkpoints = new Checkpoints({
        identity,
        net: 'test',
        store: node.store,
        db: node.db,
        ledger: node.ledger,
        awaitFence: async () => undefined,
        isKeyElsewhere: () => isKeyElsewhere,
        everyDays: 0,
        followed: () => followed.map(({ peerId }) => peerId),
        onFalse: (checkpoint) => alarmed.push(checkpoint),
        log: () => undefined,
        now: Date.now,
        env: systemEnv,
        lagMs,
      });
      made.push(checkpoints);
      return checkpoints;
    },
  };
}

async function edit(node: LedgerNode, id: string, patch: Record<string, string | number>): Promise<void> {
  const key = recordKey('listings', node.self, id);
  await node.ledger.write({
    keys: [key],
    draft: (writer, read) => [draftEdit(writer, key, 'public', read(key), patch)],
  });
}
const end = (node: LedgerNode, key: RecordKey): Promise<unknown> =>
  node.ledger.write({ keys: [key], draft: () => [draftTombstone(key, 'public')] });
const fact = (node: LedgerNode, collection: string, fields: Record<string, string | number>) =>
  node.ledger.write({ keys: [], draft: (writer) => [draftFact(writer, collection, fields)] });

/** Listings that were edited and ended, a price, and heads of an audit log, which stay as evidence. */
async function trade(node: LedgerNode): Promise<void> {
  for (let i = 0; i < 70; i++) await edit(node, `maize-${i}`, { type: 'offer', status: 'active', price: i });
  for (let i = 0; i < 10; i++) await edit(node, 'maize-1', { price: 100 + i, unit: 'kg' });
  await end(node, recordKey('listings', node.self, 'maize-2'));
  await fact(node, 'prices', {
    date: '2026-01-15',
    market: 'Kisumu',
    commodity: 'Maize',
    unit: 'kg',
    priceType: 'Retail',
    currency: 'KES',
    price: 55.5,
  });
  await fact(node, 'audit-heads', { head: '7a'.repeat(32), place: 'a'.repeat(22), at: 1 });
}

async function newestTime(node: LedgerNode): Promise<number> {
  const feeds = node.store.feeds(node.self, 'public');
  const heads = await Promise.all(feeds.map(({ no, seq }) => node.store.entry(no, seq)));
  return Math.max(...heads.map((entry) => entry?.header.time[0] ?? 0));
}

const made = (checkpoints: Checkpoints): Promise<CheckpointOutcome> => checkpoints.make(() => undefined);
const planned = (checkpoints: Checkpoints): Promise<CheckpointOutcome> => checkpoints.plan(() => undefined);
const heldOf = async (node: LedgerNode, author = node.self): Promise<Checkpoint[]> =>
  (await Array.fromAsync(node.store.checkpoints(author))).map(({ checkpoint }) => checkpoint);
async function verified(node: Member): Promise<unknown> {
  const checkpoints = node.checkpoints();
  await checkpoints.look();
  return (await checkpoints.status()).checkpoints.find(({ author }) => author !== node.self)?.verified;
}

it('is of what is shown, and gives whoever holds the entries the same, however much more there is', async () => {
  const author = await member(nodeOf(1));
  const other = await member(nodeOf(2), [author.identity]);
  await trade(author);
  const digest = author.digestOf(author.self);
  const plan = await planned(author.checkpoints());
  expect(plan).toMatchObject({ outcome: 'ready', figures: { digest, evidence: 1, gen: 1, records: 72 } });
  expect(await heldOf(author)).toEqual([]);
  const progress: number[] = [];
  const result = await author.checkpoints().make((done) => progress.push(done));
  expect(result).toEqual({ ...plan, outcome: 'made', id: (await heldOf(author))[0]?.id });
  expect(progress.at(-1)).toBe(72);
  expect(author.digestOf(author.self)).toBe(digest);
  // What comes after is above it.
  await edit(author, 'maize-1', { price: 7 });
  await edit(author, 'maize-99', { type: 'offer', status: 'active' });
  await end(author, recordKey('listings', author.self, 'maize-3'));
  await pull(author, other, [author.self]);
  expect(await verified(other)).toBe('true');
  expect(other.alarmed).toEqual([]);
});

it('lags: it covers what was signed by then, and the next one takes its place', async () => {
  const author = await member(nodeOf(1));
  await edit(author, 'maize-1', { type: 'offer', status: 'active' });
  const [digest, then] = [author.digestOf(author.self), Date.now()];
  await waitFor('the clock goes on', () => Date.now() > then + 2);
  for (let i = 0; i < 3; i++) await edit(author, 'maize-1', { price: i });
  const newest = await newestTime(author);
  expect(await made(author.checkpoints(newest - then))).toMatchObject({
    outcome: 'made',
    figures: { digest, entries: 1 },
  });
  expect(await planned(author.checkpoints(newest))).toEqual({
    outcome: 'unchanged',
    id: (await heldOf(author))[0]?.id,
  });
  expect(await made(author.checkpoints())).toMatchObject({ figures: { gen: 2 } });
  const [first, second] = await heldOf(author);
  expect(second?.prev).toEqual([first?.id]);
});

it('is not made of a node that has nothing, or whose key is used elsewhere', async () => {
  const author = await member(nodeOf(1));
  expect(await made(author.checkpoints())).toEqual({ outcome: 'nothing' });
  await edit(author, 'maize-1', { type: 'offer', status: 'active' });
  expect(await planned(author.checkpoints(0, true))).toMatchObject({
    outcome: 'refused',
    why: { code: 'checkpoint-refused' },
  });
  await expect(made(author.checkpoints(0, true))).rejects.toMatchObject({ code: 'checkpoint-refused' });
});

it('is not made where a change that did not know of a later one would be lost, and is when both are covered', async () => {
  const author = await member(nodeOf(1));
  const copy = await member(nodeOf(1));
  await edit(author, 'maize-1', { type: 'offer', status: 'active' });
  await pull(author, copy, [author.self]);
  await edit(author, 'maize-1', { price: 1 });
  const then = Date.now();
  await waitFor('the clock goes on', () => Date.now() > then + 2);
  await edit(copy, 'maize-1', { price: 2 });
  await pull(copy, author, [author.self]);
  const plan = await planned(author.checkpoints((await newestTime(author)) - then));
  expect(plan).toMatchObject({ outcome: 'refused', why: { code: 'checkpoint-refused' } });
  expect(plan.why?.message).toContain('would lose a change');
  expect(await made(author.checkpoints())).toMatchObject({ outcome: 'made', figures: { count: 1 } });
  const other = await member(nodeOf(2), [author.identity]);
  await pull(author, other, [author.self]);
  expect(await verified(other)).toBe('true');
});

it('of other sums than its entries give is false; one that is not all held yet is neither', async () => {
  const author = await member(nodeOf(1));
  const other = await member(nodeOf(2), [author.identity]);
  await trade(author);
  await made(author.checkpoints());
  const [good] = await heldOf(author);
  if (good === undefined) throw new Error('none was made');
  const { author: _, id, signed: __, ...said } = good;
  const altered = signCheckpoint(author.identity, { ...said, gen: 2, prev: [id], chunks: '11'.repeat(32) });
  await author.ledger.write({ keys: [], draft: () => [draftCheckpoint(author.self, altered)] });
  await pull(author, other, [author.self]);
  expect(await verified(other)).toBe('false');
  expect(other.alarmed.map((each) => each.id)).toEqual([readCheckpoint(altered).id]);
  // It was decided: nothing is done again, and nobody alarmed twice.
  await other.checkpoints().look();
  expect(other.alarmed.length).toBe(1);
});

it('of entries that are not held here is incomplete', async () => {
  const [author, other] = [await member(nodeOf(1)), await member(nodeOf(2), [nodeOf(1)])];
  await edit(author, 'maize-1', { type: 'offer', status: 'active' });
  await made(author.checkpoints());
  const [good] = await heldOf(author);
  if (good === undefined) throw new Error('none was made');
  const { author: _, id: __, signed: ___, ...said } = good;
  const ahead = said.covers.map((cover) => ({ ...cover, seq: cover.seq + 100 }));
  const early = signCheckpoint(author.identity, { ...said, gen: 9, covers: ahead });
  await author.ledger.write({ keys: [], draft: () => [draftCheckpoint(author.self, early)] });
  await pull(author, other, [author.self]);
  expect(await verified(other)).toBe('incomplete');
  expect(other.alarmed).toEqual([]);
});
