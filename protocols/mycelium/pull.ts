import type { Env } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import type { FeedName, Ledger } from '../ledger/types.ts';
import { CpuTurn } from '../wire/cpu-turn.ts';
import type { PeerConnection } from '../wire/stream.ts';
import type { FeedSource } from './ports.ts';
import { privacyOf, type PullEvent } from './pull-event.ts';
import { rangeRequest } from './range.ts';
import type { RangeProtocol } from './range-protocol.ts';
import { takeItems } from './take-items.ts';

export const SLICE_LIMITS = {
  /** So long a pull may go on without progress, or with it when somebody else has the feed too: frames that trickle must not hold it up. */
  sliceMs: 15_000,
  /** What counts as progress in that time, besides entries that are new here: bytes. */
  sliceBytes: 1024 * 1024,
} as const;

export interface PullParts {
  readonly env: Pick<Env, 'after' | 'cpu' | 'monotonic'>;
  readonly range: Pick<RangeProtocol, 'pull'>;
  readonly source: Pick<FeedSource, 'feeds'>;
  readonly ledger: Ledger;
  readonly now: () => number;
  readonly onEvent: (event: PullEvent) => void;
}

export interface PullRequest {
  readonly connection: PeerConnection;
  readonly feed: FeedName;
  readonly signal: AbortSignal;
  /** Whether somebody besides this peer has shown the feed. */
  readonly hasOthers: () => boolean;
}

/**
 * Takes in what one peer has of one author and channel and this node lacks; how many entries were new. Throws what `RangeProtocol.pull`
 * and `takeItems` throw, and `pull-slow` when it does not get on, or another holder should have its turn.
 */
export async function pullFeed(
  { env, range, source, ledger, now, onEvent }: PullParts,
  { connection, feed, signal, hasOthers }: PullRequest,
): Promise<number> {
  const { author, channel } = feed;
  const peer = connection.remotePeer.toString();
  const turn = new CpuTurn(env);
  const onRefused = (code: string): void =>
    onEvent({ kind: 'entry-refused', peer, code, ...privacyOf(channel) });
  const request = rangeRequest(author, channel, source.feeds(author, channel));
  const slice = new Slice(now, hasOthers);
  let received = 0;
  for await (const items of range.pull(connection, request, signal)) {
    const { accepted } = await takeItems(ledger, peer, feed, items, { turn, onRefused });
    received += accepted;
    slice.took(
      accepted,
      items.reduce((sum, item) => sum + item.bytes.length, 0),
    );
  }
  return received;
}

/** What has come in the slice of time that a pull is in. */
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
    // Resumable at any point: a holder that only trickles gives way to the next one, and to other feeds.
    if (this.#hasOthers()) throw new AgrinetError('pull-slow', 'another holder goes on');
    if (this.#received === 0 && this.#bytes < SLICE_LIMITS.sliceBytes)
      throw new AgrinetError('pull-slow', 'nothing new has come for a while');
    this.#since = this.#now();
    this.#received = 0;
    this.#bytes = 0;
  }
}
