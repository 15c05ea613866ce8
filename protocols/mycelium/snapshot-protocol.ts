import type { Env } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import { FramedStream } from '../wire/framed-stream.ts';
import { pullSlow, steady } from '../wire/steady.ts';
import type { ByteStream, PeerConnection, StreamHost } from '../wire/stream.ts';
import { type AnswerParts, BoundedAnswers } from './answer-slots.ts';
import { framesIn } from './frames-in.ts';
import type { SnapshotAnswers } from './snapshot-answer.ts';
import {
  decodeSnapshotRequest,
  encodeSnapshotRequest,
  SNAPSHOT_STREAM_LIMITS,
  type SnapshotRequest,
} from './snapshot-request.ts';

export interface SnapshotProtocolParts extends AnswerParts {
  readonly env: Pick<Env, 'after' | 'deadline' | 'monotonic'>;
  readonly libp2p: StreamHost;
  readonly answers: Pick<SnapshotAnswers, 'frames'>;
}

/** Asks for snapshots and gives them, `/agrinet/<network>/snapshot/1`; `snapshot-request.ts` explains it. */
export class SnapshotProtocol {
  readonly #parts: SnapshotProtocolParts;
  readonly #protocol: string;
  readonly #answers: BoundedAnswers;
  #stopping = new AbortController();

  constructor(parts: SnapshotProtocolParts, network: string) {
    this.#parts = parts;
    this.#protocol = `/agrinet/${network}/snapshot/1`;
    this.#answers = new BoundedAnswers(parts, SNAPSHOT_STREAM_LIMITS);
  }

  async start(): Promise<void> {
    this.#stopping = new AbortController();
    const { streams } = SNAPSHOT_STREAM_LIMITS;
    await this.#parts.libp2p.handle(
      this.#protocol,
      (stream, connection) => this.#answer(stream, connection),
      { maxInboundStreams: streams, maxOutboundStreams: streams },
    );
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#parts.libp2p.unhandle(this.#protocol);
  }

  /** The frames of one peer's answer, as they come. Throws when it is silent for `idleMs`, trickles (`pull-slow`), or sends no frames. */
  async *ask(
    connection: PeerConnection,
    request: SnapshotRequest,
    outer: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const { env } = this.#parts;
    const { idleMs, frameBytes, requestBytes } = SNAPSHOT_STREAM_LIMITS;
    const signal = AbortSignal.any([outer, this.#stopping.signal]);
    const soon = (): AbortSignal => AbortSignal.any([signal, env.deadline(idleMs)]);
    const stream = await connection.newStream(this.#protocol, { signal: soon() });
    const frames = new FramedStream(stream, { maxFrame: frameBytes, maxSent: requestBytes });
    let done = false;
    try {
      await frames.write(encodeSnapshotRequest(request), soon());
      await frames.close(soon());
      yield* steady(framesIn(frames, soon), { error: pullSlow, env });
      done = true;
    } finally {
      if (!done) frames.abort(new AgrinetError('stream-aborted', 'stopped reading'));
    }
  }

  #answer(stream: ByteStream, connection: PeerConnection): Promise<void> {
    const peer = connection.remotePeer.toString();
    const { requestBytes, frameBytes } = SNAPSHOT_STREAM_LIMITS;
    const frames = new FramedStream(stream, { maxFrame: requestBytes, maxSent: frameBytes });
    return this.#answers.give(frames, peer, () => this.#serve(frames, peer));
  }

  async #serve(frames: FramedStream, peer: string): Promise<void> {
    const { env, answers } = this.#parts;
    const { answerMs, idleMs } = SNAPSHOT_STREAM_LIMITS;
    const whole = AbortSignal.any([this.#stopping.signal, env.deadline(answerMs)]);
    const soon = (): AbortSignal => AbortSignal.any([whole, env.deadline(idleMs)]);
    const request = decodeSnapshotRequest(await frames.readNext(soon()));
    for await (const frame of answers.frames(peer, request)) await frames.write(frame, soon());
    await frames.close(soon());
  }
}
