import type { Offload } from '../env.ts';
import { concat } from '../wire/bytes.ts';
import { isOneZstdFrame, ZSTD_WINDOW_LOG } from './zstd-frame.ts';

/** The form of what a frame holds: its first byte. */
const RAW = 0;
const ZSTD = 1;
const LEVEL = 3;

/** Content behind the byte that tells its form, in the shorter of the two. */
export async function packFrame(
  content: Uint8Array,
  { compress }: Pick<Offload, 'compress'>,
): Promise<Uint8Array> {
  const packed = await compress(content, LEVEL);
  return packed.length < content.length
    ? concat([Uint8Array.of(ZSTD), packed])
    : concat([Uint8Array.of(RAW), content]);
}

export interface UnpackFrame {
  readonly offload: Pick<Offload, 'decompress'>;
  /** Bytes of a frame at the most, in either form. */
  readonly frameBytes: number;
  readonly malformed: (why: string, cause?: unknown) => Error;
}

/** What a frame holds: bounded inflation of exactly one zstd frame, or the bytes as they are. Throws `malformed`. */
export async function unpackFrame(
  frame: Uint8Array,
  { offload, frameBytes, malformed }: UnpackFrame,
): Promise<Uint8Array> {
  if (frame.length > frameBytes) throw malformed('above its limit');
  const content = frame.subarray(1);
  if (frame[0] === RAW) return content;
  if (frame[0] !== ZSTD) throw malformed('of an unknown form');
  if (!isOneZstdFrame(content)) throw malformed('that is not one zstd frame without a dictionary');
  try {
    const raw = await offload.decompress(content, { maxBytes: frameBytes - 1, windowLog: ZSTD_WINDOW_LOG });
    return new Uint8Array(raw.buffer, raw.byteOffset, raw.length);
  } catch (error) {
    throw malformed('that does not inflate within its limit', error);
  }
}
