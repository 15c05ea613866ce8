import { createHash } from 'node:crypto';
import { cpSync } from 'node:fs';
import { afterEach, expect, it } from 'vitest';
import { checkDerived, type Problem } from '../../../daemon/check-derived.ts';
import { SCRUB_LIMITS } from '../../../daemon/scrub/limits.ts';
import { checkRecord } from '../../../daemon/scrub/check-rows.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { errorCode } from '../../../protocols/errors.ts';
import type { Entry } from '../../../protocols/feed/entry.ts';
import { makeForkProof } from '../../../protocols/feed/fork.ts';
import { isBeingUndone, isWhole } from '../../../protocols/feed/frontier.ts';
import type { Commit } from '../../../protocols/ledger/ports.ts';
import type { Identity } from '../../../protocols/wire/identity.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { LIMITS } from '../../../protocols/wire/limits.ts';
import { Database } from '../../../storage/database.ts';
import { range, type SublevelName } from '../../../storage/keyspace.ts';
import { Store } from '../../../storage/store.ts';
import { Hand, listingOps, openLedger, priceOps, type TestLedger } from '../../support/forge.ts';
import { createInlineMerges } from '../../support/inline-merges.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';
import { waitFor } from '../../support/wait.ts';

const PER_ENTRY = 700;
const ENTRIES = 6;
/** The first entry stays, all others lose their effect. */
const FORKED_AT = 2;
const OFFER = { type: 'offer', status: 'active', title: 'Maize' };
const owner = nodeOf(1);

const open: { remove(): void; close?(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).toReversed()) {
    await each.close?.();
    each.remove();
  }
});

function folder(): string {
  const dir = tempDir('undoing');
  open.push({ remove: () => dir.remove() });
  return dir.path;
}

async function opened(path: string, identity: Identity = nodeOf(2)): Promise<TestLedger> {
  const node = await openLedger(path, identity);
  node.followStates.set(owner.peerId, 'followed');
  open.push({ remove: () => undefined, close: () => node.close() });
  return node;
}

/** Prices, and listings that every entry changes: their ops stand in all batches. */
async function history(): Promise<{ entries: Entry[]; proof: Uint8Array }> {
  const author = await opened(folder(), nodeOf(3));
  const hand = new Hand(owner, 'a'.repeat(16));
  const entries: Entry[] = [];
  let proof: Uint8Array | undefined;
  for (let at = 0; at < ENTRIES; at++) {
    const ops = Array.from({ length: PER_ENTRY }, (_, i) => priceOps(hand.pen, `m${at}`, i)).flat();
    for (let i = 0; i < 20; i++) {
      const id = i < 10 ? `${i}` : `late-${at}-${i}`;
      const [known] = await author.store.records([recordKey('listings', owner.peerId, id)]);
      ops.push(...listingOps(hand.pen, id, known, known === undefined ? OFFER : { price: at }));
    }
    const other = hand.sign(priceOps(hand.pen, 'other', at));
    const entry = hand.next(ops);
    await author.ledger.receive([entry.bytes]);
    if (entry.header.seq === FORKED_AT) proof = makeForkProof(entry, other).bytes;
    entries.push(entry);
  }
  if (proof === undefined) throw new TypeError('no proof');
  return { entries, proof };
}

/** What each commit of the store is told, and `after` it is on disk. */
function onCommit(node: TestLedger, after: (commit: Commit) => Promise<void> | void): void {
  const { store } = node;
  const handOver = store.handOver.bind(store);
  store.handOver = async (commit, ...rest) => {
    const { written } = await handOver(commit, ...rest);
    return { written: written.then(() => after(commit)) };
  };
}

const OF_FEEDS: readonly SublevelName[] = [
  'feeds',
  'entries',
  'records',
  'verdicts',
  'recordOps',
  'index',
  'digests',
  'awaiting',
  'usage',
  'forks',
  'changes',
];

