import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeEach, expect, it } from 'vitest';
import { rebuildStore } from '../../../daemon/rebuild.ts';
import { type CheckpointStatement, signCheckpoint } from '../../../protocols/feed/checkpoint.ts';
import { makeForkProof } from '../../../protocols/feed/fork.ts';
import { signEntry } from '../../../protocols/feed/entry.ts';
import { encodeOp } from '../../../protocols/feed/op.ts';
import { draftCheckpoint, draftFact } from '../../../protocols/ledger/drafts.ts';
import type { Committed } from '../../../protocols/ledger/types.ts';
import { ItemPacker, unpacked } from '../../../protocols/mycelium/packed-items.ts';
import { readOp } from '../../../protocols/open-dialog/read-op.ts';
import type { PeerId } from '../../../protocols/wire/identity.ts';
import { Hand } from '../../support/forge.ts';
import { type LedgerNode, openLedgerNode, pull } from '../../support/ledger-node.ts';
import { threadedMerger } from '../../support/merger.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { PRICE, vectorStatement } from '../../support/vectors/checkpoints.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';
import { listVerdicts } from '../../../storage/verdict-list.ts';

const merger = threadedMerger((alarm) => {
  throw new Error(alarm.kind);
});
afterAll(() => merger.stop());

let dir: ReturnType<typeof tempDir>;
let node: LedgerNode;
let told: Committed[];
const author = nodeOf(7);
beforeEach(async () => {
  dir = tempDir('checkpoint-ops');
  told = [];
  node = await openLedgerNode(dir.path, nodeOf(8), merger, (committed) => told.push(committed));
});
afterEach(async () => {
  await node.close();
  dir.remove();
});

const said = (gen: number): CheckpointStatement => ({ ...vectorStatement(), net: 'test', gen });
const op = (gen: number, by = author, change: { k?: string; t?: string } = {}): Uint8Array =>
  encodeOp({ v: 1, c: 'checkpoints', k: '', t: 'checkpoint', d: signCheckpoint(by, said(gen)), ...change });
const kept = async (of: PeerId = author.peerId): Promise<number[]> =>
  (await Array.fromAsync(node.store.checkpoints(of))).map(({ checkpoint }) => checkpoint.gen);
const hand = (): Hand => new Hand(author, randomBytes(8).toString('hex'));
const verdicts = async (): Promise<string[]> =>
  (await listVerdicts(node.db, 10, {}, '')).ops.map(({ verdict }) => verdict.code);

it('is kept, told of, and is in no digest', async () => {
  const before = node.digestOf(author.peerId);
  const [received] = await node.ledger.receive([hand().next([op(1)]).bytes]);
  expect(received?.kind).toBe('accept');
  expect(await kept()).toEqual([1]);
  expect(told.flatMap(({ checkpoints = [] }) => checkpoints.map(({ gen }) => gen))).toEqual([1]);
  expect(node.digestOf(author.peerId)).toBe(before);
  expect(await verdicts()).toEqual([]);
});

it('of another, for a record, or of an unknown type is none', async () => {
  const ops = [op(1, nodeOf(9)), op(2, author, { k: `${author.peerId}/x` }), op(3, author, { t: 'more' })];
  await node.ledger.receive([hand().next(ops).bytes]);
  expect(await kept()).toEqual([]);
  expect((await verdicts()).sort()).toEqual([
    'checkpoint-foreign',
    'checkpoint-malformed',
    'op-type-unknown',
  ]);
});

it('outlives a fork below it, and a rebuild', async () => {
  const feed = hand();
  const fact = encodeOp({ v: 1, c: 'later', k: '', t: 'fact', d: new Uint8Array(1) });
  const [first, second] = [feed.next([fact]), feed.next([op(1)])];
  await node.ledger.receive([first.bytes, second.bytes]);
  const other = new Hand(author, feed.epoch).next([fact, fact]);
  expect(await node.ledger.receiveProof(makeForkProof(first, other).bytes)).toBe('new');
  expect(await kept()).toEqual([1]);
  const { store, problems } = await rebuildStore(node.db, merger, () => undefined);
  expect(problems).toEqual([]);
  const again = await Array.fromAsync(store.checkpoints(author.peerId));
  expect(again.map(({ checkpoint }) => checkpoint.gen)).toEqual([1]);
});

