import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Entry } from '../../protocols/feed/entry.ts';
import { makeForkProof } from '../../protocols/feed/fork.ts';
import { draftErasure, draftFact } from '../../protocols/ledger/drafts.ts';
import { sha256Hex } from '../../protocols/wire/bytes.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import { ChangeHand } from '../support/change-hand.ts';
import { Hand, openLedger, priceOps, randomFrom, someIdentity, type TestLedger } from '../support/forge.ts';
import { loopLine, STRETCH_MS, watchLoop } from '../support/loop-watch.ts';
import { tempDir } from '../support/temp-dir.ts';

/*
 * What a registered author can send at its largest, into a ledger over a real LevelDB: how long any of it keeps the event loop from
 * turning. Processor time, so it does not depend on what else the machine does.
 */

const seed = Number(process.env['SEED'] ?? 1);
const random = randomFrom(seed);
const folder = tempDir('main-loop');
let node: TestLedger;

beforeAll(async () => {
  node = await openLedger(folder.path, someIdentity(random));
  // What runs for the first time is not compiled yet: the same kinds of work, once, at a tenth of the size.
  const hand = author();
  const few = listings(hand, 100, 400);
  await node.ledger.receive([few.entry.bytes]);
  await node.ledger.receive([hand.next(erasuresOf(hand, few)).bytes]);
  await node.ledger.receive(
    Array.from({ length: 100 }, (_, i) => hand.next(priceOps(hand.pen, 'A', i)).bytes),
  );
  await forkOf(hand, few.entry);
});

afterAll(async () => {
  await node.close();
  folder.remove();
});

function author(): Hand {
  const hand = new Hand(someIdentity(random), random.hex(8));
  node.followStates.set(hand.identity.peerId, 'followed');
  return hand;
}

const offer = (bytes: number) => ({ type: 'offer', status: 'active', description: 'x'.repeat(bytes) });

interface Listings {
  readonly entry: Entry;
  readonly keys: readonly RecordKey[];
  readonly ops: readonly Uint8Array[];
}

/** An entry of so many new listings. */
function listings(hand: Hand, count: number, bytes: number): Listings {
  const records = Array.from({ length: count }, () => new ChangeHand(hand.pen, 'listings', random.hex(8)));
  const ops = records.map((record) => record.set(offer(bytes)));
  return { entry: hand.next(ops), keys: records.map(({ key }) => key), ops };
}

/** One statement for each listing of an entry, as ops. */
function erasuresOf({ identity }: Hand, { entry, keys, ops }: Listings): Uint8Array[] {
  const { epoch, seq } = entry.header;
  const statements = ops.map((op, index) => {
    const record = keys[index];
    if (record === undefined) throw new TypeError('a listing without a key');
    return { channel: 'public', epoch, seq, record, ops: [{ index, hash: sha256Hex(op) }], time: 1 } as const;
  });
  return [...draftErasure(identity, 'public', statements).ops];
}

/** Another entry at the place of one that is held, and the proof that both make. */
function forkOf(hand: Hand, { header, ...held }: Entry): Promise<string> {
  const { seq, prev, epoch } = header;
  const other = hand.sign(priceOps(hand.pen, 'B', random.int(1e9)), { seq, prev, epoch });
  return node.ledger.receiveProof(makeForkProof({ ...held }, other).bytes);
}

/** Takes entries in; none may keep the loop from turning. */
async function checkTaken(name: string, entries: readonly Entry[]): Promise<void> {
  const bytes = entries.map((entry) => entry.bytes);
  const { result, ...figures } = await watchLoop(() => node.ledger.receive(bytes));
  console.log(loopLine(name, figures));
  expect(result.every(({ kind }) => kind === 'accept')).toBe(true);
  expect(figures.cpuMs, `${name}, SEED=${seed}`).toBeLessThan(STRETCH_MS);
}

test('an entry of 1 MB with 1,024 ops on as many records', async () => {
  const { entry } = listings(author(), 1024, 770);
  expect(entry.bytes.length).toBeGreaterThan(1_000_000);
  await checkTaken('1,024 records', [entry]);
});

test('an entry of 1 MB with 1,024 ops on one record', async () => {
  const hand = author();
  const record = new ChangeHand(hand.pen, 'listings', 'a');
  const entry = hand.next(Array.from({ length: 1024 }, () => record.set(offer(600))));
  await checkTaken('one record', [entry]);
});

test('a record of 4,096 ops that is judged whole', async () => {
  const hand = author();
  const record = new ChangeHand(hand.pen, 'listings', 'a');
  const entries = Array.from({ length: 4 }, () =>
    hand.next(Array.from({ length: 1024 }, () => record.set(offer(200)))),
  );
  await checkTaken('4,096 ops of one record', entries);
  const twice = new ChangeHand(hand.pen, 'listings', 'a').set(offer(200));
  await checkTaken('judged whole', [hand.next([twice])]);
});

