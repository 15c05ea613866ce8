import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { HeldShortly } from '../../../daemon/checkpoint/held-shortly.ts';
import { Snapshots } from '../../../daemon/checkpoint/snapshots.ts';
import { SnapshotFetch } from '../../../daemon/checkpoint/snapshot-fetch.ts';
import { SnapshotHolders } from '../../../daemon/checkpoint/snapshot-holders.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import {
  type Chunk,
  type ChunkItem,
  chunkOf,
  entryItem,
  plainItem,
  rootOf,
} from '../../../protocols/checkpoint/chunk.ts';
import { decodeEntry, withBody } from '../../../protocols/feed/entry.ts';
import { mostChunks, type SnapshotList } from '../../../protocols/checkpoint/snapshot-list.ts';
import type { Env } from '../../../protocols/env.ts';
import { encodeOp } from '../../../protocols/feed/op.ts';
import { SLICE_LIMITS } from '../../../protocols/mycelium/pull.ts';
import { Hand } from '../../support/forge.ts';
import { HandClock } from '../../support/hand-clock.ts';
import { errorCode } from '../../../protocols/errors.ts';
import { Offences } from '../../../protocols/mycelium/offences.ts';
import type { PullEvent } from '../../../protocols/mycelium/pull-event.ts';
import { SnapshotAnswers, type SnapshotSource } from '../../../protocols/mycelium/snapshot-answer.ts';
import type { SnapshotRequest } from '../../../protocols/mycelium/snapshot-request.ts';
import { fromHex, hex, sha256 } from '../../../protocols/wire/bytes.ts';
import { decodeCbor } from '../../../protocols/wire/cbor.ts';
import { FetchedTable } from '../../../storage/fetched-table.ts';
import { createInlineMerges } from '../../support/inline-merges.ts';
import { type LedgerNode, openLedgerNode } from '../../support/ledger-node.ts';
import {
  AUTHOR,
  listingFloor,
  type ServedSnapshot,
  servedSnapshot,
  sourceOf,
  withoutItems,
} from '../../support/served-snapshot.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const merger = createInlineMerges(systemEnv);
const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});
afterAll(() => merger.stop());

async function node(): Promise<LedgerNode> {
  const dir = tempDir('snapshot');
  const opened = await openLedgerNode(dir.path, nodeOf(9), merger);
  open.push(async () => {
    await opened.close();
    dir.remove();
  });
  return opened;
}

/** Pauses between tries are left out. */
const HASTY: Env = { ...systemEnv, after: (_, call, options) => systemEnv.after(0, call, options) };

interface Peer {
  readonly source: SnapshotSource;
  /** Ends an answer after so many frames. */
  readonly cut?: number;
}

/** Fetches from these peers, in this order. */
function fetching(
  { db }: LedgerNode,
  { checkpoint }: ServedSnapshot,
  peers: Readonly<Record<string, SnapshotSource | Peer>>,
  room = Infinity,
  env: Env = HASTY,
) {
  const offences = new Offences();
  const events: PullEvent[] = [];
  const asked: string[] = [];
  const answers = new Map(
    Object.entries(peers).map(([name, peer]) => [
      name,
      new SnapshotAnswers(env, 'source' in peer ? peer.source : peer),
    ]),
  );
  async function* askPeer(name: string, request: SnapshotRequest): AsyncGenerator<Uint8Array> {
    const peer = peers[name];
    const cut = peer !== undefined && 'cut' in peer ? (peer.cut ?? Infinity) : Infinity;
    let sent = 0;
    asked.push(
      request.kind === 'chunks' ? `${name} ${request.list} ${request.first}` : `${name} ${request.kind}`,
    );
    for await (const frame of answers.get(name)?.frames('me', request) ?? []) {
      if (request.kind === 'chunks' && sent++ === cut) throw new Error('the connection went');
      yield frame;
    }
  }
  const holders = new SnapshotHolders({
    env,
    offences,
    now: () => 0,
    onEvent: (event) => events.push(event),
    peers: () => Object.keys(peers),
    askPeer,
  });
  const signal = new AbortController();
  const fetch = new SnapshotFetch(
    { env, table: new FetchedTable(db), holders, room },
    checkpoint,
    signal.signal,
  );
  const distrusted = (): string[] =>
    events.flatMap((event) => (event.kind === 'peer-distrusted' ? [`${event.peer} ${event.code}`] : []));
  return { run: () => fetch.run(), asked, distrusted, stop: () => signal.abort(), events };
}