async function rowsOf(path: string): Promise<Record<string, string>> {
  const db = await Database.open(path, systemEnv);
  const rows: Record<string, string> = {};
  for (const name of OF_FEEDS) {
    const hash = createHash('sha256');
    let count = 0;
    for await (const [key, value] of db.level.iterator(range(name))) {
      hash.update(key).update(value);
      count++;
    }
    rows[name] = `${count} ${hash.digest('hex')}`;
  }
  await db.close();
  return rows;
}

const feedOf = ({ store }: TestLedger) => store.feed(owner.peerId, 'public', 'a'.repeat(16));

it('a fork that takes their effect from thousands of ops takes it in commits no larger than one entry; others have their turn between them, nobody of the feed does', async () => {
  const { entries, proof } = await history();
  const node = await opened(folder());
  await node.ledger.receive(entries.map(({ bytes }) => bytes));
  const commits: Commit[] = [];
  let meanwhile: Promise<unknown> | undefined;
  let late: Promise<unknown> | undefined;
  const order: string[] = [];
  const next = new Hand(owner, 'b'.repeat(16));
  onCommit(node, (commit) => {
    commits.push(commit);
    order.push(commit.entries[0]?.entry.author.slice(-4) ?? 'undoing');
    if (meanwhile !== undefined) return;
    meanwhile = node.ledger.write({
      keys: [],
      draft: ({ author }) => [
        {
          key: recordKey('listings', author, 'own'),
          channel: 'public',
          ops: listingOps({ author, epoch: node.ledger.epoch() }, 'own', undefined, OFFER),
        },
      ],
    });
    late = node.ledger.receive([next.next(priceOps(next.pen, 'late', 1)).bytes]);
  });
  expect(await node.ledger.receiveProof(proof)).toBe('new');
  // Until all of it is done nobody compares what is shown of this author.
  expect(isWhole(node.store.feeds(owner.peerId, 'public'))).toBe(false);
  await node.ledger.drain();
  await Promise.all([meanwhile, late]);
  expect(isWhole(node.store.feeds(owner.peerId, 'public'))).toBe(true);
  const undone = commits.filter(({ entries: some }) => some.length === 0);
  expect(undone.length).toBeGreaterThanOrEqual(3);
  for (const { records, verdicts } of undone) {
    expect(verdicts.length).toBeLessThan(2 * LIMITS.entryOps);
    expect(records.length).toBeLessThan(2 * LIMITS.entryOps);
  }
  // Each record once, however many entries its ops stand in.
  const changed = undone.flatMap(({ records }) => records.map(({ key }) => key));
  expect(new Set(changed).size).toBe(changed.length);
  const [own, same] = [node.identity.peerId.slice(-4), owner.peerId.slice(-4)];
  expect(order.indexOf(own)).toBeGreaterThan(0);
  expect(order.indexOf(own)).toBeLessThan(order.lastIndexOf('undoing'));
  expect(order.indexOf(same)).toBeGreaterThan(order.lastIndexOf('undoing'));

  const never = await opened(folder(), node.identity);
  await never.ledger.receiveProof(proof);
  await never.ledger.receive(entries.map(({ bytes }) => bytes));
  const listings = (of: TestLedger) => of.store.digests.ofOwner('public', owner.peerId).get('listings');
  expect(listings(node)).toEqual(listings(never));
  expect(listings(node)?.count).toBe(20);
}, 120_000);

