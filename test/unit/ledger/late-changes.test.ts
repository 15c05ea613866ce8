import { afterAll, expect, it, vi } from 'vitest';
import { checkDerived, type Problem } from '../../../daemon/check-derived.ts';
import { SCRUB_LIMITS } from '../../../daemon/scrub/limits.ts';
import { checkRecord } from '../../../daemon/scrub/check-rows.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { draftEdit } from '../../../protocols/ledger/drafts.ts';
import { placedOps } from '../../../protocols/ledger/placed-ops.ts';
import { RecordOps } from '../../../protocols/ledger/record-ops.ts';
import type { Entry } from '../../../protocols/feed/entry.ts';
import { actorOf } from '../../../protocols/open-dialog/read-op.ts';
import type { PlacedOp, RecordState } from '../../../protocols/open-dialog/record.ts';
import { Database } from '../../../storage/database.ts';
import { pastRange } from '../../../storage/past-rows.ts';
import { Store } from '../../../storage/store.ts';
import { updatesCampaign } from '../../sim/updates.ts';
import { ChangeHand } from '../../support/change-hand.ts';
import { evaluateWhole } from '../../support/evaluate-whole.ts';
import { Hand, openLedger, type TestLedger } from '../../support/forge.ts';
import { createInlineMerges } from '../../support/inline-merges.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const UPDATES = 2000;
const PER_ENTRY = 20;
const owner = nodeOf(1);

/** A listing of many updates in one feed, and what its state was after each entry that is asked for. */
class LongListing {
  readonly feed = new Hand(owner, '0'.repeat(16));
  readonly hand = new ChangeHand(this.feed.pen, 'listings', 'maize');
  readonly ops: PlacedOp[] = [];
  readonly key = this.hand.key;

  entry(): Entry {
    const updates = Array.from({ length: PER_ENTRY }, (_, i) => {
      const price = this.ops.length + i;
      return this.hand.set(
        price === 0 ? { type: 'offer', status: 'active', title: 'Maize', price } : { price },
      );
    });
    return this.note(this.feed.next(updates));
  }

  note(entry: Entry): Entry {
    this.ops.push(...placedOps(entry));
    return entry;
  }

  /** As somebody sees it who has so many of its ops. */
  seen(count: number): RecordState {
    return evaluateWhole(this.key, this.ops.slice(0, count), undefined).state;
  }
}

const folders = ['late', 'late-forked', 'late-many'].map((name) => tempDir(name));
afterAll(() => {
  for (const folder of folders) folder.remove();
});

async function take({ ledger }: TestLedger, entry: Entry): Promise<void> {
  expect((await ledger.receive([entry.bytes]))[0]?.kind).toBe('accept');
}

/** The same as a full evaluation of all the ops, and nothing amiss for the scrub or for whoever compares all rows. */
async function isWhole(node: TestLedger, listing: LongListing): Promise<void> {
  const [state] = await node.store.records([listing.key]);
  expect(state).toEqual(evaluateWhole(listing.key, listing.ops, undefined).state);
}

it('changes that come late to a long record are told by the few that they name: each op is walked once at most, whatever comes later', async () => {
  const [folder] = folders;
  if (folder === undefined) return;
  const node = await openLedger(folder.path, nodeOf(2));
  node.followStates.set(owner.peerId, 'followed');
  const listing = new LongListing();
  while (listing.ops.length < UPDATES) await take(node, listing.entry());

  const whole = vi.spyOn(RecordOps.prototype, 'of');
  const read = vi.spyOn(node.store, 'opAt');
  const walked = vi.spyOn(node.store, 'keepPast');
  const readSince = (): number => read.mock.calls.splice(0).length;
  const late = async (epoch: string, states: readonly RecordState[]): Promise<void> => {
    const other = new Hand(owner, epoch.repeat(16));
    for (const [i, known] of states.entries()) {
      const patch = { title: `by ${epoch}, ${i}`, notes: `${i}` };
      const ops = draftEdit(other.pen, listing.key, 'public', known, patch).ops;
      await take(node, listing.note(other.next([...ops])));
    }
  };
  // A moment late: what has come since is walked, and no more.
  await late('a', [listing.seen(UPDATES - 100)]);
  expect(readSince()).toBeLessThan(400);
  // Long ago: everything is walked, once.
  await late('b', [listing.seen(40)]);
  expect(readSince()).toBeLessThan(UPDATES + 200);
  await late('c', [listing.seen(60)]);
  expect(readSince()).toBeLessThan(200);
  const rows = walked.mock.calls.flatMap(([, kept]) => kept);
  expect(rows.length).toBeGreaterThan(UPDATES - PER_ENTRY);
  expect(new Set(rows.map(([hash]) => hash)).size).toBe(rows.length);
  await isWhole(node, listing);
  // Nothing of this has read all ops of the record.
  expect(whole.mock.calls).toEqual([]);
  // The feed that was there first knows nothing of these, and goes on: its changes are late as well.
  await take(node, listing.entry());
  expect(whole.mock.calls).toEqual([]);
  await isWhole(node, listing);
  await node.close();

  const db = await Database.open(folder.path, systemEnv);
  const merges = createInlineMerges(systemEnv);
  const parts = { db, store: await Store.open(db), merges, opsOfRecord: SCRUB_LIMITS.opsOfRecord };
  expect((await checkRecord(parts, listing.key)).wrong).toEqual([]);
  const problems: Problem[] = [];
  await checkDerived(db, problems, true);
  expect(problems).toEqual([]);
  // A row that is gone is found, and with it goes what was kept: it only saved work.
  const [first] = await db.level.keys(pastRange(listing.key, 'all')).all();
  await db.level.del(first ?? '');
  const checked = await checkRecord(parts, listing.key);
  expect(checked.wrong.map(({ table, kind }) => `${table} ${kind}`)).toEqual(['past missing']);
  await db.batch(checked.repairs, true);
  expect(await db.level.keys(pastRange(listing.key, 'all')).all()).toEqual([]);
  await db.close();

  const again = await openLedger(folder.path, nodeOf(2));
  again.followStates.set(owner.peerId, 'followed');
  const other = new Hand(owner, 'd'.repeat(16));
  const ops = draftEdit(other.pen, listing.key, 'public', listing.seen(80), { notes: 'after all' }).ops;
  await take(again, listing.note(other.next([...ops])));
  await isWhole(again, listing);
  await again.close();
}, 120_000);

