import type { Env } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import { FramedStream } from '../wire/framed-stream.ts';
import { pullSlow, steady } from '../wire/steady.ts';
import type { ByteStream, PeerConnection, StreamHost } from '../wire/stream.ts';
import { type AnswerLimits, type AnswerParts, BoundedAnswers } from './answer-slots.ts';

export interface RequestStreamsParts extends AnswerParts {
  readonly env: Pick<Env, 'after' | 'deadline' | 'monotonic'>;
  readonly libp2p: StreamHost;
}

/** A protocol in which one frame asks, and frames answer until their sender closes. */
export interface RequestWire {
  readonly id: string;
  readonly limits: AnswerLimits & {
    readonly requestBytes: number;
    /** Per connection, both ways. */
    readonly streams: number;
  };
  /** The longest frame of an answer. */
  readonly frameBytes: number;
  /** Reads a request and answers it; for registered peers alone, within the limits. */
  readonly serve: (frames: FramedStream, peer: string) => Promise<void>;
}

/** The streams of such a protocol, of both sides. */
export class RequestStreams {
  readonly #parts: RequestStreamsParts;
  readonly #wire: RequestWire;
  readonly #answers: BoundedAnswers;
  #stopping = new AbortController();

  constructor(parts: RequestStreamsParts, wire: RequestWire) {
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

  /** Until one of these, or the stop. */
  until(...signals: readonly AbortSignal[]): AbortSignal {
    return AbortSignal.any([...signals, this.#stopping.signal]);
  }

  /** The same, for so long at the most. */
  within(ms: number, ...signals: readonly AbortSignal[]): AbortSignal {
    return this.until(...signals, this.#parts.env.deadline(ms));
  }

  /** The frames of one peer's answer, as they come. Throws when it is silent for `idleMs`, trickles (`pull-slow`), or sends no frames. */
  async *ask(
    connection: PeerConnection,
    request: Uint8Array,
    idleMs: number,
    outer: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const { id, limits, frameBytes } = this.#wire;
    const soon = (): AbortSignal => this.within(idleMs, outer);
    const stream = await connection.newStream(id, { signal: soon() });
    const frames = new FramedStream(stream, { maxFrame: frameBytes, maxSent: limits.requestBytes });
    let done = false;
    try {
      await frames.write(request, soon());
      await frames.close(soon());
      yield* steady(framesIn(frames, soon), { error: pullSlow, env: this.#parts.env });
      done = true;
    } finally {
      if (!done) frames.abort(new AgrinetError('stream-aborted', 'stopped reading'));
    }
  }

  #answer(stream: ByteStream, connection: PeerConnection): Promise<void> {
    const { limits, frameBytes, serve } = this.#wire;
    const peer = connection.remotePeer.toString();
    const frames = new FramedStream(stream, { maxFrame: limits.requestBytes, maxSent: frameBytes });
    return this.#answers.give(frames, peer, () => serve(frames, peer));
  }
}

/** The frames that come until the other side closes, each within the time of its own signal. */
async function* framesIn(frames: FramedStream, soon: () => AbortSignal): AsyncGenerator<Uint8Array> {
  for (;;) {
    const frame = await frames.read(soon());
    if (frame === null) return;
    yield frame;
  }
}
