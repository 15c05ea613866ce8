import type { Env } from '../env.ts';
import { isBehind } from '../feed/frontier.ts';
import type { FeedName, Ledger } from '../ledger/types.ts';
import { CpuTurn } from '../wire/cpu-turn.ts';
import type { PeerId } from '../wire/identity.ts';
import type { FrontierGroup } from './frontier-page.ts';
import type { FeedSource } from './ports.ts';
import { nextRange, type NextRange, rangeRequest, type RangeRequest } from './range.ts';
import type { RangeItem } from './range-item.ts';
import { takeItems, type TakenItems } from './take-items.ts';

export interface HeldFeedsParts {
  readonly env: Pick<Env, 'after' | 'cpu' | 'monotonic'>;
  readonly self: PeerId;
  readonly source: Pick<FeedSource, 'feeds'>;
  readonly ledger: Pick<Ledger, 'receive' | 'receiveProof' | 'receiveErasure'>;
  /** Whether feeds of this author are taken. */
  readonly follows: (author: PeerId) => boolean;
}

/**
 * Compares this node's feeds with those of others: what is missing here, how to ask for it, and admitting it. The same for every
 * transport.
 */
export class HeldFeeds {
  readonly #parts: HeldFeedsParts;

  constructor(parts: HeldFeedsParts) {
    this.#parts = parts;
  }

  /** Whether this author's entries are taken at all: this node's own, and those of nodes that it follows. */
  takes(author: PeerId): boolean {
    return author === this.#parts.self || this.#parts.follows(author);
  }

  /** True when a peer shows something of a feed that is missing here and would be taken. */
  isBehind({ author, channel, items }: Pick<FrontierGroup, 'author' | 'channel' | 'items'>): boolean {
    return this.takes(author) && isBehind(this.#parts.source.feeds(author, channel), items);
  }

  /** What to ask for, of the epochs from `from` on. */
  rangeRequest({ author, channel }: FeedName, from?: string): NextRange<RangeRequest> {
    const request = rangeRequest(author, channel, this.#parts.source.feeds(author, channel), from);
    return { request, next: nextRange(request) };
  }

  /** Takes in what a peer has answered. Throws what `takeItems` throws. */
  receive(
    peer: string,
    feed: FeedName,
    items: readonly RangeItem[],
    onRefused?: (code: string) => void,
  ): Promise<TakenItems> {
    const { env, ledger } = this.#parts;
    const turn = new CpuTurn(env);
    return takeItems(ledger, peer, feed, items, onRefused === undefined ? { turn } : { turn, onRefused });
  }
}
