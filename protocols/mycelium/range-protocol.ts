import type { Env } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import { CpuTurn } from '../wire/cpu-turn.ts';
import type { FramedStream } from '../wire/framed-stream.ts';
import type { PeerConnection } from '../wire/stream.ts';
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
import { RequestStreams, type RequestStreamsParts } from './request-streams.ts';

export interface RangeComponents extends RequestStreamsParts {
  readonly env: RequestStreamsParts['env'] & Pick<Env, 'cpu' | 'offload'>;
  readonly source: FeedSource;
  readonly reader: Pick<RangeReader, 'read'>;
  readonly access: Access;
}

/** Requests ranges and answers them, `/agrinet/<network>/range/1`; `range.ts` explains them. */
export class RangeProtocol {
  readonly #parts: RangeComponents;
  readonly #streams: RequestStreams;
  readonly #turn: CpuTurn;

  constructor(components: RangeComponents, network: string) {
    this.#parts = components;
    this.#turn = new CpuTurn(components.env);
    this.#streams = new RequestStreams(components, {
      id: `/agrinet/${network}/range/1`,
      limits: RANGE_LIMITS,
      frameBytes: FRAME_LIMITS.frameBytes,
      serve: (frames, peer) => this.#serve(frames, peer),
    });
  }

  start(): Promise<void> {
    return this.#streams.start();
  }

  stop(): Promise<void> {
    return this.#streams.stop();
  }

  /** Asks one peer; frames come as they arrive. Throws when the peer is silent for `idleMs`, trickles (`pull-slow`, `steady.ts`) or misbehaves. */
  async *pull(
    connection: PeerConnection,
    request: RangeRequest,
    signal: AbortSignal,
  ): AsyncGenerator<readonly RangeItem[]> {
    // While one batch is admitted, the next is received and read.
    const ended = new AbortController();
    const outer = this.#streams.until(signal, ended.signal);
    yield* readAhead(this.#batches(connection, request, outer), () => ended.abort());
  }

  async *#batches(
    connection: PeerConnection,
    request: RangeRequest,
    outer: AbortSignal,
  ): AsyncGenerator<readonly RangeItem[]> {
    const asked = encodeRangeRequest(request);
    for await (const frame of this.#streams.ask(connection, asked, RANGE_LIMITS.idleMs, outer)) {
      await this.#turn.pause();
      // A frame that is here already is not read any more.
      outer.throwIfAborted();
      yield* this.#parts.reader.read(frame, request);
    }
  }

  async #serve(frames: FramedStream, peer: string): Promise<void> {
    const { env, access, source } = this.#parts;
    const overall = this.#streams.within(RANGE_LIMITS.answerMs);
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
