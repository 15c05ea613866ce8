import { CHUNK_BYTES } from '../checkpoint/chunk.ts';
import { type SnapshotList, SNAPSHOT_LISTS } from '../checkpoint/snapshot-list.ts';
import { AgrinetError } from '../errors.ts';
import { fromHex, hex } from '../wire/bytes.ts';
import { bytesOf, type Cbor, decodeCbor, encodeCbor, integer } from '../wire/cbor.ts';
import { parsePeerId, type PeerId } from '../wire/identity.ts';

/**
 * Snapshots of checkpoints, `/agrinet/<network>/snapshot/1` and over HTTPS: the asker sends one frame and closes its side. It asks for an
 * author's checkpoints `[0, author]`, for the hashes of the chunks of a list of one `[1, author, checkpoint, list]`, or for chunks themselves
 * `[2, author, checkpoint, list, first, last]`, both included. The answer is frames until the holder closes: envelopes, the effective
 * one first; hashes, concatenated; or a chunk each, raw behind a 0 or one zstd frame behind a 1. A first frame that is empty says that the
 * holder does not have it. Guaranteed: nothing, since the asker compares the root and each hash. It may stop anywhere and go on with any holder.
 */
export const SNAPSHOT_STREAM_LIMITS = {
  /** The request: two names of a node and a checkpoint, and five numbers. */
  requestBytes: 128,
  /** One frame: the longest chunk, which may not compress, and its form. */
  frameBytes: CHUNK_BYTES + 1,
  /** Checkpoints in one answer: the effective one, and another one of a contested author. */
  checkpoints: 2,
  /** Hashes in one frame. */
  hashes: 8192,
  /** Chunks of one request: about 16 MiB. */
  chunks: 64,
  /** No frame for this long ends a fetch; a holder may have to look for where a chunk begins. */
  idleMs: 20_000,
  /** One whole answer. */
  answerMs: 10 * 60_000,
  /** Answers under way in total: each holds a chunk. */
  answering: 8,
  /** Of them for one peer. */
  answeringPerPeer: 2,
  /** Beyond the first of each peer, for all peers together. */
  further: 4,
  /** Per connection, both ways. */
  streams: 4,
  /** Requests of one peer answered at once, over streams and HTTPS together. */
  askBurst: 60,
  /** And one more after this time, milliseconds. */
  askEveryMs: 100,
  /** So many frames count as one more request: a chunk costs some milliseconds to make. */
  askPages: 4,
} as const;

/** What is asked for, of one author. */
export type SnapshotRequest =
  | { readonly kind: 'checkpoints'; readonly author: PeerId }
  | (ListName & { readonly kind: 'hashes' })
  | (ListName & { readonly kind: 'chunks'; readonly first: number; readonly last: number });

interface ListName {
  readonly author: PeerId;
  /** The id of the checkpoint, hex. */
  readonly checkpoint: string;
  readonly list: SnapshotList;
}

const KINDS = ['checkpoints', 'hashes', 'chunks'] as const;

export function encodeSnapshotRequest(request: SnapshotRequest): Uint8Array {
  const { kind, author } = request;
  const what: Cbor[] = [KINDS.indexOf(kind), author];
  if (kind !== 'checkpoints') what.push(fromHex(request.checkpoint), SNAPSHOT_LISTS.indexOf(request.list));
  if (kind === 'chunks') what.push(request.first, request.last);
  return encodeCbor(what);
}

/** Reads a request strictly. Throws `snapshot-malformed` or `not-canonical`. */
export function decodeSnapshotRequest(data: Uint8Array): SnapshotRequest {
  if (data.length > SNAPSHOT_STREAM_LIMITS.requestBytes) throw malformed('a request that is too long');
  const value = decodeCbor(data);
  const items: readonly unknown[] = Array.isArray(value) ? value : [];
  const kind = KINDS[integer(items[0], 0, KINDS.length - 1) ?? -1];
  const author = parsePeerId(items[1]);
  const lengths = { checkpoints: 2, hashes: 4, chunks: 6 };
  if (kind === undefined || author === undefined || items.length !== lengths[kind])
    throw malformed('an unknown request');
  if (kind === 'checkpoints') return { kind, author };
  const id = bytesOf(items[2], 32);
  const list = SNAPSHOT_LISTS[integer(items[3], 0, SNAPSHOT_LISTS.length - 1) ?? -1];
  if (id === undefined || list === undefined) throw malformed('a request for an unknown list');
  const name = { author, checkpoint: hex(id), list };
  if (kind === 'hashes') return { kind, ...name };
  const first = integer(items[4], 0, MOST_CHUNKS);
  const last = integer(items[5], first ?? 0, MOST_CHUNKS);
  if (first === undefined || last === undefined || last - first >= SNAPSHOT_STREAM_LIMITS.chunks)
    throw malformed('a request for no chunks, or too many');
  return { kind, ...name, first, last };
}

/** Numbers of chunks are below. */
const MOST_CHUNKS = 0xffff_ffff;

export function malformed(why: string, cause?: unknown): AgrinetError {
  return new AgrinetError('snapshot-malformed', `snapshot: ${why}`, { cause });
}
