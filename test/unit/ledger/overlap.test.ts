import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { surveyFeeds } from '../../../daemon/feed-survey.ts';
import { draftEdit } from '../../../protocols/ledger/drafts.ts';
import type { Committed } from '../../../protocols/ledger/types.ts';
import type { Merger } from '../../../protocols/open-dialog/merger.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { Digests } from '../../../storage/digests.ts';
import { Reader } from '../../../storage/reader.ts';
import { Hand, listingOps } from '../../support/forge.ts';
import { HeldDisk } from '../../support/held-disk.ts';
import { type LedgerNode, openLedgerNode } from '../../support/ledger-node.ts';
import { threadedMerger } from '../../support/merger.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { tempDir } from '../../support/temp-dir.ts';

const identity = identityFromSeed(new Uint8Array(32).fill(1));
const key = recordKey('listings', identity.peerId, 'x');
let dir: ReturnType<typeof tempDir>;
let merger: Merger;
let disk: HeldDisk;
let node: LedgerNode;
let told: Committed[];
let order: string[];
beforeEach(async () => {
  dir = tempDir('overlap');
  merger = threadedMerger();
  disk = new HeldDisk(dir.path);
  told = [];
  order = [];
  const onCommit = (committed: Committed): void => {
    told.push(committed);
    order.push('commit told');
  };
  node = await openLedgerNode(dir.path, identity, merger, onCommit, { home: disk });
});
afterEach(async () => {
  disk.release();
  await node.close();
  await merger.stop();
  dir.remove();
});

/** Sets the title of the one listing; `drafted` resolves when that is drafted. */
function write(title: string): { drafted: Promise<void>; done: Promise<unknown> } {
  const { promise: drafted, resolve } = Promise.withResolvers<void>();
  const fields = { type: 'offer', status: 'active', title };
  const written = node.ledger.write({
    keys: [key],
    draft(writer, read) {
      const known = read(key);
      order.push(`${title} upon ${String(known?.view['title'])}`);
      resolve();
      return [draftEdit(writer, key, 'public', known, fields)];
    },
  });
  const done = written.then(() => order.push(`${title} done`));
  done.catch(() => undefined); // each test looks at it in its time
  return { drafted, done };
}

const titleShown = async (): Promise<unknown> => (await new Reader(node.db).get(key))?.view['title'];
const entriesShown = (): number[] => node.store.feeds(identity.peerId, 'public').map(({ seq }) => seq);
const reopen = (): Promise<void> => node.db.reopen(() => node.store.reload());
async function isTrue(): Promise<void> {
  const counted = await Digests.ofRecords(node.db.level);
  expect(node.digestOf(identity.peerId)).toBe(counted.ownerDigest(identity.peerId));
}

describe('while one batch is synced', () => {
  it('the next is drafted upon it, shown to nobody, and acknowledged after its own sync, in order', async () => {
    disk.hold();
    const first = write('first');
    await disk.held();
    const second = write('second');
    await second.drafted;
    for (let i = 0; i < 20; i++) await setImmediate();
    expect([order, await titleShown(), entriesShown(), told.length]).toEqual([
      ['first upon undefined', 'second upon first'],
      undefined,
      [],
      0,
    ]);
    const third = write('third');
    for (let i = 0; i < 20; i++) await setImmediate();
    disk.release();
    await Promise.all([first.done, second.done, third.done]);
    expect(order).toEqual([
      'first upon undefined',
      'second upon first',
      'commit told',
      'first done',
      'third upon second',
      'commit told',
      'second done',
      'commit told',
      'third done',
    ]);
    expect([disk.most, entriesShown(), await titleShown()]).toEqual([1, [3], 'third']);
    await isTrue();
  });

  it('of received entries, what is written here meanwhile is later than they are', async () => {
    const hand = new Hand(identityFromSeed(new Uint8Array(32).fill(3)), '00'.repeat(8));
    const ahead = systemEnv.now() + 200_000;
    const theirs = hand.sign(listingOps(hand.pen, 'theirs', undefined, { title: 'theirs' }), {
      time: [ahead, 7],
    });
    disk.hold();
    const received = node.ledger.receive([theirs.bytes]);
    await disk.held();
    const mine = write('mine');
    await mine.drafted;
    disk.release();
    expect(await received).toMatchObject([{ kind: 'accept' }]);
    await mine.done;
    const [feed] = node.store.feeds(identity.peerId, 'public');
    const { header } = (await node.store.entry(feed?.no ?? 0, 1)) ?? {};
    expect(header?.time).toEqual([ahead, 8]);
  });

  it('what changes nothing upon it is not acknowledged before it', async () => {
    disk.hold();
    const first = write('same');
    await disk.held();
    const again = write('same');
    await again.drafted;
    for (let i = 0; i < 20; i++) await setImmediate();
    expect(order).toEqual(['same upon undefined', 'same upon same']);
    disk.release();
    await Promise.all([first.done, again.done]);
    expect(order.slice(2)).toEqual(['commit told', 'same done', 'same done']);
    expect(entriesShown()).toEqual([1]);
  });
});

