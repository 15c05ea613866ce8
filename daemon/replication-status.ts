import type { Visibility } from '../api/ports/registration.ts';
import type { ApiContext, KnownPeer, OwnerDigest } from '../api/context.ts';
import { type Coverage, type NotCompared, notCompared, OWN_COVERAGE } from '../protocols/digest/coverage.ts';
import { frontierOf } from '../protocols/feed/frontier.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import type { PeerStatus } from './federation/node-entries.ts';
import { gapRowsOf } from './forget/gap-rows.ts';
import type { Node } from './parts/running.ts';

/** What this process knows of its peers, and the digests of what it holds. */
export interface ReplicationStatus {
  peer(peer: PeerId, sees: Visibility): Omit<PeerStatus, 'transactions'>;
  /** Entries that a peer has shown and that are missing here. */
  lag(peer: string, sees: Visibility): number;
  /** Everybody this node knows of: connected, discovered or registered. */
  known(): KnownPeer[];
  digest(): ReturnType<ApiContext['digest']>;
  totalDigest(covers?: Coverage): string;
  /** Collections that are left out of comparisons with a peer, because one of the two versions does not know them. */
  notCompared(peer: string): readonly NotCompared[];
  /** Over the prices of all owners. */
  prices(): HeldPrices;
}

/** What it reads of the node, each time anew: it may be created before the node has started. */
export type ReplicationStatusNode = Pick<
  Node,
  'identity' | 'store' | 'registry' | 'mycelium' | 'discovery' | 'host' | 'digestOf'
>;

export function createReplicationStatus(node: ReplicationStatusNode): ReplicationStatus {
  return {
    peer: (peer, sees) => peerStatus(node, peer, sees),
    lag: (peer, sees) => lagOf(node, peer, sees),
    notCompared: (peer) => leftOutOf(node, peer),
    known: () => knownPeers(node),
    digest: () => digestOf(node),
    totalDigest: (covers) => node.store.digests.total(covers),
    prices: () => heldPrices(node),
  };
}

/** All public prices: their digest, another whenever one comes or goes, and how many they are. */
export interface HeldPrices {
  readonly digest: string;
  readonly count: number;
}

export function heldPrices({ store }: Pick<Node, 'store'>): HeldPrices {
  const owners = [...store.digests.of('public')].map(([owner, collections]) => {
    const prices = collections.get('prices');
    return { owner, digest: prices?.digest ?? '', count: prices?.count ?? 0 };
  });
  return {
    digest: owners
      .map(({ owner, digest }) => `${owner}:${digest}`)
      .sort()
      .join(),
    count: owners.reduce((sum, { count }) => sum + count, 0),
  };
}

function lagOf(
  { identity, store, registry, mycelium }: ReplicationStatusNode,
  peer: string,
  sees: Visibility,
): number {
  let lag = 0;
  for (const { author, channel, items } of mycelium.frontiers().get(peer) ?? []) {
    if (channel !== 'public' && sees !== 'whole') continue;
    if (author !== identity.peerId && registry.followState(author) !== 'followed') continue;
    const held = new Map(store.feeds(author, channel).map((feed) => [feed.epoch, feed.seq]));
    for (const { epoch, seq } of items) lag += Math.max(0, seq - (held.get(epoch) ?? 0));
  }
  return lag;
}

function leftOutOf({ mycelium }: ReplicationStatusNode, peer: string): readonly NotCompared[] {
  const knows = mycelium.coverageOf(peer)?.knows;
  return knows === undefined ? [] : notCompared(knows);
}

function peerStatus(
  node: ReplicationStatusNode,
  peer: PeerId,
  sees: Visibility,
): ReturnType<ReplicationStatus['peer']> {
  const { discovery, host, store } = node;
  const found = discovery.peer(peer);
  const connected = found?.connected ?? host.libp2p.getPeers().some((each) => each.toString() === peer);
  const listings = store.digests.one('public', peer, 'listings')?.count ?? 0;
  return {
    connected,
    nextRetryAt: found?.nextRetryAt,
    lag: lagOf(node, peer, sees),
    notCompared: leftOutOf(node, peer),
    listings,
    users: 0,
  };
}

function knownPeers({ discovery, host, registry }: ReplicationStatusNode): KnownPeer[] {
  const connected = new Set(host.libp2p.getPeers().map(String));
  const waiting = new Map(
    discovery
      .snapshot()
      .flatMap((p) => (p.kind === 'bootstrap' ? [] : [[p.subject, p.nextRetryAt] as const])),
  );
  return [...new Set([...connected, ...waiting.keys()])].map((peerId) => {
    const nextRetryAt = waiting.get(peerId);
    const base = { peerId, registered: registry.isActive(peerId), connected: connected.has(peerId) };
    return nextRetryAt === undefined ? base : { ...base, nextRetryAt };
  });
}

function digestOf(node: ReplicationStatusNode): ReturnType<ApiContext['digest']> {
  const { store } = node;
  const byOwner = store.digests.of('public');
  const owners = Object.create(null) as Record<string, OwnerDigest>;
  const authors = new Set<PeerId>([
    ...[...byOwner.keys()].map((owner) => owner as PeerId), // owners are authors of admitted entries
    ...store.feedGroups().flatMap((g) => (g.channel === 'public' ? [g.author] : [])),
  ]);
  const gaps = new Map(gapRowsOf(store, true).map(({ id, ...gap }) => [id, gap]));
  for (const owner of [...authors].sort()) {
    const forgotten = gaps.get(owner);
    const collections = Object.fromEntries(
      [...(byOwner.get(owner) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1)),
    );
    owners[owner] = {
      frontier: frontierOf(store.feeds(owner, 'public')),
      digest: node.digestOf(owner),
      collections,
      ...(forgotten === undefined ? {} : { forgotten }),
    };
  }
  return { digest: store.digests.total(), covers: OWN_COVERAGE, owners };
}