const outcome = (work: Promise<unknown>): Promise<string> => work.then(() => 'whole', errorCode);
const listings = (count: number, characters = 40_000) =>
  Array.from({ length: count }, (_, i) => listingFloor(i, characters));
const snapshot = servedSnapshot({ floors: listings(40), evidence: 3 });
const records = snapshot.chunks.records.length;

it('hands over what was signed, record by record', async () => {
  const { run, distrusted } = fetching(await node(), snapshot, { a: sourceOf(snapshot) });
  const whole = await run();
  expect(records).toBeGreaterThan(4);
  expect(whole.erased).toBe(0);
  expect((await Array.fromAsync(whole.covers())).flat()).toEqual(snapshot.checkpoint.covers);
  const handed = (await Array.fromAsync(whole.records())).flat();
  expect(handed.map(({ key }) => key)).toEqual(snapshot.floors.map(({ key }) => key));
  const items = snapshot.chunks.records.flatMap((chunk) => chunk.items).slice(1); // the first is a cover
  const hashes = (all: readonly ChunkItem[]): string[] =>
    all.map(({ hash, bytes }) => `${hex(hash)} ${bytes?.length}`);
  expect(hashes(handed.flatMap((record) => record.items))).toEqual(hashes(items));
  const entries = (await Array.fromAsync(whole.evidence())).flat();
  expect(entries.map(({ hash }) => hash)).toEqual(snapshot.entries.map(({ hash }) => hash));
  expect(distrusted()).toEqual([]);
});

it('goes on where it was, with another holder, after a cut and after a restart', async () => {
  const here = await node();
  const cut = fetching(here, snapshot, { a: { source: sourceOf(snapshot), cut: 2 } });
  const table = new FetchedTable(here.db);
  const name = {
    author: snapshot.checkpoint.author,
    checkpoint: snapshot.checkpoint.id,
    list: 'records',
  } as const;
  // Stopped in the middle of it.
  const stopped = fetching(here, snapshot, { a: { source: sourceOf(snapshot), cut: 2 } });
  const first = stopped.run();
  first.catch(() => undefined);
  for await (const _ of poll()) if ((await Array.fromAsync(table.held(name))).length >= 2) break;
  stopped.stop();
  await first.catch(() => undefined);
  const held = (await Array.fromAsync(table.held(name))).length;
  expect(held).toBeGreaterThanOrEqual(2);
  const again = fetching(here, snapshot, {
    a: { source: sourceOf(snapshot), cut: 1 },
    b: sourceOf(snapshot),
  });
  expect(await outcome(again.run())).toBe('whole');
  // Nothing is asked for twice, not even the hashes.
  const of = (kind: string) => again.asked.filter((each) => each.includes(kind));
  expect(of('hashes').length).toBeLessThanOrEqual(1);
  for (const each of of('records')) expect(Number(each.split(' ')[2])).toBeGreaterThanOrEqual(held);
  expect(again.distrusted()).toEqual([]);
  void cut;
});

