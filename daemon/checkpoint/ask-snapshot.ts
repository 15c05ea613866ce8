import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import { newestConnection } from '../../protocols/mycelium/ports.ts';
import type { SnapshotProtocol } from '../../protocols/mycelium/snapshot-protocol.ts';
import { SNAPSHOT_STREAM_LIMITS, type SnapshotRequest } from '../../protocols/mycelium/snapshot-request.ts';
import { readSnapshotSequence } from '../../protocols/mycelium/snapshot-sequence.ts';
import { pullSlow, steady } from '../../protocols/wire/steady.ts';
import { askOverHttps, type HolderParts } from '../federation/holders.ts';
import { agrinetdSource } from '../federation/sources.ts';

export interface AskSnapshotParts extends HolderParts {
  readonly streams: Pick<SnapshotProtocol, 'ask'>;
}

/** The longest answer over HTTPS: as many frames as one request can ask for, and the heads of byte strings. */
const ANSWER_BYTES = SNAPSHOT_STREAM_LIMITS.chunks * (SNAPSHOT_STREAM_LIMITS.frameBytes + 5) + 1;

/** Asks one peer for a snapshot: over a connection that is there, otherwise, or where none can be opened over it, over HTTPS. */
export function askSnapshot(parts: AskSnapshotParts) {
  return async function* (
    peer: string,
    request: SnapshotRequest,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const connection = newestConnection(parts.libp2p, peer);
    const source = agrinetdSource(parts.registry, peer);
    if (connection === undefined) {
      if (source === undefined)
        throw new AgrinetError('no-address', 'it has no address, and is not connected');
      yield* overHttps(parts, source, request, signal);
      return;
    }
    let isAnswered = false;
    try {
      for await (const frame of parts.streams.ask(connection, request, signal)) {
        isAnswered = true;
        yield frame;
      }
    } catch (error) {
      // What only a faulty or hostile peer sends is told of; a connection that broke is no answer.
      if (source === undefined || isAnswered || signal.aborted || errorCode(error).startsWith('frame-'))
        throw error;
      yield* overHttps(parts, source, request, signal);
    }
  };
}

async function* overHttps(
  parts: AskSnapshotParts,
  source: NonNullable<ReturnType<typeof agrinetdSource>>,
  request: SnapshotRequest,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const { answerMs, idleMs } = SNAPSHOT_STREAM_LIMITS;
  const answer = await askOverHttps(parts, source, parts.requests.snapshot(source, request), {
    timeoutMs: answerMs,
    idleMs,
    maxBytes: ANSWER_BYTES,
    headers: {},
    signal,
  });
  yield* readSnapshotSequence(steady(answer.body, { error: pullSlow, env: parts.env }));
}
