import { type Chunk, decodeChunk } from '../checkpoint/chunk.ts';
import { listRoot, mostChunks, type SnapshotList } from '../checkpoint/snapshot-list.ts';
import { checkEvidence } from '../checkpoint/snapshot-reader.ts';
import { type Checkpoint, verifyCheckpoint } from '../feed/checkpoint.ts';
import type { Env } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import { isSendersFault } from '../error-codes.ts';
import { concat, hex, sha256Hex } from '../wire/bytes.ts';
import { CpuTurn } from '../wire/cpu-turn.ts';
import type { PeerId } from '../wire/identity.ts';
import { unpackFrame } from './packed-frame.ts';
import { malformed, SNAPSHOT_STREAM_LIMITS, type SnapshotRequest } from './snapshot-request.ts';

/** One way to one holder: the frames of its answer, over whatever transport. */
export type AskSnapshot = (request: SnapshotRequest) => AsyncGenerator<Uint8Array>;

type AskingEnv = Pick<Env, 'after' | 'cpu' | 'monotonic' | 'offload'>;

const HASH_BYTES = 32;

/** The checkpoints of an author in this network that one holder shows. Throws `snapshot-malformed`. */
export async function askCheckpoints(ask: AskSnapshot, author: PeerId, net: string): Promise<Checkpoint[]> {
  const shown: Checkpoint[] = [];
  for await (const frame of heldFrames(ask({ kind: 'checkpoints', author }))) {
    const checkpoint = blamed(() => verifyCheckpoint(frame));
    if (
      checkpoint.author !== author ||
      checkpoint.net !== net ||
      shown.some(({ id }) => id === checkpoint.id)
    )
      throw malformed('a checkpoint that was not asked for');
    if (shown.push(checkpoint) > SNAPSHOT_STREAM_LIMITS.checkpoints) throw malformed('too many checkpoints');
  }
  return shown;
}

/**
 * The hashes of all chunks of a list, joined, as one holder gives them: they give the root that was signed. Undefined where it has none. Throws
 * `snapshot-malformed`, and `snapshot-differs` for another list.
 */
export async function askHashes(
  ask: AskSnapshot,
  checkpoint: Checkpoint,
  list: SnapshotList,
): Promise<Uint8Array | undefined> {
  const { author, id } = checkpoint;
  const most = mostChunks(checkpoint) * HASH_BYTES;
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const frame of heldFrames(ask({ kind: 'hashes', author, checkpoint: id, list }))) {
    length += frame.length;
    const isWhole = frame.length % HASH_BYTES === 0;
    if (!isWhole || frame.length > SNAPSHOT_STREAM_LIMITS.hashes * HASH_BYTES || length > most)
      throw malformed('more hashes than there can be, or a part of one');
    parts.push(frame);
  }
  if (length === 0) return undefined;
  const hashes = concat(parts);
  if (sha256Hex(hashes) !== listRoot(checkpoint, list))
    throw new AgrinetError('snapshot-differs', 'snapshot: hashes that do not give the root that was signed');
  return hashes;
}

/** Some chunks of a list whose hashes are known. */
export interface ChunksAsked {
  readonly checkpoint: Checkpoint;
  readonly list: SnapshotList;
  readonly hashes: Uint8Array;
  readonly first: number;
  readonly last: number;
}

/**
 * These chunks as one holder gives them, in order; none where it has none. Each has its hash and its form, and the signatures of evidence hold. Throws
 * `snapshot-malformed`, `snapshot-differs` for a chunk of another hash, and `stream-truncated` for too few.
 */
export async function* askChunks(
  ask: AskSnapshot,
  { checkpoint, list, hashes, first, last }: ChunksAsked,
  env: AskingEnv,
): AsyncGenerator<Chunk> {
  const turn = new CpuTurn(env);
  const { author, id } = checkpoint;
  const { frameBytes } = SNAPSHOT_STREAM_LIMITS;
  let number = first;
  for await (const frame of heldFrames(ask({ kind: 'chunks', author, checkpoint: id, list, first, last }))) {
    if (number > last) throw malformed('more chunks than were asked for');
    const bytes = await unpackFrame(frame, { offload: env.offload, frameBytes, malformed });
    await turn.pause();
    const chunk = blamed(() => decodeChunk(bytes));
    if (chunk.hash !== hex(hashes.subarray(number * HASH_BYTES, (number + 1) * HASH_BYTES)))
      throw new AgrinetError('snapshot-differs', 'snapshot: a chunk of another hash than was asked for');
    for (const item of list === 'evidence' ? chunk.items : []) {
      blamed(() => checkEvidence(item));
      await turn.pause();
    }
    number++;
    yield chunk;
  }
  if (number > first && number <= last)
    throw new AgrinetError('stream-truncated', 'snapshot: fewer chunks came than were asked for');
}

/** The frames of an answer but for the one that says that there is none. */
async function* heldFrames(frames: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  let isOver = false;
  let count = 0;
  for await (const frame of frames) {
    if (isOver || (frame.length === 0 && count > 0))
      throw malformed('an empty frame that is not the only one');
    if (frame.length === 0) isOver = true;
    else yield frame;
    count++;
  }
}

/** What is wrong with the bytes is the fault of whoever sent them. */
function blamed<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof AgrinetError) || !isSendersFault(error.code)) throw error;
    throw malformed(error.message, error);
  }
}
