import { expect, test } from 'vitest';
import { draftErasure } from '../../../protocols/ledger/drafts.ts';
import { sha256Hex } from '../../../protocols/wire/bytes.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { ChangeHand } from '../../support/change-hand.ts';
import { Hand, openLedger, randomFrom, someIdentity } from '../../support/forge.ts';
import { tempDir } from '../../support/temp-dir.ts';

const random = randomFrom(7);

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
    node.standing.set(hand.identity.peerId, 'followed');
    for (const bytes of order) expect((await node.ledger.receive([bytes]))[0]?.kind).toBe('accept');
    const feed = node.store.feed(hand.identity.peerId, 'public', hand.epoch);
    const entry = await node.store.entry(feed?.no ?? 0, 1);
    expect(entry?.body.map((item) => 'erased' in item)).toEqual([true]);
    expect((await node.store.records([listing.key]))[0]?.exists ?? false).toBe(false);
    await node.close();
    folder.remove();
  }
});
