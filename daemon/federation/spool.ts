import { createHash } from 'node:crypto';
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AgrinetError } from '../../protocols/errors.ts';

/** A body on disk that can be read more than once. */
export interface Spool {
  readonly bytes: number;
  /** SHA-256 of the bytes, hex. */
  readonly sha256: string;
  read(): AsyncGenerator<Uint8Array>;
  close(): Promise<void>;
}

const CHUNK = 64 * 1024;

/**
 * Writes a body to a file without a name: exports of old nodes hold e-mail addresses, and a killed process must not leave them
 * behind. Throws `body-too-large`, or what reading the body throws.
 */
export async function spool(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Spool> {
  const folder = await mkdtemp(join(tmpdir(), 'agrinet-spool-'));
  let file: FileHandle;
  try {
    file = await open(join(folder, 'body'), 'wx+', 0o600);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    for await (const chunk of body) {
      if (bytes + chunk.length > maxBytes)
        throw new AgrinetError('body-too-large', `the export is larger than ${maxBytes / 1024 / 1024} MiB`);
      hash.update(chunk);
      for (let at = 0; at < chunk.length;) {
        const { bytesWritten } = await file.write(chunk, at, chunk.length - at, bytes + at);
        at += bytesWritten;
      }
      bytes += chunk.length;
    }
  } catch (error) {
    await file.close();
    throw error;
  }
  return {
    bytes,
    sha256: hash.digest('hex'),
    async *read() {
      for (let at = 0; at < bytes;) {
        const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(CHUNK), 0, CHUNK, at);
        if (bytesRead === 0) throw new AgrinetError('storage-failed', 'the spooled export was cut short');
        at += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    },
    async close() {
      await file.close();
    },
  };
}
