import type { FrontierPage } from './frontier-page.ts';
import type { RangeItem } from './range-item.ts';

/**
 * One way to the feeds of one peer: libp2p streams (`stream-transport.ts`) or HTTPS (`daemon/federation/https-transport.ts`). `Request` is what a
 * range is asked for with: a range request as it is, or one that is signed for this peer. What either throws ends the pull and nothing else.
 */
export interface FeedTransport<Request> {
  /** The peer's frontier, page by page; returns its total digest, hex, or an empty text where the transport tells none. */
  frontier(signal: AbortSignal): AsyncGenerator<FrontierPage, string>;
  /** What the peer has of a range, in batches that one commit takes in: at most `FRAME_LIMITS`. */
  range(request: Request, signal: AbortSignal): AsyncGenerator<readonly RangeItem[]>;
}
