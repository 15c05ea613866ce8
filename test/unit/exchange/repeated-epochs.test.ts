import { expect, it } from 'vitest';
import { OWN_COVERAGE } from '../../../protocols/digest/coverage.ts';
import type { FrontierGroup, FrontierPage } from '../../../protocols/mycelium/frontier-page.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { startExchangeNode } from '../../support/exchange-node.ts';
import { Hand, priceOps, randomFrom, someIdentity } from '../../support/forge.ts';

async function* pagesOf(...pages: readonly (readonly FrontierGroup[])[]): AsyncGenerator<FrontierPage> {
  for (const groups of pages) yield { knows: OWN_COVERAGE, groups };
}

it('a source over HTTPS that shows one epoch of a feed again and again is refused: each time costs what is held of the feed', async () => {
  const random = randomFrom(9);
  const author = someIdentity(random);
  const node = await startExchangeNode();
  try {
    node.befriend({ identity: author, url: 'http://127.0.0.1:1' });
    const { target } = node.exchange;
    const hand = new Hand(author, random.hex(8));
    const entry = hand.next(priceOps(hand.pen, 'Nairobi', 1));
    await node.ledgerNode.ledger.receive([entry.bytes]);
    const held: FrontierGroup = {
      author: author.peerId,
      channel: 'public',
      digest: '',
      items: [{ epoch: hand.epoch, seq: 1, hash: entry.hash }],
    };
    const more: FrontierGroup = { ...held, items: [{ epoch: random.hex(8), seq: 1, hash: random.hex(32) }] };
    const own: FrontierGroup = {
      ...more,
      author: node.identity.peerId,
      channel: recordKey('contracts', author.peerId, 'x'),
    };
    const planned = (...pages: FrontierGroup[][]) => target.plan(author.peerId, pagesOf(...pages));
    const malformed = expect.objectContaining({ code: 'frontier-malformed' });
    await expect(planned([held, held])).rejects.toEqual(malformed);
    await expect(planned([held], [held])).rejects.toEqual(malformed);
    await expect(planned([own], [own])).rejects.toEqual(malformed);
    // Of what is to be asked for anyway no more is kept, however often it is shown.
    const feed = { author: author.peerId, channel: 'public' };
    expect(await planned([held, more], [more, held])).toEqual([feed]);
    expect(await planned([held])).toEqual([]);
  } finally {
    await node.stop();
  }
});
