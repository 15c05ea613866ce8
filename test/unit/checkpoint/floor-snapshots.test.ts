import { describe, expect, it } from 'vitest';
import { FloorSnapshots } from '../../../daemon/checkpoint/floor-snapshots.ts';
import { HeldShortly } from '../../../daemon/checkpoint/held-shortly.ts';
import { SnapshotFetch } from '../../../daemon/checkpoint/snapshot-fetch.ts';
import { SnapshotHolders } from '../../../daemon/checkpoint/snapshot-holders.ts';
import { stageFetched } from '../../../daemon/checkpoint/stage-fetched.ts';
import { WalkedSnapshots } from '../../../daemon/checkpoint/walked-snapshots.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { type Chunk, decodeChunk, rootOf } from '../../../protocols/checkpoint/chunk.ts';
import { SnapshotBuilder } from '../../../protocols/checkpoint/snapshot.ts';
import { listRoot, SNAPSHOT_LISTS, type SnapshotList } from '../../../protocols/checkpoint/snapshot-list.ts';
import type { Checkpoint } from '../../../protocols/feed/checkpoint.ts';
import { atOnce } from '../../../protocols/ledger/turn.ts';
import { Offences } from '../../../protocols/mycelium/offences.ts';
import { SnapshotAnswers, type SnapshotSource } from '../../../protocols/mycelium/snapshot-answer.ts';
import { floorItems } from '../../../protocols/checkpoint/items.ts';
import { hex } from '../../../protocols/wire/bytes.ts';
import { FetchedTable } from '../../../storage/fetched-table.ts';
import { FloorChunks } from '../../../storage/floor-chunks.ts';
import { FloorStaging } from '../../../storage/floor-staging.ts';
import { innerKey, range } from '../../../storage/keyspace.ts';
import {
  checkpointMembers,
  edit,
  erase,
  fact,
  heldOf,
  made,
  type Member,
} from '../../support/checkpoint-member.ts';
import { pull } from '../../support/ledger-node.ts';
import { AUTHOR, listingFloor } from '../../support/served-snapshot.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const { member } = checkpointMembers();
const LISTINGS = 150;

/** What a node serves; without what is stored of checkpoints that are in effect, from its entries alone. */
function sourceOf({ store, db }: Member, isStored: boolean): SnapshotSource {
  const floors = isStored
    ? new FloorSnapshots({ store, db, env: systemEnv })
    : { open: async () => undefined };
  return new WalkedSnapshots({
    store,
    floors,
    held: new HeldShortly(store, 'test', systemEnv),
    env: systemEnv,
  });
}

async function listOf(source: SnapshotSource, { author, id }: Checkpoint, list: SnapshotList) {
  const served = await source.open(author, id, list, 'a');
  if (served === undefined) throw new Error(`nothing is served of the ${list}`);
  const hashes = await Array.fromAsync(served.hashes());
  return { served, hashes, chunks: await Array.fromAsync(served.chunks(0, hashes.length - 1)) };
}

/** Listings that are more than a chunk together, and heads of an audit log, which stay as evidence. */
async function author(): Promise<{ node: Member; checkpoint: Checkpoint }> {
  const node = await member(nodeOf(1));
  const description = 'x'.repeat(4000);
  for (let i = 0; i < LISTINGS; i++)
    await edit(node, `l${i}`, { type: 'offer', status: 'active', description: `${description}${i}.` });
  for (let at = 1; at < 4; at++)
    await fact(node, 'audit-heads', { head: '7a'.repeat(32), place: 'a'.repeat(22), at });
  expect(await made(node.checkpoints())).toMatchObject({ outcome: 'made' });
  const [checkpoint] = await heldOf(node);
  if (checkpoint === undefined) throw new Error('none was made');
  return { node, checkpoint };
}

