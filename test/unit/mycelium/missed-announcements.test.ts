import { afterEach, expect, it } from 'vitest';
import type { Entry } from '../../../protocols/feed/entry.ts';
import { randomFrom, someIdentity } from '../../support/forge.ts';
import { heldFeed, type MyceliumPair, myceliumPair } from '../../support/mycelium-pair.ts';
import type { Channel } from '../../../protocols/wire/ids.ts';
import { waitFor } from '../../support/wait.ts';

const random = randomFrom(32);
const [ONE, OTHER] = [someIdentity(random).peerId, someIdentity(random).peerId];

let pair: MyceliumPair | undefined;
afterEach(() => pair?.stop());

it('a peer that could not be told of private entries is shown them soon, once for all that were missed', async () => {
  pair = await myceliumPair([ONE, OTHER], { deaf: ['announce/1'] });
  const [one, other] = pair.nodes;
  const entries = ['a', 'b', 'c'].map((name) => {
    const channel = `contracts/${ONE}/${name.repeat(43)}` as Channel;
    for (const { participants } of [one, other]) participants.set(channel, [ONE, OTHER]);
    const feed = heldFeed(ONE, 1, channel);
    one.feeds.keep(feed);
    // As far as an announcement reads an entry.
    return { author: ONE, header: feed, hash: feed.hash, bytes: new Uint8Array(1) } as unknown as Entry;
  });
  for (const entry of entries) one.mycelium.announce({ entries: [entry], local: true, proofs: [] } as never);
  const shown = await waitFor('the frontier of the first', () => other.mycelium.frontiers().get(ONE));
  expect(shown.map(({ channel }) => channel).sort()).toEqual(
    entries.map(({ header }) => header.channel).sort(),
  );
  expect(one.opened).toEqual(['/agrinet/test/frontier/2']);
});
