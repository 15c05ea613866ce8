import { type FrontierGroup, frontierPages } from './frontier-page.ts';
import { promisingFeeds } from './owed-feeds.ts';

/**
 * A frontier too long for one exchange is shown in parts: if it were refused as a whole, nothing of it would ever be caught up. Each
 * exchange begins at a random page: with one counter for all peers, a peer that asks at every second turn would always see the same
 * half. Each part begins with the feeds that may contain the peer's own commitments, because the peer takes that part as an answer
 * about them.
 */
export class FrontierTurns {
  readonly #most: number;
  readonly #random: () => number;

  /** Pages of one exchange; `random` as that of the environment. */
  constructor(most: number, random: () => number) {
    this.#most = most;
    this.#random = random;
  }

  /** What this peer is shown now. */
  pagesFor(peer: string, groups: readonly FrontierGroup[]): FrontierGroup[][] {
    const pages = frontierPages(groups);
    if (pages.length <= this.#most) return pages;
    const promising = new Set(promisingFeeds(groups, peer, () => true));
    const first = promising.size === 0 ? [] : frontierPages([...promising]);
    // Too many even by themselves: then they too are shown in turns.
    if (first.length >= this.#most) return this.#some(pages, this.#most);
    const others = frontierPages(groups.filter((group) => !promising.has(group)));
    return [...first, ...this.#some(others, this.#most - first.length)];
  }

  /** Pages in order, the first following the last; each once. */
  #some(pages: readonly FrontierGroup[][], most: number): FrontierGroup[][] {
    const from = Math.floor(this.#random() * pages.length);
    const beyond = Math.max(0, from + most - pages.length);
    return [...pages.slice(from, from + most), ...pages.slice(0, Math.min(beyond, from))];
  }
}
