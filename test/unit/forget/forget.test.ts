import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { folderBytes } from '../../../daemon/folder-bytes.ts';
import { rebuildStore } from '../../../daemon/rebuild.ts';
import { errorCode } from '../../../protocols/errors.ts';
import type { Entry } from '../../../protocols/feed/entry.ts';
import { encodeOp } from '../../../protocols/feed/op.ts';
import { draftFact, draftTombstone } from '../../../protocols/ledger/drafts.ts';
import { recordKey, type RecordKey } from '../../../protocols/wire/ids.ts';
import { filesWith } from '../../support/files-with.ts';
import { Hand, listingOps, priceOps, privateRecord, randomFrom, someIdentity } from '../../support/forge.ts';
import { type Forgetter, openForgetter } from '../../support/forgetter.ts';
import { FetchedTable } from '../../../storage/fetched-table.ts';
import { fullKey } from '../../../storage/keyspace.ts';
import { jsonWithChecksum } from '../../../storage/values.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { threadedMerger } from '../../support/merger.ts';

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1e9));
const random = randomFrom(seed);
const merger = threadedMerger();
afterAll(() => merger.stop());
const ending: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).toReversed()) await end();
});

const self = someIdentity(random);
const unknownOp = (bytes: number): Uint8Array =>
  encodeOp({ v: 1, c: 'zzz', k: '', t: 'fact', d: random.bytes(bytes) });

/** What one author has written, in public and in channels with this node, and what of it this node's users rest on. */
interface Left {
  readonly author: Hand;
  readonly other: Hand;
  readonly entries: Entry[];
  /** Of this node and a third one. */
  readonly theirs: Entry[];
  /** A contract that this node has written in, and one that it has not. */
  readonly kept: RecordKey;
  readonly ignored: RecordKey;
}

function leave(count: number): Left {
  const author = new Hand(someIdentity(random), random.hex(8));
  const third = new Hand(someIdentity(random), random.hex(8));
  const again = new Hand(author.identity, random.hex(8));
  const entries: Entry[] = [];
  for (let n = 0; n < count; n++) {
    const hand = random.pick([author, again]);
    const ops: Uint8Array[] = [unknownOp(random.int(2000))];
    if (n % 2 === 0) ops.push(...listingOps(hand.pen, `l${n}`, undefined, { title: random.hex(9) }));
    if (n % 3 === 0) ops.push(...priceOps(hand.pen, `m${random.int(5)}`, n));
    if (n % 5 === 4)
      ops.push(...draftTombstone(recordKey('listings', author.identity.peerId, `l${n - 4}`), 'public').ops);
    // Void, and of a record of this node's.
    if (n % 7 === 0)
      ops.push(
        encodeOp({ v: 1, c: 'listings', k: `${self.peerId}/mine`, t: 'tombstone', d: new Uint8Array() }),
      );
    entries.push(hand.next(ops));
  }
  const members = [author.identity.peerId, self.peerId, third.identity.peerId];
  const channels = (['contracts', 'contracts', 'conversations'] as const).map((collection) =>
    privateRecord(author.pen, collection === 'contracts' ? members.slice(0, 2) : members, collection),
  );
  const theirs: Entry[] = [];
  for (const [at, { key, ops }] of channels.entries()) {
    const hand = new Hand(author.identity, author.epoch, key);
    entries.push(hand.next([...ops, unknownOp(300)]));
    for (let n = 0; n < 4; n++) entries.push(hand.next([unknownOp(500), ...message(hand, n)]));
    const writer =
      at === 0
        ? new Hand(self, random.hex(8), key)
        : at === 2
          ? new Hand(third.identity, third.epoch, key)
          : undefined;
    if (writer !== undefined) theirs.push(writer.next(message(writer, 9)));
  }
  const mine = new Hand(self, random.hex(8));
  theirs.push(mine.next(listingOps(mine.pen, 'mine', undefined, { title: 'mine' })));
  theirs.push(third.next(priceOps(third.pen, 'm', 3)));
  const [kept, ignored] = [channels[0]?.key, channels[1]?.key];
  if (kept === undefined || ignored === undefined) throw new Error('no channels');
  return { author, other: third, entries, theirs, kept, ignored };
}

