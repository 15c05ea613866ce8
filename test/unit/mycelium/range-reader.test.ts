import { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startReadingWorker } from '../../../daemon/reading/start-reading-worker.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { startRequestWorker } from '../../../daemon/request-worker.ts';
import { errorCode } from '../../../protocols/errors.ts';
import { isSendersFault } from '../../../protocols/error-codes.ts';
import { encodeOp } from '../../../protocols/feed/op.ts';
import { withBody } from '../../../protocols/feed/entry.ts';
import { signErasure, withoutOps } from '../../../protocols/feed/erasure.ts';
import { makeForkProof } from '../../../protocols/feed/fork.ts';
import { placedOps } from '../../../protocols/ledger/placed-ops.ts';
import { readEntry } from '../../../protocols/ledger/read-entry.ts';
import type { FeedName } from '../../../protocols/ledger/types.ts';
import { decodeRangeFrame } from '../../../protocols/mycelium/range-frame.ts';
import { encodeItem, type RangeItem } from '../../../protocols/mycelium/range-item.ts';
import {
  READING_LIMITS,
  type ReadingLimits,
  type StartReadingWorker,
  RangeReader,
} from '../../../protocols/mycelium/range-reader.ts';
import { takeItems } from '../../../protocols/mycelium/take-items.ts';
import { readOp } from '../../../protocols/open-dialog/read-op.ts';
import { concat, sha256Hex } from '../../../protocols/wire/bytes.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { LIMITS } from '../../../protocols/wire/limits.ts';
import { mutated } from '../../sim/mutate.ts';
import { Hand, listingOps, priceOps, randomFrom, someIdentity } from '../../support/forge.ts';
import { inlineReadingWorker } from '../../support/inline-reader.ts';
import { type LedgerNode, openLedgerNode } from '../../support/ledger-node.ts';
import { threadedMerger } from '../../support/merger.ts';
import { tempDir } from '../../support/temp-dir.ts';

const SEED = 23;
const random = randomFrom(SEED);
const [author, other] = [someIdentity(random), someIdentity(random)];
const feed: FeedName = { author: author.peerId, channel: 'public' };

const readers: RangeReader[] = [];
afterEach(async () => {
  for (const reader of readers.splice(0)) await reader.stop();
});

function readerOf(start: StartReadingWorker, limits: Partial<ReadingLimits> = {}): RangeReader {
  const all = { ...READING_LIMITS, smallFrame: 0, ...limits };
  const reader = new RangeReader({ env: systemEnv, start, limits: all });
  readers.push(reader);
  return reader;
}

const raw = (items: readonly (RangeItem | Uint8Array)[]): Uint8Array =>
  concat([Uint8Array.of(0), ...items.map((item) => ('kind' in item ? encodeItem(item) : item))]);

/** Items or batches of a frame, or the code that it is refused with. */
async function read(reader: RangeReader, frame: Uint8Array): Promise<(readonly RangeItem[])[] | string> {
  try {
    return await Array.fromAsync(reader.read(frame, feed));
  } catch (error) {
    return errorCode(error);
  }
}

async function readHere(frame: Uint8Array): Promise<RangeItem[] | string> {
  try {
    return await decodeRangeFrame(frame, systemEnv.offload);
  } catch (error) {
    return errorCode(error);
  }
}

/** One feed with all that can stand in one: ops of every kind, well-formed and not, ops erased, entries of others, proofs, erasures. */
function someItems(identity = author): RangeItem[] {
  const hand = new Hand(identity, random.hex(8));
  const { pen } = hand;
  const fields = { title: 'Maïs "A"', price: 12.5, quantity: 3, description: '', geoLat_: '1.00000' };
  const tombstone = encodeOp({
    v: 1,
    c: 'listings',
    k: `${pen.author}/b`,
    t: 'tombstone',
    d: new Uint8Array(0),
  });
  const strange = [
    encodeOp({ v: 2, c: 'listings', k: `${pen.author}/x`, t: 'create', d: new Uint8Array(3) }),
    encodeOp({ v: 1, c: 'unheard-of', k: '', t: 'fact', d: new Uint8Array(3) }),
    encodeOp({ v: 1, c: 'listings', k: `${pen.author}/x`, t: 'create', d: new Uint8Array(3) }),
    Uint8Array.of(0xa0),
  ];
  const entries = [
    hand.next([
      ...listingOps(pen, 'a', undefined, fields),
      ...listingOps(pen, 'b', undefined, { title: 'b' }),
    ]),
    hand.next([...priceOps(pen, 'Kisumu', 3), ...strange]),
    hand.next([tombstone, ...listingOps(pen, 'c', undefined, {})]),
  ];
  const [first, second] = entries;
  if (first === undefined || second === undefined) throw new Error('no entries');
  const op = first.body[1];
  const statement = signErasure(identity, {
    channel: 'public',
    epoch: hand.epoch,
    seq: 1,
    record: recordKey('listings', identity.peerId, 'b'),
    ops: [{ index: 1, hash: sha256Hex(op !== undefined && 'op' in op ? op.op : Uint8Array.of()) }],
    time: 1_700_000_000_000,
  });
  const fork = makeForkProof(second, hand.sign(priceOps(pen, 'Kisumu', 4), { seq: 2, prev: first.hash }));
  const isErased = random.int(2) === 0;
  return [
    ...(isErased ? [{ kind: 'erasure' as const, bytes: statement }] : []),
    { kind: 'entry', bytes: (isErased ? withoutOps(first, new Set([1])) : first).bytes },
    ...entries.slice(1).map(({ bytes }) => ({ kind: 'entry' as const, bytes })),
    ...(random.int(4) === 0 ? [{ kind: 'proof' as const, bytes: fork.bytes }] : []),
  ];
}

