import { afterEach, describe, expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { shownOfOwn, startStallWatch } from '../../../daemon/stalls/stall-watch.ts';
import { emptyStalls, type ShownPeer, STALL_LIMITS, stallRound } from '../../../daemon/stalls/stalls.ts';
import { befriend, startNode, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';

const MINUTE = 60_000;
/** A peer that has shown so many frontiers, the last with `there` of `here` entries. */
const at = (frontiers: number, there: number, here = 9): ShownPeer[] => [
  {
    peer: 'p',
    reachable: true,
    frontiers,
    behind: there < here ? [{ peer: 'p', channel: 'public', epoch: 'e', there, here }] : [],
  },
];

describe('a feed stands still at a peer', () => {
  /** What is found each minute, when the peer shows these places one after another. */
  function run(places: readonly (number | undefined)[]): { stalls: number[]; told: number } {
    const state = emptyStalls();
    const stalls: number[] = [];
    let [told, frontiers, last] = [0, 0, 0];
    for (const [minute, there] of places.entries()) {
      if (there !== undefined) [frontiers, last] = [frontiers + 1, there];
      const found = stallRound(state, at(frontiers, last), minute * MINUTE);
      told += found.fresh.length;
      if (found.stalls.length > 0) stalls.push(minute);
    }
    return { stalls, told };
  }

  it('from five minutes on, told once, and no longer when it moves', () => {
    expect(run([3, 3, 3, 3, 3, 3, 3, 4, 4, 9])).toEqual({ stalls: [5, 6], told: 1 });
    expect(run([3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4])).toEqual({ stalls: [5, 11], told: 2 });
  });

  it('not while a long catch-up moves, however slowly, nor when nothing is lacking', () => {
    expect(run([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3])).toEqual({ stalls: [], told: 0 });
    expect(run(Array.from({ length: 20 }, () => 9))).toEqual({ stalls: [], told: 0 });
  });

  it('not of a peer that shows nothing any more, or too little to tell', () => {
    expect(run([3, 3, 3, ...Array.from({ length: 20 }, () => undefined)])).toEqual({ stalls: [], told: 0 });
    const state = emptyStalls();
    stallRound(state, at(1, 3), 0);
    expect(stallRound(state, at(STALL_LIMITS.frontiers, 3), 60 * MINUTE).stalls).toEqual([]);
    expect(stallRound(state, at(STALL_LIMITS.frontiers + 1, 3), 61 * MINUTE).stalls).toHaveLength(1);
    // Away it has another finding; what is known of it stays.
    expect(
      stallRound(
        state,
        at(9, 3).map((each) => ({ ...each, reachable: false })),
        61 * MINUTE,
      ).stalls,
    ).toEqual([]);
    expect(stallRound(state, at(9, 3), 61 * MINUTE).stalls).toHaveLength(1);
    // No longer followed: what was known of it says nothing when it is back.
    expect(stallRound(state, [], 62 * MINUTE).stalls).toEqual([]);
    expect(stallRound(state, at(19, 3), 63 * MINUTE).stalls).toEqual([]);
  });
});

describe('between two nodes', () => {
  const ending: (() => unknown)[] = [];
  afterEach(async () => {
    for (const end of ending.splice(0).toReversed()) await end();
  });
  async function node(env: Record<string, string> = {}): Promise<TestNode> {
    const dir = tempDir('stalls');
    ending.push(() => dir.remove());
    const started = await startNode(dir.path, env);
    ending.push(() => started.stop());
    return started;
  }

  it('a peer that takes no entry is named with feed and place, as long as it is followed', async () => {
    // Its disk counts as full: it takes part in everything, and takes nothing in.
    const peer = await node({ DISK_RESERVE_MB: '1000000' });
    const here = await node({ MYCELIUM_PEERS: peer.addresses[0] ?? '' });
    await befriend(here, peer);
    for (let n = 0; n < 3; n++)
      await here.request('POST', '/listings', { type: 'offer', title: `Maize ${n}` });
    let [now, told] = [0, 0];
    const watch = startStallWatch(here.node, { ...systemEnv, monotonic: () => now }, () => told++);
    ending.push(() => watch.stop());
    const shows = async (): Promise<void> => {
      const before = here.node.mycelium.frontiersShown(peer.peerId);
      await waitFor('another frontier of the peer', async () => {
        await here.node.mycelium.syncNow();
        return here.node.mycelium.frontiersShown(peer.peerId) > before;
      });
    };
    for (let n = 0; n < STALL_LIMITS.frontiers; n++) {
      await shows();
      expect(watch.stalls()).toEqual([]);
      now += STALL_LIMITS.stallMs / STALL_LIMITS.frontiers;
    }
    await shows();
    const [own] = shownOfOwn(here.node)[0]?.behind ?? [];
    expect(watch.stalls()).toMatchObject([
      { peer: peer.peerId, channel: 'public', epoch: own?.epoch, there: 0, here: own?.here },
    ]);
    expect(told).toBe(1);
    await here.node.registry.change(peer.peerId, 'suspend');
    expect(watch.stalls()).toEqual([]);
  }, 60_000);
});
