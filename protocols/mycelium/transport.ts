import type { FrontierPage } from './frontier-page.ts';
import type { RangeItem } from './range-item.ts';

/**
 * One transport to the feeds of one peer: libp2p streams (`stream-transport.ts`) or HTTPS (`daemon/federation/https-transport.ts`).
 * `Request` is a range request, plain or signed for this peer. An error of either ends the pull and nothing else.
 */
export interface FeedTransport<Request> {
  /** The peer's frontier, page by page; returns its total digest, hex, or an empty text where the transport has none. */
  frontier(signal: AbortSignal): AsyncGenerator<FrontierPage, string>;
  /** The peer's entries of a range, in batches for one commit each: at most `FRAME_LIMITS`. */
  range(request: Request, signal: AbortSignal): AsyncGenerator<readonly RangeItem[]>;
}
