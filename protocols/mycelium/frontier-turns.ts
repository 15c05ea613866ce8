import { type FrontierGroup, frontierPages } from './frontier-page.ts';
import { promisingFeeds } from './owed-feeds.ts';

/**
 * A frontier too long for one exchange is shown part by part, each exchange the next: refused whole, nothing of it would ever be caught
 * up. Each part begins with the feeds that hold the peer's own promises, because it takes that part for an answer about them.
 */
export class FrontierTurns {
  readonly #most: number;
  #turn = 0;

  /** Pages of one exchange. */
  constructor(most: number) {
    this.#most = most;
  }

  /** What this peer is shown now. */
  pagesFor(peer: string, groups: readonly FrontierGroup[]): FrontierGroup[][] {
    const pages = frontierPages(groups);
    if (pages.length <= this.#most) return pages;
    const promising = new Set(promisingFeeds(groups, peer, () => true));
    const first = promising.size === 0 ? [] : frontierPages([...promising]);
    // Too many even by themselves: then they too are shown in turns.
    if (first.length >= this.#most) return this.#next(pages, this.#most);
    const others = frontierPages(groups.filter((group) => !promising.has(group)));
    return [...first, ...this.#next(others, this.#most - first.length)];
  }

  #next(pages: readonly FrontierGroup[][], most: number): FrontierGroup[][] {
    const from = (this.#turn++ * most) % pages.length;
    return pages.slice(from, from + most);
  }
}
