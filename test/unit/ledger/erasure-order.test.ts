import { afterAll, expect, test } from 'vitest';
import { checkDerived, type Problem } from '../../../daemon/check-derived.ts';
import { rebuildStore } from '../../../daemon/rebuild.ts';
import type { Entry } from '../../../protocols/feed/entry.ts';
import { draftEdit, draftErasure, draftTombstone } from '../../../protocols/ledger/drafts.ts';
import { placedOps } from '../../../protocols/ledger/placed-ops.ts';
import type { RecordState } from '../../../protocols/open-dialog/record.ts';
import { sha256Hex } from '../../../protocols/wire/bytes.ts';
import type { PeerId } from '../../../protocols/wire/identity.ts';
import { recordKey, type RecordKey } from '../../../protocols/wire/ids.ts';
import { Reader } from '../../../storage/reader.ts';
import { ChangeHand } from '../../support/change-hand.ts';
import { evaluateWhole } from '../../support/evaluate-whole.ts';
import { Hand, openLedger, randomFrom, someIdentity } from '../../support/forge.ts';
import { openLedgerNode } from '../../support/ledger-node.ts';
import { threadedMerger } from '../../support/merger.ts';
import { tempDir } from '../../support/temp-dir.ts';

const random = randomFrom(7);
const merger = threadedMerger((alarm) => {
  throw new Error(alarm.kind);
});
afterAll(() => merger.stop());

test('a statement that names another record first does not keep the right one from taking effect, in any order', async () => {
  const hand = new Hand(someIdentity(random), random.hex(8));
  const words = new Hand(hand.identity, random.hex(8));
  const listing = new ChangeHand(hand.pen, 'listings', 'a');
  const op = listing.set({ type: 'offer', status: 'active' });
  const held = hand.next([op]);
  const { epoch, seq } = held.header;
  const at = { channel: 'public', epoch, seq, ops: [{ index: 0, hash: sha256Hex(op) }], time: 1 } as const;
  const wrong = { ...at, record: recordKey('listings', hand.identity.peerId, 'b') };
  const right = { ...at, record: listing.key };
  const said = [wrong, right].map(
    (statement) => words.next([...draftErasure(hand.identity, 'public', [statement]).ops]).bytes,
  );
  const orders = [
    [held.bytes, ...said],
    [...said, held.bytes],
    [said[0], held.bytes, said[1]].flatMap((bytes) => bytes ?? []),
  ];
  for (const order of orders) {
    const folder = tempDir('erasure-order');
    const node = await openLedger(folder.path, someIdentity(random));
    node.followStates.set(hand.identity.peerId, 'followed');
    for (const bytes of order) expect((await node.ledger.receive([bytes]))[0]?.kind).toBe('accept');
    const feed = node.store.feed(hand.identity.peerId, 'public', hand.epoch);
    const entry = await node.store.entry(feed?.no ?? 0, 1);
    expect(entry?.body.map((item) => 'erased' in item)).toEqual([true]);
    expect((await node.store.records([listing.key]))[0]?.exists ?? false).toBe(false);
    await node.close();
    folder.remove();
  }
});

/** A listing that its author has ended and erased, and what he wrote to it, in a process each: these may come in any order. */
function erasedListing(): { key: RecordKey; author: PeerId; entries: Entry[]; edit: string } {
  const identity = someIdentity(random);
  const [first, restored, ending, erasing] = ['1', '2', '3', '4'].map(
    (digit) => new Hand(identity, digit.repeat(16)),
  ) as [Hand, Hand, Hand, Hand];
  const listing = new ChangeHand(first.pen, 'listings', 'a');
  const create = listing.set({ type: 'offer', status: 'active', title: 'Maize' });
  const created = first.next([create]);
  // Restored from a backup that holds the listing: the edit follows what is erased elsewhere.
  const [change] = draftEdit(restored.pen, listing.key, 'public', stateOf(listing.key, created), {
    title: 'Beans',
  }).ops;
  if (change === undefined) throw new Error('no edit');
  const { epoch, seq } = created.header;
  const ops = [{ index: 0, hash: sha256Hex(create) }];
  const statement = { channel: 'public', epoch, seq, ops, record: listing.key, time: 1 } as const;
  const entries = [
    created,
    restored.next([change]),
    ending.next(draftTombstone(listing.key, 'public').ops),
    erasing.next(draftErasure(identity, 'public', [statement]).ops),
  ];
  return { key: listing.key, author: identity.peerId, entries, edit: restored.epoch };
}

function stateOf(key: RecordKey, entry: Entry): RecordState {
  return evaluateWhole(key, placedOps(entry), undefined).state;
}

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length < 2) return [[...items]];
  return items.flatMap((item, i) => permutations(items.toSpliced(i, 1)).map((others) => [item, ...others]));
}

test('what follows an erased change is rejected for good, in every order, and when everything is derived anew', async () => {
  const { key, author, entries, edit } = erasedListing();
  const seen = new Set<string>();
  for (const order of permutations(entries)) {
    const folder = tempDir('erasure-order');
    const node = await openLedgerNode(folder.path, someIdentity(random), merger);
    const result = async (): Promise<string> => {
      const problems: Problem[] = [];
      await checkDerived(node.db, problems, true);
      expect(problems).toEqual([]);
      const { ops } = await new Reader(node.db).verdicts(10);
      expect(ops.map(({ ref, key: of, verdict }) => [ref.epoch, of, verdict])).toEqual([
        [edit, key, { state: 'rejected', code: 'record-erased' }],
      ]);
      const [{ listed: _, ...state } = { tombstone: false }] = await node.store.records([key]);
      expect(state).toMatchObject({
        tombstone: true,
        erased: true,
        exists: false,
        pending: 0,
        ops: 3,
        view: {},
      });
      return JSON.stringify([state, node.digestOf(author)]);
    };
    for (const { bytes } of order) expect((await node.ledger.receive([bytes]))[0]?.kind).toBe('accept');
    seen.add(await result());
    const { problems } = await rebuildStore(node.db, merger, () => undefined);
    expect(problems).toEqual([]);
    seen.add(await result());
    await node.close();
    folder.remove();
  }
  expect(seen.size).toBe(1);
});

test('an erased listing takes no edit of its own author', async () => {
  const { key, entries } = erasedListing();
  const erased = evaluateWhole(
    key,
    entries.flatMap((entry) => placedOps(entry)),
    undefined,
  ).state;
  expect(erased.erased).toBe(true);
  const pen = { author: entries[0]?.author ?? raise(), epoch: '9'.repeat(16) };
  for (const known of [erased, { ...erased, tombstone: false }])
    expect(() => draftEdit(pen, key, 'public', known, { title: 'Peas' })).toThrow(
      expect.objectContaining({ code: 'record-ended' }),
    );
});

function raise(): never {
  throw new Error('nothing there');
}
