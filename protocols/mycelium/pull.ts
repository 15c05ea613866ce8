import { AgrinetError } from '../errors.ts';
import type { FeedName } from '../ledger/types.ts';
import type { NextRange } from './range.ts';
import type { RangeItem } from './range-item.ts';
import type { TakenItems } from './take-items.ts';
import type { FeedTransport } from './transport.ts';

export const SLICE_LIMITS = {
  /** How long a pull may go on without progress, or with progress if another peer has the feed too: frames that trickle must not hold it up. */
  sliceMs: 15_000,
  /** What counts as progress in that time, besides entries that are new here: bytes. */
  sliceBytes: 1024 * 1024,
} as const;

/** The target of a pull: this node, or the one behind an API. */
export interface PullTarget<Request> {
  /** What to ask for, of the epochs from `from` on. */
  rangeRequest(feed: FeedName, from: string | undefined): Promise<NextRange<Request>>;
  /** Takes items in. Throws what `takeItems` throws. */
  receive(feed: FeedName, items: readonly RangeItem[]): Promise<TakenItems>;
}

export interface PullParts<Request> {
  readonly transport: Pick<FeedTransport<Request>, 'range'>;
  readonly target: PullTarget<Request>;
  /** Milliseconds. */
  readonly now: () => number;
}

export interface PullOptions {
  readonly signal: AbortSignal;
  /** Whether somebody besides this peer has shown the feed. */
  readonly hasOthers: () => boolean;
  /** After each batch; what it throws ends the pull. */
  readonly onTaken?: (taken: TakenItems, bytes: number) => Promise<void>;
}

/**
 * Pulls what one peer has of one author and channel and the target is missing, over whatever transport; returns how many entries
 * were new. Throws what transport and target throw, and `pull-slow` when it makes no progress, or another holder should be tried.
 */
export async function pullFeed<Request>(
  { transport, target, now }: PullParts<Request>,
  feed: FeedName,
  { signal, hasOthers, onTaken }: PullOptions,
): Promise<number> {
  const slice = new Slice(now, hasOthers);
  let received = 0;
  let from: string | undefined;
  do {
    const { request, next } = await target.rangeRequest(feed, from);
    for await (const items of transport.range(request, signal)) {
      signal.throwIfAborted();
      const taken = await target.receive(feed, items);
      const bytes = items.reduce((sum, item) => sum + item.bytes.length, 0);
      received += taken.accepted;
      slice.took(taken.accepted, bytes);
      await onTaken?.(taken, bytes);
    }
    from = next;
  } while (from !== undefined);
  return received;
}
/** What has arrived in the current slice of a pull. */
class Slice {
  readonly #now: () => number;
  readonly #hasOthers: () => boolean;
  #since: number;
  #received = 0;
  #bytes = 0;

  constructor(now: () => number, hasOthers: () => boolean) {
    this.#now = now;
    this.#hasOthers = hasOthers;
    this.#since = now();
  }

  /** So many entries that are new here have come, in so many bytes. Throws `pull-slow` at the end of a slice that is to be the last. */
  took(received: number, bytes: number): void {
    this.#received += received;
    this.#bytes += bytes;
    if (this.#now() - this.#since <= SLICE_LIMITS.sliceMs) return;
    // Resumable at any point: a slow holder gives way to the next one, and to other feeds.
    if (this.#hasOthers()) throw new AgrinetError('pull-slow', 'another holder goes on');
    if (this.#received === 0 && this.#bytes < SLICE_LIMITS.sliceBytes)
      throw new AgrinetError('pull-slow', 'nothing new has come for a while');
    this.#since = this.#now();
    this.#received = 0;
    this.#bytes = 0;
  }
}
