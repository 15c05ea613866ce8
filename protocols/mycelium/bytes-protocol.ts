import type { Env } from '../env.ts';
import type { ErrorCode } from '../error-codes.ts';
import { AgrinetError } from '../errors.ts';
import { FramedStream } from '../wire/framed-stream.ts';
import type { ByteStream, PeerConnection, StreamHost } from '../wire/stream.ts';
import { type AnswerLimits, type AnswerParts, BoundedAnswers } from './answer-slots.ts';

/** A protocol by which bytes are asked for: one frame that names them, and one frame with them, empty where the holder gives none. */
export interface BytesWire<Request> {
  readonly id: string;
  readonly limits: AnswerLimits & {
    readonly requestBytes: number;
    readonly answerBytes: number;
    /** The whole exchange, milliseconds. */
    readonly exchangeMs: number;
    /** Per connection, both ways. */
    readonly streams: number;
  };
  /** What a second frame of an answer is. */
  readonly malformed: ErrorCode;
  readonly encode: (request: Request) => Uint8Array;
  /** Reads a request strictly, or throws. */
  readonly decode: (frame: Uint8Array) => Request;
}

export interface BytesProtocolParts<Request> extends AnswerParts {
  readonly env: Pick<Env, 'deadline'>;
  readonly libp2p: StreamHost;
  /** What this peer may have; undefined for all else, whether it is here or not. */
  readonly answer: (peer: string, request: Request) => Promise<Uint8Array | undefined>;
}

const NOT_HERE = new Uint8Array(0);

/** Both sides of such a protocol. */
export class BytesProtocol<Request> {
  readonly #parts: BytesProtocolParts<Request>;
  readonly #wire: BytesWire<Request>;
  readonly #answers: BoundedAnswers;
  #stopping = new AbortController();

  constructor(parts: BytesProtocolParts<Request>, wire: BytesWire<Request>) {
    this.#parts = parts;
    this.#wire = wire;
    this.#answers = new BoundedAnswers(parts, wire.limits);
  }

  async start(): Promise<void> {
    this.#stopping = new AbortController();
    const { id, limits } = this.#wire;
    await this.#parts.libp2p.handle(id, (stream, connection) => this.#answer(stream, connection), {
      maxInboundStreams: limits.streams,
      maxOutboundStreams: limits.streams,
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#parts.libp2p.unhandle(this.#wire.id);
  }

  /** The bytes as a peer gives them, which its caller holds against their hash; undefined when it gives none. */
  async ask(
    connection: PeerConnection,
    request: Request,
    outer: AbortSignal,
  ): Promise<Uint8Array | undefined> {
    const { id, limits, malformed, encode } = this.#wire;
    const signal = AbortSignal.any([outer, this.#wholeExchange()]);
    const stream = await connection.newStream(id, { signal });
    const frames = new FramedStream(stream, { maxFrame: limits.answerBytes, maxSent: limits.requestBytes });
    try {
      await frames.write(encode(request), signal);
      await frames.close(signal);
      const bytes = await frames.readNext(signal);
      if ((await frames.read(signal)) !== null)
        throw new AgrinetError(malformed, 'an answer of more than one frame');
      return bytes.length === 0 ? undefined : bytes;
    } catch (error) {
      frames.abort(error);
      throw error;
    }
  }

  #answer(stream: ByteStream, connection: PeerConnection): Promise<void> {
    const { limits, decode } = this.#wire;
    const peer = connection.remotePeer.toString();
    const frames = new FramedStream(stream, { maxFrame: limits.requestBytes, maxSent: limits.answerBytes });
    return this.#answers.give(frames, peer, async () => {
      const signal = this.#wholeExchange();
      const request = decode(await frames.readNext(signal));
      await frames.write((await this.#parts.answer(peer, request)) ?? NOT_HERE, signal);
      await frames.close(signal);
    });
  }

  #wholeExchange(): AbortSignal {
    return AbortSignal.any([this.#stopping.signal, this.#parts.env.deadline(this.#wire.limits.exchangeMs)]);
  }
}
