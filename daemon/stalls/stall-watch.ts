import { type Env, every } from '../../protocols/env.ts';
import { frontierOf } from '../../protocols/feed/frontier.ts';
import type { Node } from '../parts/running.ts';
import {
  type BehindFeed,
  emptyStalls,
  type ShownPeer,
  type Stall,
  STALL_LIMITS,
  stallRound,
} from './stalls.ts';

/** Feeds of this node that do not advance at a peer. Others' feeds are not considered: the peer may have suspended their author. */
export interface StallWatch {
  stalls(): readonly Stall[];
  stop(): void;
}

type WatchedNode = Pick<Node, 'identity' | 'mayHold' | 'host'> & {
  readonly store: Pick<Node['store'], 'feedGroups'>;
  readonly registry: Pick<Node['registry'], 'isActive'>;
  readonly mycelium: Pick<Node['mycelium'], 'frontiers' | 'frontiersShown'>;
};

/** This node's feeds that each active peer has shown behind what is held here. */
export function shownOfOwn(node: WatchedNode): ShownPeer[] {
  const self = node.identity.peerId;
  const connected = new Set(node.host.libp2p.getPeers().map(String));
  const own = node.store.feedGroups().filter(({ author }) => author === self);
  return [...node.mycelium.frontiers()].flatMap(([peer, groups]): ShownPeer[] => {
    const frontiers = node.mycelium.frontiersShown(peer);
    if (frontiers === 0 || !node.registry.isActive(peer)) return [];
    const behind: BehindFeed[] = [];
    for (const { channel, feeds } of own) {
      if (channel !== 'public' && !node.mayHold(peer, channel)) continue;
      const shown = groups.filter((group) => group.author === self && group.channel === channel);
      for (const { epoch, seq } of frontierOf(feeds)) {
        const places = shown.flatMap(({ items }) => items.filter((item) => item.epoch === epoch));
        const there = Math.max(0, ...places.map((item) => item.seq));
        if (there < seq) behind.push({ peer, channel, epoch, there, here: seq });
      }
    }
    return [{ peer, reachable: connected.has(peer), frontiers, behind }];
  });
}

export function startStallWatch(
  node: WatchedNode,
  env: Pick<Env, 'monotonic' | 'after'>,
  onStalled: (stall: Stall) => void,
): StallWatch {
  const state = emptyStalls();
  let found: readonly Stall[] = [];
  const look = (): void => {
    const { stalls, fresh } = stallRound(state, shownOfOwn(node), env.monotonic());
    found = stalls;
    for (const stall of fresh) onStalled(stall);
  };
  const timer = every(env, STALL_LIMITS.roundMs, look);
  return {
    stalls() {
      look();
      return found;
    },
    stop: () => timer.cancel(),
  };
}
