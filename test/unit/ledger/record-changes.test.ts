import { systemEnv } from '../../../daemon/system-env.ts';
import { afterAll, expect, it, vi } from 'vitest';
import { createCatalogue } from '../../../protocols/market/catalogue.ts';
import type { LIMITS as Limits } from '../../../protocols/wire/limits.ts';
import { openLedger } from '../../support/forge.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

/** As the real one, but reached in a moment. */
const PER_FEED = vi.hoisted(() => 50);
vi.mock('../../../protocols/wire/limits.ts', async (original) => {
  const { LIMITS } = await original<{ LIMITS: typeof Limits }>();
  return { LIMITS: { ...LIMITS, recordChangesPerFeed: PER_FEED } };
});

const here = tempDir('changes-here');
const there = tempDir('changes-there');
afterAll(() => {
  here.remove();
  there.remove();
});

it('one listing is changed more often than one feed may: every acknowledged change counts, everywhere, and after a restart', async () => {
  const identity = nodeOf(1);
  let node = await openLedger(here.path, identity);
  let catalogue = createCatalogue(node.ledger, identity.peerId, systemEnv);
  const { key } = (await catalogue.createListing({ type: 'offer', title: 'Maize', price: 0 })).state;
  let price = 0;
  const patch = async (): Promise<void> => {
    const mine = ++price;
    const { state, changed } = await catalogue.patch(key, { price: mine });
    expect(changed).toBe(true);
    // Writes of one burst share a commit, and each is told of the record as it stands behind it.
    expect(state.view['price']).toBeGreaterThanOrEqual(mine);
  };
  // Bursts, so that the bound is reached in the middle of an entry too.
  for (let i = 0; i < 4; i++) await Promise.all(Array.from({ length: 30 }, patch));
  await node.close();
  node = await openLedger(here.path, identity);
  catalogue = createCatalogue(node.ledger, identity.peerId, systemEnv);
  for (let i = 0; i < 60; i++) await patch();

  const [state] = await node.store.records([key]);
  expect(state?.view['price']).toBe(price);
  expect(node.verdicts().filter(({ verdict }) => verdict.state !== 'applied')).toEqual([]);
  const feeds = node.store.feeds(identity.peerId, 'public');
  expect(feeds.length).toBeGreaterThanOrEqual(Math.ceil(price / PER_FEED));

  const peer = await openLedger(there.path, nodeOf(2));
  peer.standing.set(identity.peerId, 'followed');
  const inOrder = feeds.toSorted((a, b) => a.no - b.no);
  for (const feed of inOrder)
    for await (const bytes of node.store.entriesFrom(feed.no, 1, feed.seq))
      expect((await peer.ledger.receive([bytes]))[0]?.kind).toBe('accept');
  expect(peer.digest()).toBe(node.digest());
  expect((await peer.store.records([key]))[0]?.view['price']).toBe(price);
  await peer.close();
  await node.close();
});
