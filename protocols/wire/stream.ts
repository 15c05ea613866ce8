/** The output of a stream: bytes in one piece or several, as the muxer had them. */
export interface StreamMessage {
  readonly data: Uint8Array | Iterable<Uint8Array>;
}

/** The end of a stream in both directions; with an error when it was reset. */
export interface StreamClosed {
  readonly error?: Error | undefined;
}

/**
 * One stream to a peer, both ways, each of which ends by itself. libp2p's `Stream` is one as it is; a test or a simulated network has its
 * own. Events come while the call that causes them runs, or later; `message` never while the stream is paused, but for what `resume`
 * delivers.
 */
export interface ByteStream {
  /** The protocol that both sides have agreed on. */
  readonly protocol: string;
  readonly status: 'open' | 'closing' | 'closed' | 'aborted' | 'reset';
  readonly readStatus: 'readable' | 'paused' | 'closing' | 'closed';
  /** `closed` when the remote side has closed for writing. */
  readonly remoteWriteStatus: 'writable' | 'closing' | 'closed';
  /** Bytes that have arrived and were not delivered, because the stream is paused. */
  readonly readBufferLength: number;
  /** Whether to wait for `drain` before anything else is sent. */
  readonly writableNeedsDrain: boolean;
  /** Throws on a stream that takes no more. */
  send(data: Uint8Array): unknown;
  /** Ends this side, when what was sent has gone. */
  close(options: { readonly signal: AbortSignal }): Promise<void>;
  /** Resets both directions at once; data in flight is lost. */
  abort(error: Error): void;
  pause(): void;
  resume(): void;
  addEventListener(type: 'message', listener: (event: StreamMessage) => void): void;
  addEventListener(type: 'close', listener: (event: StreamClosed) => void): void;
  addEventListener(type: 'remoteCloseWrite' | 'drain', listener: () => void): void;
}

/** A connection to a peer whose identity its handshake has proven. libp2p's `Connection` is one as it is. */
export interface PeerConnection {
  /** Whose text is the peer id; the text itself will do. */
  readonly remotePeer: { toString(): string };
  /** `open` until it closes. */
  readonly status: string;
  /** When it was opened, milliseconds; only compared with that of other connections. */
  readonly timeline: { readonly open: number };
  /** Opens a stream of the first of these protocols that the peer speaks; throws when it speaks none, or the signal is aborted before. */
  newStream(protocol: string | string[], options: { readonly signal: AbortSignal }): Promise<ByteStream>;
}

/** Answers a stream that a peer has opened. It never throws. */
export type StreamHandler = (stream: ByteStream, connection: PeerConnection) => Promise<void>;

/** Streams of one protocol over one connection at a time, by initiator. */
export interface StreamLimits {
  readonly maxInboundStreams: number;
  readonly maxOutboundStreams: number;
}

/** What stream protocols need of a host; libp2p satisfies it. */
export interface StreamHost {
  handle(protocol: string, handler: StreamHandler, limits: StreamLimits): Promise<void>;
  unhandle(protocol: string): Promise<void>;
  /** Open streams and closing ones. */
  getConnections(): readonly PeerConnection[];
}