test('500 entries with 2 ops each, and a range of 2,000 small ones', async () => {
  const hand = author();
  const small = (n: number, ops: number): Entry[] =>
    Array.from({ length: n }, (_, i) =>
      hand.next(Array.from({ length: ops }, (_, j) => priceOps(hand.pen, `M${i} ${j}`, i)).flat()),
    );
  await checkTaken('500 entries of 2 ops', small(500, 2));
  await checkTaken('2,000 entries', small(2000, 1));
});

test('a fork that takes 2,000 listings away; proofs of a place that is forked already cost their reading', async () => {
  const hand = author();
  const [below, first, second] = [10, 1000, 1000].map((count) => listings(hand, count, 300));
  if (below === undefined || first === undefined || second === undefined)
    throw new TypeError('three entries');
  await node.ledger.receive([below, first, second].map(({ entry }) => entry.bytes));
  const { result, ...figures } = await watchLoop(() => forkOf(hand, first.entry));
  console.log(loopLine('a fork of 2,000 listings', figures));
  expect(result).toBe('new');
  expect(figures.cpuMs, `SEED=${seed}`).toBeLessThan(STRETCH_MS);
  expect((await node.store.records([...first.keys])).every((state) => state?.exists === false)).toBe(true);
  node.verdicts();
  const again = await watchLoop(async () => {
    const outcomes = new Set<string>();
    for (let i = 0; i < 200; i++) outcomes.add(await forkOf(hand, i % 2 === 0 ? first.entry : second.entry));
    return outcomes;
  });
  console.log(loopLine('200 proofs that change nothing, made and read', again));
  expect([...again.result]).toEqual(['known']);
  expect(node.verdicts()).toEqual([]);
  // Making one costs more than reading it; judging 2,000 listings 200 times took minutes.
  expect(again.totalCpuMs).toBeLessThan(20 * figures.totalCpuMs);
  expect(again.cpuMs).toBeLessThan(STRETCH_MS);
});

test('1,000 erasures in one entry, of an entry of 1,000 listings; the same again changes nothing', async () => {
  const hand = author();
  const held = listings(hand, 1000, 200);
  await checkTaken('1,000 listings', [held.entry]);
  const words = erasuresOf(hand, held);
  await checkTaken('1,000 erasures', [hand.next(words)]);
  expect(
    (
      await node.store.entry(node.store.feed(hand.identity.peerId, 'public', hand.epoch)?.no ?? 0, 1)
    )?.body.every((item) => 'erased' in item),
  ).toBe(true);
  node.verdicts();
  await checkTaken('1,000 erasures again', [hand.next(words)]);
  // Its own ops are evaluated, and nothing of what stood there before.
  expect(node.verdicts().map(({ verdict, fresh }) => [verdict, fresh])).toEqual(
    words.map(() => [{ state: 'applied' }, true]),
  );
});

test('one erasure of 1,024 ops of one listing', async () => {
  const hand = author();
  const record = new ChangeHand(hand.pen, 'listings', 'a');
  const ops = Array.from({ length: 1024 }, () => record.set(offer(300)));
  const entry = hand.next(ops);
  await checkTaken('1,024 ops of one listing', [entry]);
  const { epoch, seq } = entry.header;
  const erased = ops.map((op, index) => ({ index, hash: sha256Hex(op) }));
  const statement = { channel: 'public', epoch, seq, record: record.key, ops: erased, time: 1 } as const;
  await checkTaken('one erasure of 1,024 ops', [
    hand.next([...draftErasure(hand.identity, 'public', [statement]).ops]),
  ]);
});

test('own writes do not wait behind 1 MB entries of another author', async () => {
  const flood = author();
  const entries = Array.from({ length: 8 }, () => listings(flood, 1024, 770).entry.bytes);
  const taken = (): number => node.store.feed(flood.identity.peerId, 'public', flood.epoch)?.seq ?? 0;
  /** How many of the other author's entries were taken while one write was under way. */
  const write = async (i: number): Promise<number> => {
    const before = taken();
    const fields = { date: '2026-01-01', market: `W${i}`, commodity: 'Maize', unit: 'kg' };
    const more = { currency: 'KES', price: i, priceType: 'Retail' };
    await node.ledger.write({ keys: [], draft: (pen) => [draftFact(pen, 'prices', { ...fields, ...more })] });
    return taken() - before;
  };
  let done = false;
  const receiving = node.ledger.receive(entries).finally(() => (done = true));
  const waited: number[] = [];
  while (!done && waited.length < 1000) waited.push(await write(waited.length));
  expect((await receiving).every(({ kind }) => kind === 'accept')).toBe(true);
  expect(taken()).toBe(entries.length);
  console.log(`${waited.length} own writes while 8 MB of another author were taken`);
  // By turns of the work, not by a clock: behind the backlog one would fit, behind each of its entries one more than these are.
  expect(waited.length).toBeGreaterThan(1.5 * entries.length);
  expect(Math.max(...waited)).toBeLessThanOrEqual(2);
});
