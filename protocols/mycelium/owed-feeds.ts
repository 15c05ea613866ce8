import { lacksShown } from '../feed/frontier.ts';
import type { PeerId } from '../wire/identity.ts';
import type { FrontierGroup } from './frontier-page.ts';
import type { FeedSource } from './ports.ts';

type Feed = Pick<FrontierGroup, 'author' | 'channel'>;

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
  readonly #owed = new Map<string, Map<string, FrontierGroup[]>>();

  constructor(parts: OwedParts) {
    this.#parts = parts;
  }

  /** A peer's frontier, in the place of the one before. True when nothing is owed. */
  shown(peer: string, groups: readonly FrontierGroup[]): boolean {
    const owed = new Map<string, FrontierGroup[]>();
    for (const group of promisingFeeds(groups, this.#parts.self, this.#parts.follows)) {
      if (!this.#lacks(group)) continue;
      const id = idOf(group);
      const parts = owed.get(id);
      if (parts === undefined) owed.set(id, [group]);
      else parts.push(group);
    }
    this.#owed.set(peer, owed);
    return owed.size === 0;
  }

  /** Something of this feed was taken in, from whomever: the peers that nothing is owed of any more. */
  taken(feed: Feed): string[] {
    const id = idOf(feed);
    return [...this.#owed].flatMap(([peer, owed]) => {
      const parts = owed.get(id);
      if (parts === undefined || parts.some((part) => this.#lacks(part))) return [];
      owed.delete(id);
      return owed.size === 0 ? [peer] : [];
    });
  }

  /** True when this peer has shown its frontier and nothing of it is owed. */
  isHeld(peer: string): boolean {
    const owed = this.#owed.get(peer);
    if (owed === undefined) return false;
    for (const [id, parts] of owed) if (!parts.some((part) => this.#lacks(part))) owed.delete(id);
    return owed.size === 0;
  }

  /** What a held header names and nobody has does not count: this is about what the peer can give back. */
  #lacks({ author, channel, items }: FrontierGroup): boolean {
    return lacksShown(this.#parts.source.feeds(author, channel), items);
  }
}

function idOf({ author, channel }: Feed): string {
  return `${author}|${channel}`;
}
