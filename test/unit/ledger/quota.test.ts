import { afterEach, describe, expect, it } from 'vitest';
import { encodeOp } from '../../../protocols/feed/op.ts';
import { overQuota, type Quota, quotaOf, type Usage } from '../../../protocols/feed/quota.ts';
import { rebuildStore } from '../../../daemon/rebuild.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { Database } from '../../../storage/database.ts';
import { Store } from '../../../storage/store.ts';
import {
  Hand,
  listingOps,
  openLedger,
  priceOps,
  randomFrom,
  someIdentity,
  type TestLedger,
} from '../../support/forge.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { threadedMerger } from '../../support/merger.ts';

const ending: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).toReversed()) await end();
});
const seed = Number(process.env['SEED'] ?? 31);
const random = randomFrom(seed);

/** An op that no version here understands: it waits for an upgrade. */
const unknownOp = (bytes: number): Uint8Array =>
  encodeOp({ v: 1, c: 'zzz', k: '', t: 'fact', d: random.bytes(bytes) });

async function open(
  quota?: Quota,
): Promise<{ held: TestLedger; folder: string; again: (q?: Quota) => Promise<TestLedger> }> {
  const dir = tempDir('quota');
  ending.push(() => dir.remove());
  const identity = someIdentity(random);
  let held = await openLedger(dir.path, identity, Date.now, { quota });
  ending.push(() => held.close());
  return {
    held,
    folder: dir.path,
    async again(other) {
      await held.close();
      held = await openLedger(dir.path, identity, Date.now, { quota: other });
      return held;
    },
  };
}
function author(held: TestLedger): Hand {
  const hand = new Hand(someIdentity(random), random.hex(8));
  held.followStates.set(hand.identity.peerId, 'followed');
  return hand;
}
const codes = async (
  held: TestLedger,
  entries: readonly { bytes: Uint8Array }[],
): Promise<(string | undefined)[]> =>
  (await held.ledger.receive(entries.map(({ bytes }) => bytes))).map(({ kind, code }) => code ?? kind);
const MIB = 1024 * 1024;

describe('the quota of an author', () => {
  it('decides at its boundaries', () => {
    const quota = quotaOf(8, 100);
    const at = (usage: Partial<Usage>, more = 0) =>
      overQuota({ bytes: 0, pending: 0, pendingBytes: 0, ...usage }, quota, more);
    expect(at({ bytes: 8 * MIB - 1 }, 1)).toBeUndefined();
    expect(at({ bytes: 8 * MIB - 1 }, 2)).toBe('bytes');
    expect([at({ pending: 99 }), at({ pending: 100 })]).toEqual([undefined, 'pending']);
    expect([at({ pendingBytes: MIB - 1 }), at({ pendingBytes: MIB })]).toEqual([undefined, 'pendingBytes']);
    expect(overQuota({ bytes: 1e15, pending: 1e9, pendingBytes: 1e15 }, quotaOf(0, 0), 1e9)).toBeUndefined();
  });

  it('stops pending ops long before they fill a disk, and only for this author', async () => {
    const { held } = await open(quotaOf(8, 1000));
    const [flood, honest] = [author(held), author(held)];
    const entries = Array.from({ length: 12 }, () =>
      flood.next([unknownOp(60_000), unknownOp(60_000), unknownOp(60_000)]),
    );
    const came = [];
    for (const entry of entries) came.push(...(await codes(held, [entry])));
    // 180 KB each: the sixth goes beyond an eighth of 8 MiB.
    expect(came).toEqual([...Array<string>(6).fill('accept'), ...Array<string>(6).fill('author-over-quota')]);
    const { peerId } = flood.identity;
    expect(held.store.usageOf(peerId)).toMatchObject({ pending: 18 });
    expect(held.store.feeds(peerId, 'public')[0]?.seq).toBe(6);
    expect(held.alarms).toContainEqual(
      expect.objectContaining({ kind: 'author-over-quota', author: peerId, what: 'pendingBytes' }),
    );
    // What is held is known, not refused; others and this node itself go on.
    expect(await codes(held, entries.slice(0, 1))).toEqual(['known']);
    expect(await codes(held, [honest.next(priceOps(honest.pen, 'm', 1))])).toEqual(['accept']);
  });

  it('counts what comes in one go, and takes the rest once it is raised', async () => {
    const { held, again } = await open({ bytes: 3000, pending: 100, pendingBytes: 3000 });
    const hand = author(held);
    const entries = Array.from({ length: 12 }, (_, n) => hand.next(priceOps(hand.pen, `market ${n}`, 1)));
    const came = await codes(held, entries);
    const taken = came.filter((code) => code === 'accept').length;
    expect(taken).toBeGreaterThan(2);
    expect(taken).toBeLessThan(12);
    expect(came.slice(taken)).not.toContain('accept');
    expect(held.store.usageOf(hand.identity.peerId).bytes).toBeLessThanOrEqual(3000);
    const raised = await again(quotaOf(1, 100));
    raised.followStates.set(hand.identity.peerId, 'followed');
    expect(await codes(raised, entries.slice(taken))).toEqual(entries.slice(taken).map(() => 'accept'));
  });

  it('never bounds this node’s own feeds', async () => {
    const { held } = await open({ bytes: 0, pending: 0, pendingBytes: 0 });
    const mine = new Hand(held.identity, random.hex(8));
    expect(await codes(held, [mine.next(priceOps(mine.pen, 'm', 1))])).toEqual(['accept']);
  });

  it(`is counted the same by a rebuild, after ops that are pending, applied and rejected (seed ${seed})`, async () => {
    const { held, folder } = await open();
    const hands = [author(held), author(held)];
    for (let round = 0; round < 30; round++) {
      const hand = random.pick(hands);
      const key = `l${random.int(4)}`;
      const ops =
        random.int(3) === 0
          ? [
              unknownOp(random.int(300)),
              encodeOp({ v: 1, c: 'prices', k: '', t: 'fact', d: random.bytes(8) }),
            ]
          : listingOps(hand.pen, `${key}-${round}`, undefined, { title: random.hex(random.int(40) + 1) });
      expect(await codes(held, [hand.next(ops)])).toEqual(['accept']);
    }
    // A fork voids what waited above it.
    const [first] = hands;
    if (first === undefined) throw new Error('no hand');
    const other = first.sign([unknownOp(9)], { seq: first.seq, prev: null });
    await held.ledger.receive([other.bytes]);
    await held.ledger.drain();
    const counted = hands.map(({ identity }) => held.store.usageOf(identity.peerId));
    expect(
      counted.every(({ bytes, pending, pendingBytes }) => bytes > 0 && pending > 0 && pendingBytes > 0),
    ).toBe(true);
    await held.close();
    ending.pop();
    const db = await Database.open(folder, systemEnv);
    const merger = threadedMerger();
    ending.push(async () => {
      await merger.stop();
      await db.close();
    });
    const stored = await Store.open(db);
    expect(
      hands.map(({ identity }) => stored.usageOf(identity.peerId)),
      'after a restart',
    ).toEqual(counted);
    const { store } = await rebuildStore(db, merger, () => undefined);
    expect(
      hands.map(({ identity }) => store.usageOf(identity.peerId)),
      'after a rebuild',
    ).toEqual(counted);
  });
});