async function* poll(): AsyncGenerator<void> {
  for (let i = 0; i < 10_000; i++) {
    yield;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error('it never came');
}

const other = servedSnapshot({ floors: listings(40, 39_999) });

const LIES: Readonly<
  Record<string, (chunk: Chunk, list: SnapshotList, number: number) => Uint8Array | undefined>
> = {
  'a chunk of another snapshot': (_, list, number) =>
    list === 'records' && number === 2 ? other.chunks.records[2]?.bytes : undefined,
  'a chunk in another’s place': (_, list, number) =>
    list === 'records' && number === 1 ? snapshot.chunks.records[0]?.bytes : undefined,
  'bytes that are no chunk': (_, list, number) =>
    list === 'records' && number === 1 ? Uint8Array.of(1, 2, 3) : undefined,
  'evidence with another signature': (chunk, list) =>
    list === 'evidence' ? changedEvidence(chunk, (bytes) => bytes.fill(7, bytes.length - 20)) : undefined,
};

/** Evidence under the same header, its bytes changed where no hash is over them. */
function changedEvidence(chunk: Chunk, change: (bytes: Uint8Array) => void): Uint8Array {
  const items = chunk.items.map(({ bytes = new Uint8Array() }) => {
    const [, entry] = decodeCbor(bytes) as [number, Uint8Array];
    const read = decodeEntry(entry);
    change(read.envelopeBytes);
    return entryItem(withBody(read, read.body));
  });
  return chunkOf(items).bytes;
}

it.each(Object.entries(LIES))(
  '%s costs its sender its standing, and another holder is asked',
  async (_, lie) => {
    const { run, distrusted } = fetching(await node(), snapshot, {
      liar: sourceOf(snapshot, lie),
      b: sourceOf(snapshot),
    });
    expect(await outcome(run())).toBe('whole');
    expect(distrusted()).toEqual([expect.stringMatching(/^liar snapshot-(differs|malformed)$/)]);
  },
);

/** Evidence of which these ops are left out. */
function withoutOps(chunk: Chunk, isOut: (entry: number, op: number) => boolean): Uint8Array {
  const items = chunk.items.map((item, i) => {
    const [, bytes] = decodeCbor(item.bytes ?? new Uint8Array()) as [number, Uint8Array];
    const entry = decodeEntry(bytes);
    const body = entry.body.map((each, n) =>
      'op' in each && isOut(i, n) ? { erased: sha256(each.op) } : each,
    );
    return entryItem(withBody(entry, body));
  });
  return chunkOf(items).bytes;
}

it('an op that is missing from evidence is found in the end, and taken from another holder', async () => {
  const hidden = sourceOf(snapshot, (chunk, list) =>
    list === 'evidence' ? withoutOps(chunk, (entry, op) => entry === 1 && op === 1) : undefined,
  );
  const { run, distrusted } = fetching(await node(), snapshot, { liar: hidden, b: sourceOf(snapshot) });
  const whole = await run();
  const ops = (await Array.fromAsync(whole.evidence()))
    .flat()
    .map(({ body }) => body.filter((each) => 'op' in each).length);
  expect(ops).toEqual([2, 2, 2]);
  expect(distrusted()).toEqual(['liar snapshot-differs']);
});

it('evidence without any op is refused as it comes', async () => {
  const hidden = sourceOf(snapshot, (chunk, list) =>
    list === 'evidence' ? withoutOps(chunk, (entry) => entry === 1) : undefined,
  );
  const { run, distrusted } = fetching(await node(), snapshot, { liar: hidden, b: sourceOf(snapshot) });
  expect(await outcome(run())).toBe('whole');
  expect(distrusted()).toEqual(['liar snapshot-malformed']);
});

it('what a holder says was erased is taken from another one', async () => {
  const hiding = sourceOf(snapshot, (chunk, list) =>
    list === 'records' ? withoutItems(chunk, (i) => i % 2 === 1) : undefined,
  );
  const { run, distrusted } = fetching(await node(), snapshot, { hiding, b: sourceOf(snapshot) });
  expect((await run()).erased).toBe(0);
  expect(distrusted()).toEqual([]);
});

it('an item that nobody has stands as its hash, in its place', async () => {
  const erased = sourceOf(snapshot, (chunk, list, number) =>
    list === 'records' && number === 1 ? withoutItems(chunk, (i) => i < 2) : undefined,
  );
  const whole = await fetching(await node(), snapshot, { a: erased, b: erased }).run();
  expect(whole.erased).toBe(2);
  const handed = (await Array.fromAsync(whole.records())).flat();
  expect(handed.length).toBe(snapshot.floors.length - 2);
  const hashes = snapshot.chunks.records.flatMap(({ items }) => items.map(({ hash }) => hash)).slice(1);
  expect(handed.flatMap(({ items, erased: gone }) => [...items, ...gone].map(({ hash }) => hash))).toEqual(
    hashes,
  );
  expect(handed.filter(({ erased: gone }) => gone.length > 0).length).toBe(1);
});

it('nobody who has it is left', async () => {
  const empty = servedSnapshot({ floors: listings(1) });
  const { run, asked } = fetching(await node(), snapshot, { a: sourceOf(empty), b: sourceOf(empty) });
  expect(await outcome(run())).toBe('snapshot-unavailable');
  expect(asked).toEqual(['a hashes', 'b hashes']);
});

it('a snapshot of so many bytes is fetched where there is so much room, and no larger one', async () => {
  const { bytes } = snapshot.checkpoint;
  for (const [room, end] of [
    [bytes - 1, 'author-over-quota'],
    [bytes, 'whole'],
    [bytes + 1, 'whole'],
  ] as const)
    expect(await outcome(fetching(await node(), snapshot, { a: sourceOf(snapshot) }, room).run())).toBe(end);
});

it('chunks of more bytes than were signed end it', async () => {
  const { bytes } = snapshot.checkpoint;
  for (const [said, end] of [
    [bytes - 1, 'snapshot-unavailable'],
    [bytes, 'whole'],
    [bytes + 1, 'whole'],
  ] as const) {
    const told = servedSnapshot({ floors: listings(40), evidence: 3, said: { bytes: said } });
    const here = fetching(await node(), told, { a: sourceOf(told) });
    expect(await outcome(here.run())).toBe(end);
    expect(here.distrusted()).toEqual(end === 'whole' ? [] : ['a snapshot-differs']);
  }
});

it('more hashes than chunks of so many bytes can be are refused before they are compared', async () => {
  const many = (count: number): SnapshotSource => ({
    checkpoints: async () => [],
    open: async () => ({
      async *hashes() {
        for (let i = 0; i < count; i++) yield new Uint8Array(32);
      },
      async *chunks() {},
    }),
  });
  const most = mostChunks(snapshot.checkpoint);
  for (const [count, code] of [
    [most - 1, 'snapshot-differs'],
    [most, 'snapshot-differs'],
    [most + 1, 'snapshot-malformed'],
  ] as const) {
    const here = fetching(await node(), snapshot, { liar: many(count) });
    expect(await outcome(here.run())).toBe('snapshot-unavailable');
    expect(here.distrusted()).toEqual([`liar ${code}`]);
  }
});

it.each([
  ['a digest that the records do not give', { digest: '11'.repeat(32) }],
  ['one record too many', { count: 47 }],
  ['one record too few', { count: 45 }],
  ['evidence that is not there', { evidence: { ...snapshot.checkpoint.evidence, count: 4 } }],
  ['a cover that is not there', { covers: [{ epoch: 'aa'.repeat(8), seq: 1, hash: '11'.repeat(32) }] }],
])('%s makes the checkpoint false, and nothing of it is kept', async (_, said) => {
  const false_ = servedSnapshot({ floors: listings(40), evidence: 3, said });
  const here = await node();
  const fetched = fetching(here, false_, { a: sourceOf(false_), b: sourceOf(false_) });
  expect(await outcome(fetched.run())).toBe('checkpoint-false');
  expect(await new FetchedTable(here.db).authors()).toEqual([]);
});

it('what is no record is refused whatever was signed', async () => {
  const items = [...(snapshot.chunks.records[0]?.items ?? []), plainItem([9])];
  const chunk = chunkOf(items);
  const made = servedSnapshot({ said: { chunks: rootOf([fromHex(chunk.hash)]), bytes: 10_000_000 } });
  const served = { ...made, chunks: { ...made.chunks, records: [chunk] } };
  expect(await outcome(fetching(await node(), served, { a: sourceOf(served) }).run())).toBe(
    'checkpoint-false',
  );
});

it('a holder that is slow gives way to another, and keeps its standing', async () => {
  const clock = new HandClock();
  const slowly = sourceOf(snapshot);
  const slow: SnapshotSource = {
    ...slowly,
    async open(...of) {
      const list = await slowly.open(...of);
      return (
        list && {
          ...list,
          async *chunks(first, last) {
            for await (const chunk of list.chunks(first, last)) {
              await clock.pass(SLICE_LIMITS.sliceMs * 0.6);
              yield chunk;
            }
          },
        }
      );
    },
  };
  const here = fetching(await node(), snapshot, { slow, b: sourceOf(snapshot) }, Infinity, clock.env);
  // Two of its chunks are less than a slice has to bring. No time passes but while it makes one wait.
  expect(await outcome(here.run())).toBe('whole');
  expect(here.events).toEqual([{ kind: 'pull-failed', peer: 'slow', code: 'pull-slow' }]);
  expect(here.asked.filter((each) => each.startsWith('b records'))).toEqual(['b records 2']);
});

describe('whose checkpoint to begin with', () => {
  const first = servedSnapshot({ floors: listings(1) });
  const beside = servedSnapshot({ floors: listings(2) });
  const next = servedSnapshot({ floors: listings(2), said: { gen: 2, prev: [first.checkpoint.id] } });
  const { author } = first.checkpoint;

  async function snapshots(here: LedgerNode, shown: Readonly<Record<string, ServedSnapshot>>) {
    const answers = new Map(
      Object.entries(shown).map(([name, each]) => [name, new SnapshotAnswers(HASTY, sourceOf(each))]),
    );
    const made = new Snapshots({
      env: HASTY,
      net: 'test',
      held: new HeldShortly(here.store, 'test', HASTY),
      table: new FetchedTable(here.db),
      peers: () => Object.keys(shown),
      askPeer: (name, request) => answers.get(name)?.frames('me', request) ?? none(),
      room: () => Infinity,
      offences: new Offences(),
      now: () => 0,
      onEvent: () => undefined,
    });
    open.unshift(() => made.stop());
    return made;
  }
  async function* none(): AsyncGenerator<Uint8Array> {}
  const never = new AbortController().signal;

  it('the one in force among those that all holders show', async () => {
    const found = await snapshots(await node(), { a: first, b: next, c: first });
    expect((await found.effective(author, never))?.id).toBe(next.checkpoint.id);
  });

  it('none of an author that has signed another beside it', async () => {
    const found = await snapshots(await node(), { a: first, b: beside });
    expect(await outcome(found.effective(author, never))).toBe('checkpoint-contested');
  });

  it('none where nobody has one, and each author’s once at a time', async () => {
    const found = await snapshots(await node(), { a: first });
    expect(await found.effective(nodeOf(5).peerId, never)).toBeUndefined();
    const both = [1, 2].map(() => outcome(found.fetch(first.checkpoint, never)));
    expect(await Promise.all(both)).toEqual(['whole', 'busy']);
  });

  it('one that was replaced meanwhile is not handed over', async () => {
    const here = await node();
    const hand = new Hand(AUTHOR, '0123456789abcdef');
    const op = (signed: Uint8Array): Uint8Array =>
      encodeOp({ v: 1, c: 'checkpoints', k: '', t: 'checkpoint', d: signed });
    const found = await snapshots(here, { a: first });
    await here.ledger.receive([hand.next([op(first.checkpoint.signed)]).bytes]);
    await here.ledger.receive([hand.next([op(beside.checkpoint.signed)]).bytes]);
    expect(await outcome(found.fetch(first.checkpoint, never))).toBe('checkpoint-contested');
  });

  it('what was fetched of an author goes with an erasure of one of its records', async () => {
    const here = await node();
    const found = await snapshots(here, { a: first });
    await found.fetch(first.checkpoint, never);
    const table = new FetchedTable(here.db);
    expect(await table.authors()).toEqual([author]);
    await found.erased([nodeOf(5).peerId]);
    expect(await table.authors()).toEqual([author]);
    await found.erased([author]);
    expect(await table.authors()).toEqual([]);
  });
});