/** A message where the channel is a conversation's, news of progress where it is a contract's. */
function message(hand: Hand, n: number): Uint8Array[] {
  const collection = hand.channel.startsWith('contracts/') ? 'pings' : 'messages';
  const fields =
    collection === 'pings'
      ? { from: `u@${hand.identity.peerId}`, notes: random.hex(4), sentAt: n + 1 }
      : { from: `u@${hand.identity.peerId}`, to: '', content: random.hex(8), type: 'text', sentAt: n };
  return [...draftFact(hand.pen, collection, fields, hand.channel).ops];
}

async function open(folder: string, { author, other }: Left): Promise<Forgetter> {
  const status = new Map([
    [author.identity.peerId as string, 'active' as const],
    [other.identity.peerId as string, 'active' as const],
  ]);
  return openForgetter(folder, self, merger, status);
}
async function give(node: Forgetter, entries: readonly Entry[]): Promise<void> {
  const results = await node.ledger.receive(entries.map(({ bytes }) => bytes));
  expect(results.map(({ kind, code }) => code ?? kind)).toEqual(entries.map(() => 'accept'));
}
function folder(name: string): string {
  const dir = tempDir(name);
  ending.push(() => dir.remove());
  return dir.path;
}
async function held(left: Left, name = 'forget'): Promise<{ node: Forgetter; path: string }> {
  const path = folder(name);
  const node = await open(path, left);
  await give(node, left.entries);
  await give(node, left.theirs);
  return { node, path };
}
const quiet = (): void => undefined;
describe(`forgetting what a revoked node left (seed ${seed})`, () => {
  it('only of one that is revoked, and it says what to do first', async () => {
    const left = leave(3);
    const { node } = await held(left);
    ending.push(() => node.close());
    const { peerId } = left.author.identity;
    for (const status of ['active', 'suspended', 'pending'] as const) {
      node.status.set(peerId, status);
      await expect(node.forget.run(peerId, quiet)).rejects.toThrow(`agrinet nodes revoke ${peerId}`);
    }
    expect(await node.forget.run('nobody', quiet).catch(errorCode)).toBe('node-unknown');
    expect(await node.forget.run(self.peerId, quiet).catch(errorCode)).toBe('node-unknown');
    expect(node.store.gaps.all()).toEqual([]);
  });

  it('takes entries, ops, records and counters; what own users rest on stays; nothing calls it damage', async () => {
    const left = leave(40);
    const { node, path } = await held(left);
    const { peerId } = left.author.identity;
    const [mine, third] = [node.digestOf(self.peerId), node.digestOf(left.other.identity.peerId)];
    const contract = await node.store.records([left.kept]);
    node.status.set(peerId, 'revoked');
    const planned = await node.forget.look(peerId, quiet);
    expect(node.store.gaps.all(), 'a look changes nothing').toEqual([]);
    const gone = await node.forget.run(peerId, quiet);
    expect({ ...gone, freedBytes: 0 }).toEqual(planned);
    // Of the contract that this node has written in, what creates it stays.
    expect(gone).toMatchObject({ entries: left.entries.length - 1, keptEntries: 1 });

    expect(await node.store.records([left.kept])).toEqual(contract);
    expect(await node.store.records([left.ignored])).toEqual([undefined]);
    expect(node.store.usageOf(peerId)).toEqual({ bytes: gone.keptBytes, pending: 0, pendingBytes: 0 });
    expect(node.store.digests.ofOwner('public', peerId).size).toBe(0);
    expect([node.digestOf(self.peerId), node.digestOf(left.other.identity.peerId)]).toEqual([mine, third]);
    expect(node.forget.gaps()).toMatchObject([{ id: peerId, entries: gone.entries, keptEntries: 1 }]);
    expect(await node.rows('entries')).toBe(left.theirs.length + 1);
    expect(await node.wrong()).toEqual([]);
    // Again: nothing is left to go.
    expect(await node.forget.run(peerId, quiet)).toMatchObject({ entries: 0, ops: 0 });

    const counts = new Map<string, number>();
    const derived = ['records', 'recordOps', 'verdicts', 'awaiting', 'index', 'usage', 'forgotten'] as const;
    for (const name of derived) counts.set(name, await node.rows(name));
    await node.close();
    const again = await open(path, left);
    ending.push(() => again.close());
    await rebuildStore(again.db, merger, quiet);
    await again.store.reload();
    expect(again.store.usageOf(peerId)).toEqual({ bytes: gone.keptBytes, pending: 0, pendingBytes: 0 });
    expect(await again.store.records([left.kept])).toEqual(contract);
    for (const name of derived) expect([name, await again.rows(name)]).toEqual([name, counts.get(name)]);
    expect(await again.wrong()).toEqual([]);
  });

  it('comes back whole when the node is admitted again, and is the same as if it had never gone', async () => {
    const left = leave(30);
    const { node } = await held(left);
    ending.push(() => node.close());
    const { peerId } = left.author.identity;
    const reference = await held(left, 'reference');
    ending.push(() => reference.node.close());
    node.status.set(peerId, 'revoked');
    await node.forget.run(peerId, quiet);
    expect(await node.ledger.receive([left.entries[0]?.bytes ?? new Uint8Array()])).toMatchObject([
      { kind: 'ignore', code: 'author-not-registered' },
    ]);
    node.status.set(peerId, 'active');
    for (const entry of left.entries) await give(node, [entry]);
    expect(node.store.gaps.all()).toEqual([]);
    expect(await node.rows('forgotten')).toBe(0);
    expect(node.digestOf(peerId)).toBe(reference.node.digestOf(peerId));
    expect(node.store.usageOf(peerId)).toEqual(reference.node.store.usageOf(peerId));
    for (const key of [left.kept, left.ignored])
      expect(await node.store.records([key])).toEqual(await reference.node.store.records([key]));
    for (const name of ['records', 'recordOps', 'verdicts', 'entries', 'index'] as const)
      expect([name, await node.rows(name)]).toEqual([name, await reference.node.rows(name)]);
    expect(await node.wrong()).toEqual([]);
  });

  it('takes what was let in before the node was revoked and is written only after it was looked through', async () => {
    const left = leave(1);
    const { node } = await held(left);
    ending.push(() => node.close());
    const { peerId } = left.author.identity;
    const late = left.author.next(listingOps(left.author.pen, 'late', undefined, { title: 'Maize' }));
    const before = await node.rows('entries');
    node.status.set(peerId, 'revoked');
    let arriving: Promise<void> | undefined;
    const gone = await node.forget.run(peerId, () => {
      if (arriving !== undefined) return;
      node.status.set(peerId, 'active');
      arriving = give(node, [late]).finally(() => node.status.set(peerId, 'revoked'));
    });
    await arriving;
    expect(gone.entries).toBe(left.entries.length);
    expect(await node.rows('entries')).toBe(before - gone.entries + 1);
    expect(await node.store.records([recordKey('listings', peerId, 'late')])).toEqual([undefined]);
    expect(await node.wrong()).toEqual([]);
  });

  it('takes what repeats a record that goes, and leaves what tells of others', async () => {
    const left = leave(1);
    const { node, path } = await held(left);
    const { peerId } = left.author.identity;
    const nameOf = (key: RecordKey): string => key.slice(key.indexOf('/') + 1).replace('/', '.');
    const MARK = 'heron-lamp-41-beyond-the-weir';
    const told = { gone: nameOf(left.ignored), kept: nameOf(left.kept), other: `${self.peerId}.x` };
    const rows = (['events', 'privateEvents', 'notifications', 'jobs'] as const).flatMap((table) =>
      Object.entries(told).map(([what, id]) => {
        const key = fullKey(table, `${what}`);
        return { type: 'put' as const, key, value: jsonWithChecksum(key, { id, text: `${MARK} ${what}` }) };
      }),
    );
    await node.db.batch(rows, true);
    node.status.set(peerId, 'revoked');
    await node.forget.run(peerId, quiet);
    const stays = await node.db.level.getMany(rows.map(({ key }) => key));
    expect(stays.map((row) => row !== undefined)).toEqual(rows.map(({ key }) => !key.endsWith('gone')));
    await node.close();
    expect(filesWith(path, `${MARK} gone`)).toEqual([]);
    expect(filesWith(path, `${MARK} kept`)).not.toEqual([]);
  });

  it('takes what was fetched of its snapshots, and leaves that of others', async () => {
    const left = leave(3);
    const { node } = await held(left);
    ending.push(() => node.close());
    const fetched = new FetchedTable(node.db);
    const [gone, other] = [left.author.identity.peerId, left.other.identity.peerId];
    for (const author of [gone, other])
      await fetched.keepChunk({ author, checkpoint: '11'.repeat(32), list: 'records' }, 0, random.bytes(9));
    node.status.set(gone, 'revoked');
    await node.forget.run(gone, quiet);
    expect(await fetched.authors()).toEqual([other]);
  });

  it('gives the disk its space back', async () => {
    const left = leave(2);
    const { node } = await held(left);
    ending.push(() => node.close());
    const before = await folderBytes(node.db.folder);
    const flood = left.author;
    const megabyte = (): Entry => flood.next(Array.from({ length: 15 }, () => unknownOp(64_000)));
    for (let n = 0; n < 30; n++) await give(node, [megabyte()]);
    const full = await folderBytes(node.db.folder);
    expect(full - before).toBeGreaterThan(25_000_000);
    node.status.set(flood.identity.peerId, 'revoked');
    const { freedBytes } = await node.forget.run(flood.identity.peerId, quiet);
    // What LevelDB has in its log goes with the next table.
    expect((await folderBytes(node.db.folder)) - before).toBeLessThan(10_000_000);
    expect(freedBytes).toBeGreaterThan(18_000_000);
  }, 60_000);

  it('goes on where it was cut off, whichever batch was the last', async () => {
    const left = leave(12);
    const { peerId } = left.author.identity;
    let batches = 0;
    for (let cut = 0; batches === 0 || cut <= batches; cut++) {
      const { node, path } = await held(left, 'cut');
      node.status.set(peerId, 'revoked');
      let written = 0;
      node.db.tap({
        before: () => (written++ >= cut ? Promise.reject(new Error('killed')) : Promise.resolve([])),
        written: () => undefined,
      });
      const result = await node.forget.run(peerId, quiet).then(
        () => 'done',
        () => 'cut',
      );
      if (result === 'done') batches = written;
      const marked = node.store.gaps.all().length > 0;
      await node.close();
      if (batches > 0) break;
      const again = await open(path, left);
      again.status.set(peerId, 'revoked');
      await again.forget.idle();
      // Also of what an earlier process has begun.
      expect([cut, again.told]).toEqual([cut, marked ? [peerId] : []]);
      expect([cut, again.store.gaps.all().length > 0]).toEqual([cut, marked]);
      if (!marked) expect(await again.forget.run(peerId, quiet)).toMatchObject({ keptEntries: 1 });
      expect([cut, await again.rows('entries')]).toEqual([cut, left.theirs.length + 1]);
      expect([cut, again.store.gaps.sweeping]).toEqual([cut, undefined]);
      expect([cut, await again.wrong()]).toEqual([cut, []]);
      await again.close();
    }
    expect(batches).toBeGreaterThan(4);
  }, 120_000);
});
