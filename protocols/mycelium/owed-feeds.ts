import { isMissingShown } from '../feed/frontier.ts';
import type { FeedName } from '../ledger/types.ts';
import type { CpuTurn } from '../wire/cpu-turn.ts';
import type { PeerId } from '../wire/identity.ts';
import type { FrontierGroup } from './frontier-page.ts';
import { feedId } from './gathered-groups.ts';
import type { FeedSource } from './ports.ts';

export interface OwedParts {
  readonly self: PeerId;
  readonly source: Pick<FeedSource, 'feeds'>;
  readonly follows: (author: PeerId) => boolean;
}

/**
 * The feeds of a frontier that may contain commitments of this node: its own, and, in private channels in which it has one, those of
 * the others too. Its `accept` has no effect as long as the contract that it accepts is not held.
 */
export function promisingFeeds(
  groups: readonly FrontierGroup[],
  self: string,
  follows: (author: PeerId) => boolean,
): FrontierGroup[] {
  const channels = new Set(groups.flatMap(({ author, channel }) => (author === self ? [channel] : [])));
  return groups.filter(
    ({ author, channel }) =>
      author === self || (channel !== 'public' && channels.has(channel) && follows(author)),
  );
}

/**
 * What each peer has shown of the feeds that may contain commitments and what is not held here yet. Only complete frontiers count:
 * an announcement is about one feed and says nothing of the others.
 */
export class OwedFeeds {
  readonly #parts: OwedParts;
  /** By peer and feed. */
  readonly #owed = new Map<string, Map<string, FrontierGroup>>();

  constructor(parts: OwedParts) {
    this.#parts = parts;
  }

  /**
   * What is owed of a peer's frontier, one group per feed: to be `noted`. Yields: a peer may show thousands of feeds as this node's
   * own.
   */
  async owedOf(
    groups: readonly FrontierGroup[],
    turn: Pick<CpuTurn, 'pause'>,
  ): Promise<readonly FrontierGroup[]> {
    const owed: FrontierGroup[] = [];
    for (const group of promisingFeeds(groups, this.#parts.self, this.#parts.follows)) {
      await turn.pause();
      if (this.#lacks(group)) owed.push(group);
    }
    return owed;
  }

  /** This is owed by a peer, in the place of what was before. True when nothing is, by now. */
  noted(peer: string, groups: readonly FrontierGroup[]): boolean {
    this.#owed.set(peer, new Map(groups.map((group) => [feedId(group), group])));
    return this.isHeld(peer);
  }

  /** Entries of this feed were admitted, from whichever peer: returns the peers that no longer owe anything. */
  taken(feed: FeedName): string[] {
    const id = feedId(feed);
    return [...this.#owed].flatMap(([peer, owed]) => {
      const group = owed.get(id);
      if (group === undefined || this.#lacks(group)) return [];
      owed.delete(id);
      return owed.size === 0 ? [peer] : [];
    });
  }

  /** True when this peer has shown its frontier and owes nothing of it. */
  isHeld(peer: string): boolean {
    const owed = this.#owed.get(peer);
    if (owed === undefined) return false;
    for (const [id, group] of owed) if (!this.#lacks(group)) owed.delete(id);
    return owed.size === 0;
  }

  /** What a held header names and nobody has does not count: this is about what the peer can return. */
  #lacks({ author, channel, items }: FrontierGroup): boolean {
    return isMissingShown(this.#parts.source.feeds(author, channel), items);
  }
}
