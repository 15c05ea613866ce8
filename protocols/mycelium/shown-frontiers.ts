import { type Coverage, isCoveredBy, OWN_COVERAGE } from '../digest/coverage.ts';
import { frontierOf, sameFrontier } from '../feed/frontier.ts';
import { hasGap } from '../feed/gap.ts';
import type { PeerId } from '../wire/identity.ts';
import type { PeerConnection } from '../wire/stream.ts';
import type { ShownFrontier } from './frontier-stream.ts';
import type { FrontierGroup } from './frontier-page.ts';
import type { HeldFeeds } from './held-feeds.ts';
import type { FeedSource } from './ports.ts';

export const SHOWN_LIMITS = {
  /** Groups of one peer's frontier that announcements may add to. */
  groups: 10_000,
} as const;

/** What a peer's version knows, and what its last digests cover. */
export type PeerCoverage = Pick<ShownFrontier, 'knows' | 'covers'>;

export interface ShownFrontierParts {
  readonly held: Pick<HeldFeeds, 'isBehind' | 'takes'>;
  readonly source: FeedSource;
  readonly digestOf: (author: PeerId, covers: Coverage) => string;
}

interface LastFrontier extends PeerCoverage {
  /** An entry is pulled from the peer that showed it: two processes may have one key, and so one peer id. */
  readonly over: PeerConnection;
  /** Counts the whole frontiers of this peer, from 1. */
  readonly number: number;
}

/** The last frontier of each peer, what it has announced since, and how both compare with what is held here. */
export class ShownFrontiers {
  readonly #parts: ShownFrontierParts;
  readonly #groups = new Map<string, readonly FrontierGroup[]>();
  readonly #last = new Map<string, LastFrontier>();

  constructor(parts: ShownFrontierParts) {
    this.#parts = parts;
  }

  /** A peer's whole frontier takes the place of the one before, at once: of two that are gone through at a time the newer stays. Its number. */
  replace(over: PeerConnection, { groups, knows, covers }: Omit<ShownFrontier, 'same'>): number {
    const peer = over.remotePeer.toString();
    const number = this.count(peer) + 1;
    this.#groups.set(peer, groups);
    this.#last.set(peer, { over, knows, covers, number });
    return number;
  }

  /** These very groups of a peer's frontier are of no use. Those of a newer one are others, and stay. */
  drop(peer: string, useless: ReadonlySet<FrontierGroup>): void {
    const groups = this.#groups.get(peer);
    if (groups === undefined || useless.size === 0) return;
    this.#groups.set(
      peer,
      groups.filter((group) => !useless.has(group)),
    );
  }

  /** Remembers that a peer has this, so that a pull that gave less is seen as one. */
  announced(peer: string, group: FrontierGroup): void {
    const known = (this.#groups.get(peer) ?? []).filter(
      (g) => g.items.length !== 1 || g.author !== group.author || g.channel !== group.channel,
    );
    // One that names ever new channels fills only its own place, and not beyond it.
    if (known.length < SHOWN_LIMITS.groups) this.#groups.set(peer, [...known, group]);
  }

  all(): ReadonlyMap<string, readonly FrontierGroup[]> {
    return this.#groups;
  }

  /** How many whole frontiers a peer has shown: the number of its last one. */
  count(peer: string): number {
    return this.#last.get(peer)?.number ?? 0;
  }

  coverageOf(peer: string): PeerCoverage | undefined {
    return this.#last.get(peer);
  }

  /** The connection over which a peer has shown its last frontier. */
  connectionOf(peer: string): PeerConnection | undefined {
    return this.#last.get(peer)?.over;
  }

  /** True when a peer has shown something of this author and channel that is still missing here. */
  isBehind(peer: string, { author, channel }: Pick<FrontierGroup, 'author' | 'channel'>): boolean {
    const groups = this.#groups.get(peer) ?? [];
    return groups.some((g) => g.author === author && g.channel === channel && this.#parts.held.isBehind(g));
  }

  /** What is neither followed nor held here is dropped: a frontier may have megabytes of it. */
  isUseful({ author, channel }: FrontierGroup): boolean {
    return this.#parts.held.takes(author) || this.#parts.source.feeds(author, channel).length > 0;
  }

  /** Equal frontier, unequal digest over what both know: a fault of somebody's. */
  differs(group: FrontierGroup, covers: Coverage): boolean {
    // Without a digest, the peer itself is missing something that its frontier covers.
    if (group.digest === '' || !isCoveredBy(covers, OWN_COVERAGE)) return false;
    const { source, digestOf } = this.#parts;
    const feeds = source.feeds(group.author, 'public');
    const same = !hasGap(source, feeds) && sameFrontier(frontierOf(feeds), group.items);
    return same && digestOf(group.author, covers) !== group.digest;
  }
}