it('reads the same on the thread that reads ranges', () => {
  const entry = hand().next([op(1)]);
  const [item] = entry.body;
  const bytes = item !== undefined && 'op' in item ? item.op : new Uint8Array();
  const placed = { ...entry.header, author: author.peerId, index: 0, bytes };
  const read = readOp(placed);
  const packer = new ItemPacker();
  packer.add({ kind: 'entry', bytes: entry.bytes }, { entry, ops: [read] });
  const [opened] = unpacked(structuredClone(packer.packed()));
  expect(read).toMatchObject({ checkpoint: { gen: 1, author: author.peerId } });
  expect(opened).toMatchObject({ kind: 'entry' });
  expect(opened?.read?.op(placed)).toEqual(read);
});

it('is written by the own ledger, and pulled by others', async () => {
  const identity = nodeOf(8);
  await node.ledger.write({
    keys: [],
    draft: () => [draftCheckpoint(node.self, signCheckpoint(identity, said(1)))],
  });
  await node.ledger.write({
    keys: [],
    draft: (writer) => [
      draftCheckpoint(node.self, signCheckpoint(identity, said(2))),
      draftFact(writer, 'prices', PRICE),
    ],
  });
  expect(await kept(node.self)).toEqual([1, 2]);
  const otherDir = tempDir('checkpoint-ops');
  const other = await openLedgerNode(otherDir.path, nodeOf(9), merger);
  try {
    expect(await pull(node, other, [node.self])).toBe(2);
    expect((await Array.fromAsync(other.store.checkpoints(node.self))).length).toBe(2);
    expect(other.digestOf(node.self)).toBe(node.digestOf(node.self));
  } finally {
    await other.close();
    otherDir.remove();
  }
});

it('that stood above a fork of its own feed is issued again: whoever holds the other branch never receives that entry', async () => {
  const { self, store } = node;
  const price = (market: string) => draftFact({ author: self, epoch: '' }, 'prices', { ...PRICE, market });
  await node.ledger.write({ keys: [], draft: () => [price('a')] });
  const [feed] = store.feeds(self, 'public');
  const head = feed && (await store.entry(feed.no, feed.seq));
  if (head === undefined) throw new Error('nothing was written');
  const { n: _, root: __, ...place } = head.header;
  const at = { ...place, seq: 2, prev: head.hash, after: [] };
  const branch = signEntry(nodeOf(8), at, price('b').ops);
  const otherDir = tempDir('checkpoint-ops');
  const other = await openLedgerNode(otherDir.path, nodeOf(9), merger);
  try {
    await pull(node, other, [self]);
    expect(await other.ledger.receive([branch.bytes])).toMatchObject([{ kind: 'accept' }]);
    const signed = signCheckpoint(nodeOf(8), said(1));
    await node.ledger.write({ keys: [], draft: () => [draftCheckpoint(self, signed)] });
    expect(await node.ledger.receive([branch.bytes])).toMatchObject([{ kind: 'fork' }]);
    await node.ledger.drain();
    await pull(node, other, [self], { forks: true });
    const ids = async (each: LedgerNode): Promise<Set<string>> =>
      new Set((await Array.fromAsync(each.store.checkpoints(self))).map(({ checkpoint }) => checkpoint.id));
    expect((await ids(other)).size).toBe(1);
    expect(await ids(other)).toEqual(await ids(node));
    expect(other.digestOf(self)).toBe(node.digestOf(self));
  } finally {
    await other.close();
    otherDir.remove();
  }
});