describe('what is stored of a checkpoint in effect', () => {
  it('gives the same chunks as the entries, from wherever they are asked for', async () => {
    const { node, checkpoint } = await author();
    const other = await member(nodeOf(2), [node.identity]);
    await pull(node, other, [node.self]);
    expect(await node.checkpoints().takeEffect(node.self)).toMatchObject({ outcome: 'done' });
    for (const list of SNAPSHOT_LISTS) {
      const [stored, walked] = [
        await listOf(sourceOf(node, true), checkpoint, list),
        await listOf(sourceOf(other, false), checkpoint, list),
      ];
      expect(rootOf(stored.hashes)).toBe(listRoot(checkpoint, list));
      expect(stored.chunks.map(hex)).toEqual(walked.chunks.map(hex));
      for (const [i, chunk] of stored.chunks.entries())
        expect((await Array.fromAsync(stored.served.chunks(i, i))).map(hex)).toEqual([hex(chunk)]);
      const count = stored.chunks.length;
      expect(count).toBeGreaterThan(list === 'records' ? 2 : 0);
      expect(await Array.fromAsync(stored.served.chunks(count, count))).toEqual([]);
      expect(await Array.fromAsync(stored.served.chunks(count - 1, count + 5))).toHaveLength(1);
    }
  });

  it('gives items of erased records as their hashes, in chunks of the same hash', async () => {
    const { node, checkpoint } = await author();
    await node.checkpoints().takeEffect(node.self);
    await erase(node, 'l7');
    const { hashes, chunks } = await listOf(sourceOf(node, true), checkpoint, 'records');
    expect(rootOf(hashes)).toBe(checkpoint.chunks);
    const read = chunks.map((bytes) => decodeChunk(bytes));
    expect(read.map(({ hash }) => hash)).toEqual(hashes.map(hex));
    expect(read.flatMap(({ items }) => items).filter(({ bytes }) => bytes === undefined)).toHaveLength(1);
    const says = (text: string): boolean => Buffer.concat(chunks).includes(Buffer.from(text));
    expect([says('x6.'), says('x7.')]).toEqual([true, false]);
  });

  it('gives nothing of a checkpoint that is not in effect, and none of what is damaged', async () => {
    const { node, checkpoint } = await author();
    const { store, db } = node;
    const floors = new FloorSnapshots({ store, db, env: systemEnv });
    expect(await floors.open(checkpoint, 'records')).toBeUndefined();
    await node.checkpoints().takeEffect(node.self);
    expect(await floors.open(checkpoint, 'records')).toBeDefined();
    const root = { count: checkpoint.evidence.count, root: '11'.repeat(32) };
    expect(await floors.open({ ...checkpoint, evidence: root }, 'evidence')).toBeUndefined();
  });

  it('begins chunks at any cover and at any item of a record', async () => {
    const node = await member(nodeOf(2));
    const covers = Array.from({ length: 4500 }, (_, i) => ({
      epoch: i.toString(16).padStart(16, '0'),
      seq: 1,
      hash: i.toString(16).padStart(64, '0'),
    }));
    // Records of several items, of more than a chunk each.
    const all = [0, 1].map((i) => listingFloor(i, 400_000));
    const expected: Chunk[] = [];
    const builder = new SnapshotBuilder(covers, (chunk) => expected.push(chunk));
    for (const floor of all) atOnce(builder.add(floor));
    const checkpoint = { author: AUTHOR.peerId, id: '11'.repeat(32), chunks: builder.finish().chunks };
    const staging = await FloorStaging.begin(node.db, node.store.floors, checkpoint, covers);
    for (const floor of all) await staging.add(floor.key, [...floorItems(floor)]);
    expect(await staging.end()).toBe(true);
    const { next } = node.store.floors.mark(AUTHOR.peerId);
    if (next === undefined) throw new Error('nothing is staged');
    const stored = new FloorChunks(node.db, AUTHOR.peerId, next);
    expect(expected.length).toBeGreaterThan(5);
    for (let first = 0; first < expected.length; first++)
      expect((await Array.fromAsync(stored.chunks(first, expected.length))).map(hex)).toEqual(
        expected.slice(first).map(({ bytes }) => hex(bytes)),
      );
  });
});

/** A newcomer that has fetched the snapshot from what a node has stored, and stored it too. */
async function staged(node: Member, checkpoint: Checkpoint): Promise<Member> {
  const newcomer = await member(nodeOf(3));
  const answers = new SnapshotAnswers(systemEnv, sourceOf(node, true));
  const holders = new SnapshotHolders({
    env: systemEnv,
    offences: new Offences(),
    now: () => 0,
    onEvent: (event) => expect(event).toBeUndefined(),
    peers: () => ['a'],
    askPeer: (peer, request) => answers.frames(peer, request),
  });
  const parts = { env: systemEnv, table: new FetchedTable(newcomer.db), holders, room: Infinity };
  const fetched = await new SnapshotFetch(parts, checkpoint, new AbortController().signal).run();
  expect(await stageFetched({ db: newcomer.db, floors: newcomer.store.floors }, fetched)).toBe(true);
  return newcomer;
}

describe('what was fetched', () => {
  const rowsOf = async ({ db }: Member): Promise<string[]> => {
    const rows: string[] = [];
    for await (const [key, value] of db.level.iterator(range('floors')))
      if (!innerKey(key).startsWith('m')) rows.push(`${key} ${hex(value)}`);
    return rows;
  };

  it('is stored as by whoever holds the entries, row by row', async () => {
    const { node, checkpoint } = await author();
    await node.checkpoints().takeEffect(node.self);
    const newcomer = await staged(node, checkpoint);
    expect(newcomer.store.floors.mark(node.self).next).toMatchObject({ id: checkpoint.id, stage: 'whole' });
    expect(await rowsOf(newcomer)).toEqual(await rowsOf(node));
  });

  it('gives the same chunks to the next, with items of erased records whose keys nobody has told it', async () => {
    const { node, checkpoint } = await author();
    await node.checkpoints().takeEffect(node.self);
    // The first in the order of local ids, two beside one another, and the last.
    for (const id of ['l0', 'l1', 'l10', 'l99']) await erase(node, id);
    const newcomer = await staged(node, checkpoint);
    const { next } = newcomer.store.floors.mark(node.self);
    if (next === undefined) throw new Error('nothing is staged');
    const stored = new FloorChunks(newcomer.db, node.self, next);
    const { chunks } = await listOf(sourceOf(node, true), checkpoint, 'records');
    for (let first = 0; first < chunks.length; first++)
      expect((await Array.fromAsync(stored.chunks(first, chunks.length))).map(hex)).toEqual(
        chunks.slice(first).map(hex),
      );
    await newcomer.store.floors.setMark(node.self, {});
    await newcomer.store.floors.clean(node.self);
    expect(await rowsOf(newcomer)).toEqual([]);
  });
});