describe('when a sync fails', () => {
  it('all that stand on it fail with it, are shown to nobody, and a new epoch goes on', async () => {
    disk.hold();
    const first = write('first');
    await disk.held();
    const [second, same] = [write('second'), write('first')];
    await second.drafted;
    const epoch = node.ledger.epoch();
    disk.fail();
    for (const { done } of [first, second, same])
      await expect(done).rejects.toMatchObject({ code: 'storage-failed' });
    await expect(write('too early').done).rejects.toMatchObject({ code: 'storage-failed' });
    await reopen();
    expect([told, entriesShown(), await titleShown()]).toEqual([[], [], undefined]);
    expect([node.store.usageOf(identity.peerId).bytes, node.store.digests.total()]).toEqual([
      0,
      new Digests().total(),
    ]);
    expect(node.ledger.epoch()).not.toBe(epoch);
    await write('after').done;
    expect([entriesShown(), await titleShown(), told.length]).toEqual([[1], 'after', 1]);
    await isTrue();
  });

  it('what stands on it fails even where the database could go on', async () => {
    let fails = true;
    node.db.tap({
      async before() {
        await setImmediate();
        if (fails) throw new Error('no outbox');
        return [];
      },
      written: () => undefined,
    });
    const first = write('first');
    await first.drafted;
    const second = write('second');
    await expect(first.done).rejects.toMatchObject({ code: 'storage-failed' });
    fails = false;
    await expect(second.done).rejects.toMatchObject({ code: 'storage-failed' });
    expect([entriesShown(), told]).toEqual([[], []]);
    await write('after').done;
    expect([entriesShown(), await titleShown()]).toEqual([[1], 'after']);
    await isTrue();
  });

  it('a fork that was seen upon it is refused as well, and taken when it comes again', async () => {
    const hand = new Hand(identityFromSeed(new Uint8Array(32).fill(2)), '00'.repeat(8));
    const listing = (title: string): Uint8Array[] => listingOps(hand.pen, title, undefined, { title });
    await node.ledger.receive([hand.next(listing('before')).bytes]);
    const [twice, once] = [hand.sign(listing('twice')), hand.next(listing('once'))];
    const { promise: refused, reject: refuse } = Promise.withResolvers<never>();
    refused.catch(() => undefined); // told to the batch that waits
    let refuses = true;
    node.db.tap({ before: () => (refuses ? refused : Promise.resolve([])), written: () => undefined });
    // The feed has been read by now, with the entry whose batch fails while the one below the fork is read.
    const entry = node.store.entry.bind(node.store);
    node.store.entry = async (...place) => {
      refuse(new Error('no outbox'));
      while (node.store.failures === 0) await setImmediate();
      refuses = false;
      return entry(...place);
    };
    const received = node.ledger.receive([once.bytes, twice.bytes]);
    await expect(received).rejects.toMatchObject({ code: 'storage-failed' });
    const heldOf = () => node.store.feed(hand.pen.author, 'public', hand.epoch);
    expect(heldOf()).toMatchObject({ seq: 1 });
    expect(heldOf()?.fork).toBeUndefined();
    node.store.entry = entry;
    const kinds = (await node.ledger.receive([once.bytes, twice.bytes])).map(({ kind }) => kind);
    expect([kinds, heldOf()?.seq, heldOf()?.fork?.seq]).toEqual([['accept', 'fork'], 2, 2]);
    expect((await surveyFeeds(node.db, () => undefined)).problems).toEqual([]);
  });

  it('what was found as it was wanted upon it is refused as well', async () => {
    disk.hold();
    const first = write('same');
    await disk.held();
    const again = write('same');
    await again.drafted;
    disk.fail();
    for (const { done } of [first, again])
      await expect(done).rejects.toMatchObject({ code: 'storage-failed' });
    await reopen();
  });
});
