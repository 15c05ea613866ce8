import { afterAll, expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { createCatalogue } from '../../../protocols/market/catalogue.ts';
import { ChangeHand } from '../../support/change-hand.ts';
import { Hand, openLedger, type TestLedger } from '../../support/forge.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

/** More than two bytes count. */
const CHANGES = 66_000;
const PER_ENTRY = 1000;

const here = tempDir('changes-here');
const there = tempDir('changes-there');
afterAll(() => {
  here.remove();
  there.remove();
});

it('the 66,000th change of a listing in one feed counts, everywhere, and whoever goes on after it writes number 66,001', async () => {
  const owner = nodeOf(1);
  const peer = await openLedger(there.path, nodeOf(2));
  peer.followStates.set(owner.peerId, 'followed');
  const feed = new Hand(owner, '0'.repeat(16));
  const hand = new ChangeHand(feed.pen, 'listings', 'maize');
  const entries: Uint8Array[] = [];
  let price = 0;
  while (price < CHANGES) {
    const ops = Array.from({ length: PER_ENTRY }, () =>
      hand.set(
        price++ === 0 ? { type: 'offer', status: 'active', title: 'Maize', price: 0 } : { price: price - 1 },
      ),
    );
    entries.push(feed.next(ops).bytes);
  }
  await take(peer, entries);
  const [state] = await peer.store.records([hand.key]);
  expect(state).toMatchObject({ view: { price: CHANGES - 1 }, ops: CHANGES, pending: 0 });
  expect(Object.values(state?.seqs ?? {})).toEqual([[CHANGES, state?.maxOp]]);
  expect(peer.verdicts().filter(({ verdict }) => verdict.state !== 'applied')).toEqual([]);

  // Its owner has them back, and goes on.
  const node = await openLedger(here.path, owner);
  await take(node, entries);
  const catalogue = createCatalogue(node.ledger, owner.peerId, systemEnv);
  await catalogue.patch(hand.key, { price: 1_000_000 });
  const own = node.store.feed(owner.peerId, 'public', node.ledger.epoch());
  if (own === undefined) throw new TypeError('nothing was written');
  for await (const bytes of node.store.entriesFrom(own.no, 1, own.seq)) await take(peer, [bytes]);
  // One that comes after all of them, in the feed that they are in.
  await take(peer, [feed.next([hand.set({ price: CHANGES })]).bytes]);
  const [after] = await peer.store.records([hand.key]);
  expect(
    after?.conflicts['price']?.map(({ value }) => value).toSorted((a, b) => Number(b) - Number(a)),
  ).toEqual([1_000_000, CHANGES]);
  expect(after?.pending).toBe(0);
  await peer.close();
  await node.close();
}, 240_000);

async function take({ ledger }: TestLedger, entries: readonly Uint8Array[]): Promise<void> {
  for (const bytes of entries) expect((await ledger.receive([bytes]))[0]?.kind).toBe('accept');
}
