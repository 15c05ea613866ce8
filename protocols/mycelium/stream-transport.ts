import type { PeerConnection } from '../wire/stream.ts';
import type { FrontierProtocol } from './frontier-exchange.ts';
import type { FrontierPage } from './frontier-page.ts';
import type { RangeRequest } from './range.ts';
import type { RangeItem } from './range-item.ts';
import type { RangeProtocol } from './range-protocol.ts';
import type { FeedTransport } from './transport.ts';

export interface StreamTransportParts {
  readonly frontier: Pick<FrontierProtocol, 'ask'>;
  readonly range: Pick<RangeProtocol, 'pull'>;
}

/** The feeds of a peer over one connection: `frontier/1` and `range/1`. */
export class StreamTransport implements FeedTransport<RangeRequest> {
  readonly #parts: StreamTransportParts;
  readonly #connection: PeerConnection;

  constructor(parts: StreamTransportParts, connection: PeerConnection) {
    this.#parts = parts;
    this.#connection = connection;
  }

  /** Shows this node's own frontier first. Pages contain no total digest. */
  frontier(signal: AbortSignal): AsyncGenerator<FrontierPage, string> {
    return this.#parts.frontier.ask(this.#connection, signal);
  }

  range(request: RangeRequest, signal: AbortSignal): AsyncGenerator<readonly RangeItem[]> {
    return this.#parts.range.pull(this.#connection, request, signal);
  }
}