/** A frame of such items, some of them altered, of somebody else, forged, out of order or not as they must be; or one altered as a whole. */
function someFrame(): Uint8Array {
  const items = someItems();
  const at = random.int(items.length);
  const chosen = items[at];
  if (chosen === undefined) throw new Error('no item');
  const { kind, bytes } = chosen;
  switch (random.int(9)) {
    case 0:
      return raw(items);
    case 1:
      return raw(items.with(at, { kind, bytes: mutated([bytes], random, LIMITS.entryBytes) }));
    case 2: {
      const flipped = bytes.slice();
      const place = random.int(flipped.length);
      flipped[place] = (flipped[place] ?? 0) ^ (1 << random.int(8));
      return raw(items.with(at, { kind, bytes: flipped }));
    }
    case 3:
      return raw([...items.slice(0, at), ...someItems(other), ...items.slice(at)]);
    case 4:
      return raw(items.toReversed());
    case 5:
      return raw(items.filter((_, i) => i !== at));
    case 6: {
      if (kind !== 'entry') return raw(items);
      // Another body than was signed.
      const { entry } = readEntry(bytes);
      return raw(items.with(at, { kind, bytes: withBody(entry, entry.body.toReversed()).bytes }));
    }
    case 7: {
      if (kind !== 'entry') return raw(items);
      // A signature that does not hold: the last bytes of the envelope.
      const { envelopeBytes } = readEntry(bytes).entry;
      const forged = bytes.slice();
      const place = Buffer.from(bytes).indexOf(envelopeBytes) + envelopeBytes.length - 1 - random.int(64);
      forged[place] = (forged[place] ?? 0) ^ 1;
      return raw(items.with(at, { kind, bytes: forged }));
    }
    default:
      return mutated([raw(items)], random, 4096);
  }
}

/** What a batch says of an entry is what its bytes say here. */
function expectAsRead({ bytes, read: given }: RangeItem): void {
  if (given === undefined) return;
  const here = readEntry(bytes);
  expect(given.entry).toEqual(here.entry);
  expect(given.signatureHolds()).toBe(here.signatureHolds());
  expect(given.bodyMatches()).toBe(here.bodyMatches());
  for (const placed of placedOps(here.entry)) expect(given.op(placed)).toEqual(readOp(placed));
}

describe.each([
  ['on another thread', startReadingWorker],
  ['on this one', inlineReadingWorker(systemEnv)],
])('frames read by a worker %s', (_, start) => {
  it(`say what they say when they are read here, whatever was done to them (seed ${SEED})`, async () => {
    const reader = readerOf(start);
    let readThere = 0;
    for (let i = 0; i < 200; i++) {
      const frame = someFrame();
      const [there, here] = [await read(reader, frame), await readHere(frame)];
      if (typeof here === 'string' || typeof there === 'string') {
        expect(there).toEqual(here);
        continue;
      }
      const items = there.flat();
      expect(items.map(({ kind, bytes }) => ({ kind, bytes }))).toEqual(here);
      for (const item of items) expectAsRead(item);
      readThere += items.filter(({ read: known }) => known !== undefined).length;
    }
    expect(readThere).toBeGreaterThan(200);
  });

  it('come in batches of few ops, none of them twice', async () => {
    const hand = new Hand(author, random.hex(8));
    const nothing = Array.from({ length: LIMITS.entryOps }, () => new Uint8Array(0));
    const items = Array.from({ length: 5 }, (): RangeItem => ({
      kind: 'entry',
      bytes: hand.next(nothing).bytes,
    }));
    const batches = await read(readerOf(start), raw(items));
    if (typeof batches === 'string') throw new Error(batches);
    expect(batches.map((batch) => batch.length)).toEqual([1, 1, 1, 1, 1]);
    expect(batches.flat().map(({ bytes }) => bytes)).toEqual(items.map(({ bytes }) => bytes));
    expect(batches.flat().every(({ read: known }) => known !== undefined)).toBe(true);
  });
});

