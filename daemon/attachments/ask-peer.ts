import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import {
  ATTACHMENT_STREAM_LIMITS,
  type AttachmentProtocol,
  type AttachmentRequest,
} from '../../protocols/mycelium/attachment-protocol.ts';
import { newestConnection } from '../../protocols/mycelium/ports.ts';
import { askOverHttps, type HolderParts } from '../federation/holders.ts';
import { agrinetdSource } from '../federation/sources.ts';

export interface AskPeerParts extends HolderParts {
  readonly streams: Pick<AttachmentProtocol, 'ask'>;
}

/** How long one peer may take, milliseconds: those behind it in the row are to have their turn. */
const PEER_MS = 8000;

/** Asks one peer for an attachment: over a connection that is there, otherwise, or where that fails, over HTTPS. Undefined when it has nothing to give. */
export function askPeer(parts: AskPeerParts) {
  return async (
    peer: string,
    request: AttachmentRequest,
    outer: AbortSignal,
  ): Promise<Uint8Array | undefined> => {
    const signal = AbortSignal.any([outer, parts.env.deadline(PEER_MS)]);
    const connection = newestConnection(parts.libp2p, peer);
    const source = agrinetdSource(parts.registry, peer);
    if (connection !== undefined)
      try {
        return await parts.streams.ask(connection, request, signal);
      } catch (error) {
        // What only a faulty or hostile peer sends is told of; a connection that broke is no answer.
        if (source === undefined || signal.aborted || SENT.has(errorCode(error))) throw error;
      }
    return source && overHttps(parts, source, request, signal);
  };
}

const SENT: ReadonlySet<string> = new Set(['attachment-malformed', 'frame-malformed', 'frame-too-long']);

async function overHttps(
  parts: AskPeerParts,
  source: NonNullable<ReturnType<typeof agrinetdSource>>,
  request: AttachmentRequest,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  try {
    const answer = await askOverHttps(parts, source, parts.requests.attachment(source, request), {
      timeoutMs: PEER_MS,
      idleMs: PEER_MS,
      maxBytes: ATTACHMENT_STREAM_LIMITS.answerBytes,
      headers: { accept: 'application/octet-stream' },
      signal,
    });
    return await answer.bytes();
  } catch (error) {
    if (error instanceof AgrinetError && error.code === 'peer-refused') return undefined; // it does not have it, or not for us
    throw error;
  }
}
