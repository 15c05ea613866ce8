import type { PeerId } from '../wire/identity.ts';
import type { Channel } from '../wire/ids.ts';
import { LIMITS } from '../wire/limits.ts';
import type { LedgerStore } from './ports.ts';

const DAY_MS = 86_400_000;

/** The day since 1970. */
export function dayOf(ms: number): number {
  return Math.floor(ms / DAY_MS);
}

/** New feeds per author today: counted once from what is held and then kept in memory, because this is checked before any signature. */
export class NewFeeds {
  readonly #store: Pick<LedgerStore, 'feedGroups'>;
  readonly #now: () => number;
  readonly #counts = new Map<PeerId, { readonly day: number; public: number; private: number }>();

  constructor(store: Pick<LedgerStore, 'feedGroups'>, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** In a share of `LIMITS.epochsPerDay`: private channels are many, and each has feeds of its own. */
  today(author: PeerId, channel: Channel): number {
    const counts = this.#of(author);
    return channel === 'public' ? counts.public : counts.private / LIMITS.privateFeedsPerEpoch;
  }

  note(author: PeerId, channel: Channel): void {
    this.#of(author)[channel === 'public' ? 'public' : 'private']++;
  }

  #of(author: PeerId): { public: number; private: number } {
    const day = dayOf(this.#now());
    const known = this.#counts.get(author);
    if (known?.day === day) return known;
    const fresh = { day, public: 0, private: 0 };
    for (const group of this.#store.feedGroups()) {
      if (group.author !== author) continue;
      for (const feed of group.feeds)
        if (feed.day === day) fresh[group.channel === 'public' ? 'public' : 'private']++;
    }
    this.#counts.set(author, fresh);
    return fresh;
  }
}
