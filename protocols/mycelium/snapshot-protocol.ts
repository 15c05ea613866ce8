import type { FramedStream } from '../wire/framed-stream.ts';
import type { PeerConnection } from '../wire/stream.ts';
import { RequestStreams, type RequestStreamsParts } from './request-streams.ts';
import type { SnapshotAnswers } from './snapshot-answer.ts';
import {
  decodeSnapshotRequest,
  encodeSnapshotRequest,
  SNAPSHOT_STREAM_LIMITS,
  type SnapshotRequest,
} from './snapshot-request.ts';

export interface SnapshotProtocolParts extends RequestStreamsParts {
  readonly answers: Pick<SnapshotAnswers, 'frames'>;
}

/** Asks for snapshots and gives them, `/agrinet/<network>/snapshot/1`; `snapshot-request.ts` explains it. */
export class SnapshotProtocol {
  readonly #parts: SnapshotProtocolParts;
  readonly #streams: RequestStreams;

  constructor(parts: SnapshotProtocolParts, network: string) {
    this.#parts = parts;
    this.#streams = new RequestStreams(parts, {
      id: `/agrinet/${network}/snapshot/1`,
      limits: SNAPSHOT_STREAM_LIMITS,
      frameBytes: SNAPSHOT_STREAM_LIMITS.frameBytes,
      serve: (frames, peer) => this.#serve(frames, peer),
    });
  }

  start(): Promise<void> {
    return this.#streams.start();
  }

  stop(): Promise<void> {
    return this.#streams.stop();
  }

  /** The frames of one peer's answer, as they come. Throws when it is silent for `idleMs`, trickles (`pull-slow`), or sends no frames. */
  ask(connection: PeerConnection, request: SnapshotRequest, outer: AbortSignal): AsyncGenerator<Uint8Array> {
    const { idleMs } = SNAPSHOT_STREAM_LIMITS;
    return this.#streams.ask(connection, encodeSnapshotRequest(request), idleMs, outer);
  }

  async #serve(frames: FramedStream, peer: string): Promise<void> {
    const { answerMs, idleMs } = SNAPSHOT_STREAM_LIMITS;
    const whole = this.#streams.within(answerMs);
    const soon = (): AbortSignal => this.#streams.within(idleMs, whole);
    const request = decodeSnapshotRequest(await frames.readNext(soon()));
    for await (const frame of this.#parts.answers.frames(peer, request)) await frames.write(frame, soon());
    await frames.close(soon());
  }
}
