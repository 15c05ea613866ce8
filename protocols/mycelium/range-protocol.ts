import type { Env } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import { CpuTurn } from '../wire/cpu-turn.ts';
import { FramedStream } from '../wire/framed-stream.ts';
import { pullSlow, steady } from '../wire/steady.ts';
import type { ByteStream, PeerConnection, StreamHost } from '../wire/stream.ts';
import { BoundedAnswers } from './answer-slots.ts';
import { framesIn } from './frames-in.ts';
import type { Access, FeedSource } from './ports.ts';
import {
  decodeRangeRequest,
  encodeRangeRequest,
  RANGE_LIMITS,
  rangeItems,
  type RangeRequest,
} from './range.ts';
import { FRAME_LIMITS, framesOf } from './range-frame.ts';
import type { RangeItem } from './range-item.ts';
import type { RangeReader } from './range-reader.ts';
import { readAhead } from './read-ahead.ts';

export interface RangeComponents {
  readonly env: Pick<Env, 'after' | 'cpu' | 'deadline' | 'monotonic' | 'offload'>;
  readonly libp2p: StreamHost;
  readonly source: FeedSource;
  readonly reader: Pick<RangeReader, 'read'>;
  readonly access: Access;
  readonly onFailure: (peer: string, error: unknown) => void;
}

/** Requests ranges and answers them, `/agrinet/<network>/range/1`; `range.ts` explains them. */
export class RangeProtocol {
  readonly #parts: RangeComponents;
  readonly #protocol: string;
  readonly #answers: BoundedAnswers;
  readonly #turn: CpuTurn;
  #stopping = new AbortController();

  constructor(components: RangeComponents, network: string) {
    this.#parts = components;
    this.#protocol = `/agrinet/${network}/range/1`;
    this.#answers = new BoundedAnswers(components, RANGE_LIMITS);
    this.#turn = new CpuTurn(components.env);
  }

  async start(): Promise<void> {
    this.#stopping = new AbortController();
    await this.#parts.libp2p.handle(
      this.#protocol,
      (stream, connection) => this.#answer(stream, connection),
      { maxInboundStreams: RANGE_LIMITS.streams, maxOutboundStreams: RANGE_LIMITS.streams },
    );
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#parts.libp2p.unhandle(this.#protocol);
  }

  /** Asks one peer; frames come as they arrive. Throws when the peer is silent for `idleMs`, trickles (`pull-slow`, `steady.ts`) or misbehaves. */
  async *pull(
    connection: PeerConnection,
    request: RangeRequest,
    signal: AbortSignal,
  ): AsyncGenerator<readonly RangeItem[]> {
    // While one batch is admitted, the next is received and read.
    const ended = new AbortController();
    const outer = AbortSignal.any([signal, ended.signal, this.#stopping.signal]);
    yield* readAhead(this.#batches(connection, request, outer), () => ended.abort());
  }

  async *#batches(
    connection: PeerConnection,
    request: RangeRequest,
    outer: AbortSignal,
  ): AsyncGenerator<readonly RangeItem[]> {
    const { env, reader } = this.#parts;
    const soon = (): AbortSignal => AbortSignal.any([outer, env.deadline(RANGE_LIMITS.idleMs)]);
    const stream = await connection.newStream(this.#protocol, { signal: soon() });
    const frames = new FramedStream(stream, {
      maxFrame: FRAME_LIMITS.frameBytes,
      maxSent: RANGE_LIMITS.requestBytes,
    });
    let done = false;
    try {
      await frames.write(encodeRangeRequest(request), soon());
      await frames.close(soon());
      for await (const frame of steady(framesIn(frames, soon), { error: pullSlow, env })) {
        await this.#turn.pause();
        // A frame that is here already is not read any more.
        outer.throwIfAborted();
        yield* reader.read(frame, request);
      }
      done = true;
    } finally {
      if (!done) frames.abort(new AgrinetError('stream-aborted', 'stopped reading'));
    }
  }

  #answer(stream: ByteStream, connection: PeerConnection): Promise<void> {
    const peer = connection.remotePeer.toString();
    const frames = new FramedStream(stream, {
      maxFrame: RANGE_LIMITS.requestBytes,
      maxSent: FRAME_LIMITS.frameBytes,
    });
    return this.#answers.give(frames, peer, () => this.#serve(frames, peer));
  }

  async #serve(frames: FramedStream, peer: string): Promise<void> {
    const { env, access, source } = this.#parts;
    const overall = AbortSignal.any([this.#stopping.signal, env.deadline(RANGE_LIMITS.answerMs)]);
    const soon = (): AbortSignal => AbortSignal.any([overall, env.deadline(RANGE_LIMITS.idleMs * 4)]);
    const request = await frames.readNext(soon());
    await this.#turn.pause(); // thousands of epochs are milliseconds to read
    const wanted = decodeRangeRequest(request);
    if (wanted.channel !== 'public' && !access.mayHold(peer, wanted.channel))
      throw new AgrinetError('not-a-participant', 'nothing to tell');
    for await (const frame of framesOf(rangeItems(source, wanted), env.offload))
      await frames.write(frame, soon());
    await frames.close(soon());
  }
}
