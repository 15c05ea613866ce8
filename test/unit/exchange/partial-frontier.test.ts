import { expect, it } from 'vitest';
import { startExchangeNode } from '../../support/exchange-node.ts';
import { Hand, priceOps, randomFrom, someIdentity } from '../../support/forge.ts';

interface Feeds {
  readonly feeds: readonly { readonly author: string; readonly digest?: string }[];
}

it('shows no digest beside a frontier that stands for more than is held', async () => {
  const random = randomFrom(7);
  const node = await startExchangeNode();
  try {
    const identity = someIdentity(random);
    node.befriend({ identity, url: 'http://127.0.0.1:1' });
    const [before, after] = [new Hand(identity, random.hex(8)), new Hand(identity, random.hex(8))];
    const first = before.next(priceOps(before.pen, 'Nairobi', 1));
    const tail = { epoch: before.epoch, seq: first.header.seq, hash: first.hash };
    const second = after.sign(priceOps(after.pen, 'Nakuru', 2), { after: [tail] });
    const digest = async (): Promise<string | undefined> => {
      const { feeds } = (await (await node.fetch('/federation/feeds')).json()) as Feeds;
      expect(feeds.map(({ author }) => author)).toEqual([identity.peerId]);
      return feeds[0]?.digest;
    };
    // What gossip brings to who comes late: the newest epoch, whose first header names the one before.
    expect(await node.ledgerNode.ledger.receive([second.bytes])).toMatchObject([{ kind: 'accept' }]);
    expect(await digest()).toBeUndefined();
    expect(await node.ledgerNode.ledger.receive([first.bytes])).toMatchObject([{ kind: 'accept' }]);
    expect(await digest()).toBe(node.ledgerNode.digestOf(identity.peerId));
  } finally {
    await node.stop();
  }
});