it('of a long record a late change waits for what is not here, counts when it comes, and a fork takes both away', async () => {
  const [, folder] = folders;
  if (folder === undefined) return;
  const node = await openLedger(folder.path, nodeOf(2));
  node.followStates.set(owner.peerId, 'followed');
  const listing = new LongListing();
  while (listing.ops.length < 700) await take(node, listing.entry());
  const known = listing.seen(600);
  const a = new Hand(owner, 'a'.repeat(16));
  const b = new Hand(owner, 'b'.repeat(16));
  const first = a.next([...draftEdit(a.pen, listing.key, 'public', known, { notes: 'first' }).ops]);
  const both = evaluateWhole(
    listing.key,
    [...listing.ops.slice(0, 600), ...placedOps(first)],
    undefined,
  ).state;
  const second = b.next([...draftEdit(b.pen, listing.key, 'public', both, { notes: 'second' }).ops]);
  await take(node, listing.note(second));
  expect((await node.store.records([listing.key]))[0]?.pending).toBe(1);
  await take(node, listing.note(first));
  expect((await node.store.records([listing.key]))[0]).toMatchObject({
    pending: 0,
    view: { notes: 'second' },
  });
  await isWhole(node, listing);

  const other = new Hand(owner, a.epoch);
  const forged = other.next([...draftEdit(other.pen, listing.key, 'public', known, { notes: 'other' }).ops]);
  await node.ledger.receive([forged.bytes]);
  const left = listing.ops.filter(({ epoch }) => epoch !== a.epoch);
  const [state] = await node.store.records([listing.key]);
  expect(state).toEqual(evaluateWhole(listing.key, left, undefined).state);
  expect(state?.pending).toBe(1);
  await node.close();
}, 60_000);

it('of many epochs that write late one upon another no change is kept with all of them', async () => {
  const EPOCHS = 80;
  const [, , folder] = folders;
  if (folder === undefined) return;
  const node = await openLedger(folder.path, nodeOf(2), Date.now, { wholeOps: 0 });
  node.followStates.set(owner.peerId, 'followed');
  const listing = new LongListing();
  await take(node, listing.entry());
  let known = listing.seen(PER_ENTRY);
  const begun = listing.ops.slice();
  await take(node, listing.entry());
  const chain: PlacedOp[] = [];
  const seen: number[] = [];
  for (let i = 0; i < EPOCHS; i++) {
    const hand = new Hand(owner, i.toString(16).padStart(16, 'e'));
    const begins = { [actorOf(owner.peerId, hand.epoch, listing.key)]: [0, 0] as const };
    const base = { ...known, seqs: { ...known.seqs, ...begins } };
    const ops = draftEdit(hand.pen, listing.key, 'public', base, { notes: `${i}` }).ops;
    const entry = listing.note(hand.next([...ops]));
    await take(node, entry);
    chain.push(...placedOps(entry));
    known = evaluateWhole(listing.key, [...begun, ...chain], undefined).state;
    const [past] = await node.store.past(listing.key, known.heads);
    seen.push(Object.keys(past?.seen?.also ?? {}).length);
  }
  expect(Math.max(...seen)).toBe(64);
  await isWhole(node, listing);
  await node.close();
}, 60_000);

it('the 10,000th update holds no more than the first, and one that comes late is taken in', async () => {
  const [first, last] = await updatesCampaign(10_000);
  expect(last?.at).toBe(10_000);
  expect((last?.stateBytes ?? 0) - (first?.stateBytes ?? 0)).toBeLessThan(100);
}, 60_000);