describe('a ledger that is given what was read elsewhere', () => {
  const dirs = [tempDir('read-here'), tempDir('read-there')];
  const merger = threadedMerger();
  let nodes: LedgerNode[];
  beforeAll(async () => {
    const identity = someIdentity(random);
    nodes = await Promise.all(dirs.map(({ path }) => openLedgerNode(path, identity, merger)));
  });
  afterAll(async () => {
    for (const node of nodes) await node.close();
    await merger.stop();
    for (const dir of dirs) dir.remove();
  });

  /** What comes of the items for their sender: what was taken, or what it is refused with. */
  async function take(node: LedgerNode, items: readonly RangeItem[]): Promise<unknown> {
    const refused: string[] = [];
    const options = {
      turn: { pause: async () => undefined },
      onRefused: (code: string) => refused.push(code),
    };
    try {
      return { taken: await takeItems(node.ledger, 'the peer', feed, items, options), refused };
    } catch (error) {
      return { code: errorCode(error), refused };
    }
  }

  it(`takes and refuses the same, for the same reasons, and shows the same (seed ${SEED})`, async () => {
    const [here, there] = nodes;
    if (here === undefined || there === undefined) throw new Error('no nodes');
    const reader = readerOf(startReadingWorker);
    const outcomes = new Set<string>();
    for (let i = 0; i < 100; i++) {
      const frame = someFrame();
      const [items, batches] = [await readHere(frame), await read(reader, frame)];
      if (typeof items === 'string' || typeof batches === 'string') continue;
      const outcome = await take(here, items);
      expect(await take(there, batches.flat())).toEqual(outcome);
      outcomes.add(JSON.stringify(outcome));
    }
    for (const node of nodes) expect(node.digestOf(author.peerId)).toBe(here.digestOf(author.peerId));
    expect(await there.views()).toEqual(await here.views());
    expect(outcomes.size).toBeGreaterThan(10);
  });
});

describe('a worker', () => {
  const frame = raw(someItems());
  /** Dies of whatever it is asked. */
  const dying: StartReadingWorker = (events) =>
    startRequestWorker(
      new Worker(
        `const { parentPort } = require('node:worker_threads');
        parentPort.on('message', () => process.exit(1));
        parentPort.postMessage({ ready: true });`,
        { eval: true },
      ),
      events,
      (message) => ({ message }),
    );
  const silent: StartReadingWorker = (events) =>
    startRequestWorker(
      new Worker(
        `const { parentPort } = require('node:worker_threads');
        parentPort.on('message', () => { for (;;); });
        parentPort.postMessage({ ready: true });`,
        { eval: true },
      ),
      events,
      (message) => ({ message }),
    );

  it.each([
    ['that dies', dying],
    ['that hangs', silent],
  ])(
    '%s is replaced, once; nothing of it is read on the main thread, and it is not the sender’s fault',
    async (_, bad) => {
      let started = 0;
      const sometimes = readerOf((events) => (started++ === 0 ? bad : startReadingWorker)(events), {
        answerMs: 5000,
      });
      const batches = await read(sometimes, frame);
      if (typeof batches === 'string') throw new Error(batches);
      for (const item of batches.flat()) expectAsRead(item);
      expect(batches.flat().some(({ read: known }) => known !== undefined)).toBe(true);
      expect(started).toBe(2);

      let tried = 0;
      const never = readerOf(
        (events) => {
          tried++;
          return bad(events);
        },
        { answerMs: 200 },
      );
      expect(await read(never, frame)).toBe('reading-failed');
      expect(tried).toBe(2);
      expect(isSendersFault('reading-failed')).toBe(false);
    },
  );

  it('ends when nothing has come for a while, and another begins', async () => {
    const ended: Promise<void>[] = [];
    const reader = readerOf(
      (events) => {
        const { promise, resolve } = Promise.withResolvers<void>();
        ended.push(promise);
        return startReadingWorker({
          ...events,
          gone: (cause) => {
            resolve();
            events.gone(cause);
          },
        });
      },
      { keptMs: 10 },
    );
    for (const round of [1, 2]) {
      expect(await read(reader, frame)).toHaveLength(1);
      expect(ended).toHaveLength(round);
      await Promise.all(ended);
    }
  });

  it('is not started for a small frame', async () => {
    const start: StartReadingWorker = () => {
      throw new Error('started');
    };
    const [batch] = await Array.fromAsync(
      readerOf(start, { smallFrame: frame.length + 1 }).read(frame, feed),
    );
    expect(batch).toEqual(await readHere(frame));
  });
});
