import type { Env } from '../../protocols/env.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import { newestConnection } from '../../protocols/mycelium/ports.ts';
import type { SnapshotProtocol } from '../../protocols/mycelium/snapshot-protocol.ts';
import { SNAPSHOT_STREAM_LIMITS, type SnapshotRequest } from '../../protocols/mycelium/snapshot-request.ts';
import { readSnapshotSequence } from '../../protocols/mycelium/snapshot-sequence.ts';
import type { Registry } from '../../protocols/registry/registry.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { pullSlow, steady } from '../../protocols/wire/steady.ts';
import type { StreamHost } from '../../protocols/wire/stream.ts';
import type { FeedRequests } from '../federation/feed-requests.ts';
import type { GuardedFetch } from '../federation/guarded-fetch.ts';
import { SourceAsker } from '../federation/source-asker.ts';
import { agrinetdSource } from '../federation/sources.ts';

export interface AskSnapshotParts {
  readonly env: Pick<Env, 'after' | 'monotonic'>;
  readonly libp2p: Pick<StreamHost, 'getConnections'>;
  readonly streams: Pick<SnapshotProtocol, 'ask'>;
  readonly registry: Pick<Registry, 'get'>;
  readonly requests: Pick<FeedRequests, 'snapshot'>;
  readonly fetch: GuardedFetch;
  readonly renewCertificate: (peer: PeerId) => Promise<string>;
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
  { requests, fetch, renewCertificate, env }: AskSnapshotParts,
  source: NonNullable<ReturnType<typeof agrinetdSource>>,
  request: SnapshotRequest,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const signed = requests.snapshot(source, request);
  const asker = new SourceAsker({ fetch, target: { renewCertificate } }, { ...source, request: signed });
  const { answerMs, idleMs } = SNAPSHOT_STREAM_LIMITS;
  const answer = await asker.ask(signed, {
    timeoutMs: answerMs,
    idleMs,
    maxBytes: ANSWER_BYTES,
    headers: {},
    signal,
  });
  yield* readSnapshotSequence(steady(answer.body, { error: pullSlow, env }));
}
