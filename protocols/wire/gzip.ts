import type { Offload } from '../env.ts';
import { AgrinetError } from '../errors.ts';

/** The first bytes of a stream, as many as asked or all there are, and the whole stream again. */
export async function beginningOf(
  source: AsyncIterable<Uint8Array | string>,
  bytes: number,
): Promise<{ readonly head: Uint8Array; readonly all: AsyncIterable<Uint8Array> }> {
  const chunks = source[Symbol.asyncIterator]();
  let head = Buffer.alloc(0);
  while (head.length < bytes) {
    const next = await chunks.next();
    if (next.done === true) break;
    head = Buffer.concat([head, Buffer.from(next.value)]);
  }
  async function* all(): AsyncGenerator<Uint8Array> {
    try {
      yield head;
      for (let next = await chunks.next(); next.done !== true; next = await chunks.next())
        yield Buffer.from(next.value);
    } finally {
      await chunks.return?.();
    }
  }
  return { head, all: all() };
}

/** RFC 1952's magic number. */
export function isGzip(head: Uint8Array): boolean {
  return head[0] === 0x1f && head[1] === 0x8b;
}

/**
 * Decompresses a stream, up to `most` bytes. Throws `gzip-too-large`, `gzip-damaged` (truncated, or a wrong checksum or length), and
 * what the source throws.
 */
export async function* gunzipped(
  source: AsyncIterable<Uint8Array>,
  most: number,
  { gunzip }: Pick<Offload, 'gunzip'>,
): AsyncGenerator<Uint8Array> {
  let failed: unknown;
  async function* watched(): AsyncGenerator<Uint8Array> {
    try {
      yield* source;
    } catch (error) {
      failed = error;
      throw error;
    }
  }
  let size = 0;
  try {
    for await (const chunk of gunzip(watched())) {
      size += chunk.length;
      if (size > most) throw new AgrinetError('gzip-too-large', `it decompresses to more than ${most} bytes`);
      yield chunk;
    }
  } catch (error) {
    if (failed !== undefined) throw failed;
    if (error instanceof AgrinetError) throw error;
    throw new AgrinetError('gzip-damaged', 'its gzip data are truncated or damaged', { cause: error });
  }
}