it('killed after any of these commits it goes on at the next start, and ends with the same digest and rows; meanwhile neither fsck nor the scrub calls it damage', async () => {
  const { entries, proof } = await history();
  const path = folder();
  const node = await openLedger(path, nodeOf(2));
  node.followStates.set(owner.peerId, 'followed');
  await node.ledger.receive(entries.map(({ bytes }) => bytes));
  const copies: string[] = [];
  onCommit(node, () => {
    const copy = folder();
    // What the process has handed to the system is there after its end.
    cpSync(path, copy, { recursive: true });
    copies.push(copy);
  });
  await node.ledger.receiveProof(proof);
  await node.ledger.drain();
  const digest = node.digest();
  await node.close();
  const expected = await rowsOf(path);
  expect(copies.length).toBeGreaterThanOrEqual(3);
  for (const [i, copy] of copies.slice(0, -1).entries()) {
    const db = await Database.open(copy, systemEnv);
    const store = await Store.open(db);
    const problems: Problem[] = [];
    await checkDerived(db, problems, true);
    expect(problems).toEqual([]);
    const key = recordKey('listings', owner.peerId, `late-${ENTRIES - 1}-15`);
    const parts = { db, store, merges: createInlineMerges(systemEnv), opsOfRecord: SCRUB_LIMITS.opsOfRecord };
    expect((await checkRecord(parts, key)).wrong).toEqual([]);
    await db.close();

    const again = await openLedger(copy, node.identity);
    const feed = feedOf(again);
    expect(feed !== undefined && isBeingUndone(feed), `after commit ${i + 1}`).toBe(true);
    await again.ledger.drain();
    expect(again.digest()).toBe(digest);
    await again.close();
    expect(await rowsOf(copy)).toEqual(expected);
  }
}, 240_000);

it('a stop does not wait for all of it: who waits for the feed is told so, and the next start goes on', async () => {
  const { entries, proof } = await history();
  const path = folder();
  const node = await openLedger(path, nodeOf(2));
  node.followStates.set(owner.peerId, 'followed');
  await node.ledger.receive(entries.map(({ bytes }) => bytes));
  let commits = 0;
  onCommit(node, () => {
    commits++;
  });
  await node.ledger.receiveProof(proof);
  const next = new Hand(owner, 'b'.repeat(16));
  const late = node.ledger.receive([next.next(priceOps(next.pen, 'late', 1)).bytes]);
  const told = late.then(() => 'taken', errorCode);
  await node.close();
  expect(await told).toBe('stopping');
  expect(commits).toBeLessThan(3);
  const again = await openLedger(path, nodeOf(2));
  const feed = feedOf(again);
  expect(feed !== undefined && isBeingUndone(feed)).toBe(true);
  await again.ledger.drain();
  expect(isWhole(again.store.feeds(owner.peerId, 'public'))).toBe(true);
  expect(again.store.digests.ofOwner('public', owner.peerId).get('listings')?.count).toBe(20);
  await again.close();
}, 120_000);

it('of an own feed all that several commits have taken away comes back in a new epoch', async () => {
  const node = await opened(folder(), owner);
  const count = 2 * LIMITS.entryOps + 300;
  const ids = Array.from({ length: count }, (_, i) => `${i}`);
  const epoch = node.ledger.epoch();
  await Promise.all(
    ids.map((id) =>
      node.ledger.write({
        keys: [],
        draft: (pen) => [
          {
            key: recordKey('listings', pen.author, id),
            channel: 'public',
            ops: listingOps(pen, id, undefined, OFFER),
          },
        ],
      }),
    ),
  );
  const [first] = node.store.feeds(owner.peerId, 'public');
  if (first === undefined) throw new TypeError('nothing written');
  const entry = await node.store.entry(first.no, 1);
  const other = new Hand(owner, epoch).sign(priceOps({ author: owner.peerId, epoch }, 'other', 1));
  if (entry === undefined) throw new TypeError('no entry');
  let commits = 0;
  onCommit(node, ({ entries }) => {
    if (entries.length === 0) commits++;
  });
  expect(await node.ledger.receiveProof(makeForkProof(entry, other).bytes)).toBe('new');
  await waitFor('the reissue', async () => {
    await node.ledger.drain();
    return node.store.digests.ofOwner('public', owner.peerId).get('listings')?.count === count;
  });
  expect(commits).toBeGreaterThanOrEqual(2);
  expect(node.alarms.map(({ kind }) => kind)).toEqual(['own-feed-forked']);
}, 120_000);
