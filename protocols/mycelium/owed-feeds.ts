import { lacksShown } from '../feed/frontier.ts';
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
 * Of a frontier the feeds in which promises of this node stand: its own, and in private channels where it has one those of the
 * others too. Its `accept` has no effect as long as the contract that it accepts is not held.
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
 * What each peer has shown of the feeds that hold promises and what is not held here yet. Only whole frontiers enter: an announcement
 * tells of one feed and nothing of the others.
 */
export class OwedFeeds {
  readonly #parts: OwedParts;
  /** By peer and feed. */
  readonly #owed = new Map<string, Map<string, FrontierGroup>>();

  constructor(parts: OwedParts) {
    this.#parts = parts;
  }

  /** Of a peer's frontier, one group of each feed, what is owed: to be `noted`. Gives way: a peer may show thousands of feeds as this node's own. */
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

  /** Something of this feed was taken in, from whomever: the peers that nothing is owed of any more. */
  taken(feed: FeedName): string[] {
    const id = feedId(feed);
    return [...this.#owed].flatMap(([peer, owed]) => {
      const group = owed.get(id);
      if (group === undefined || this.#lacks(group)) return [];
      owed.delete(id);
      return owed.size === 0 ? [peer] : [];
    });
  }

  /** True when this peer has shown its frontier and nothing of it is owed. */
  isHeld(peer: string): boolean {
    const owed = this.#owed.get(peer);
    if (owed === undefined) return false;
    for (const [id, group] of owed) if (!this.#lacks(group)) owed.delete(id);
    return owed.size === 0;
  }

  /** What a held header names and nobody has does not count: this is about what the peer can give back. */
  #lacks({ author, channel, items }: FrontierGroup): boolean {
    return lacksShown(this.#parts.source.feeds(author, channel), items);
  }
}
