import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { join } from '../support/daemon.ts';
import { digestOf, Federation } from '../support/federation.ts';
import { waitFor } from '../support/wait.ts';

interface PeersAnswer {
  readonly peers: readonly { readonly peerId: string; readonly registered: boolean }[];
}

// Without peer exchange there is only the DHT to find one another by.
// Strangers on one machine dial one another by that setting only.
const DHT_ONLY = { MYCELIUM_PEER_EXCHANGE: 'off', ALLOW_PRIVATE_PEERS: 'on' };

describe('five daemons with one bootstrap address', () => {
  const federation = new Federation();
  const { members } = federation;
  let startedAt = 0;

  beforeAll(async () => {
    await federation.add(DHT_ONLY);
    await Promise.all([1, 2, 3, 4].map(() => federation.add(DHT_ONLY)));
    // From when all five answer: how long Node takes to load five times over on two cores is not the question.
    startedAt = performance.now();
  });
  afterAll(() => federation.close());

  it('find one another through the DHT within 10 s, registered with nobody', async () => {
    await Promise.all(
      members.map((member) =>
        waitFor(`${member.url} to know the other four`, async () => {
          const { peers } = await member.json<PeersAnswer>('GET', '/federation/peers');
          expect(peers.every((peer) => !peer.registered)).toBe(true);
          const known = new Set(peers.map(({ peerId }) => peerId));
          return members.every(({ peerId }) => peerId === member.peerId || known.has(peerId));
        }),
      ),
    );
    const ms = Math.round(performance.now() - startedAt);
    console.log(`five daemons know one another ${ms} ms after the last of them answers`);
    expect(ms).toBeLessThan(10_000);
    for (const member of members)
      expect((await member.json<{ nodes: unknown[] }>('GET', '/federation/nodes')).nodes).toEqual([]);
  });

  it('give strangers no entry, asked for or not', async () => {
    const [author, friend, ...strangers] = members;
    if (author === undefined || friend === undefined) throw new Error('not five daemons');
    await join(author, friend);
    const { listingId } = await author.json<{ listingId: string }>('POST', '/listings', {
      type: 'offer',
      title: 'Maize',
    });
    // What reaches the friend has been gossiped and could have reached the others as well.
    await waitFor('the friend to hold it', async () => {
      return (await friend.request('GET', `/listings/${listingId}`)).ok;
    });
    await Promise.all(strangers.map((stranger) => stranger.request('GET', '/federation/sync')));
    await author.request('GET', '/federation/sync');
    // A second listing that has made its way: whatever the first would do, it has had the time for it.
    const later = await author.json<{ listingId: string }>('POST', '/listings', {
      type: 'offer',
      title: 'Beans',
    });
    await waitFor('the friend to hold the second', async () => {
      return (await friend.request('GET', `/listings/${later.listingId}`)).ok;
    });
    for (const stranger of strangers) {
      for (const id of [listingId, later.listingId])
        expect((await stranger.request('GET', `/listings/${id}`)).status).toBe(404);
      expect(Object.keys((await digestOf(stranger)).owners)).not.toContain(author.peerId);
    }
    expect(Object.keys((await digestOf(friend)).owners)).toContain(author.peerId);
  });
});
