import { open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AgrinetError } from '../protocols/errors.ts';
import { syncFolder } from '../storage/folder.ts';
import { storageError } from '../storage/storage-error.ts';

/** Throws `usage` when the file is there and may not be replaced. */
export async function refuseExisting(file: string, force: boolean): Promise<void> {
  if (force || (await stat(file).catch(() => undefined)) === undefined) return;
  throw new AgrinetError('usage', `${file} is there already. Name another file, or replace it with --force.`);
}

/**
 * Writes a file that only its owner may read: as `FILE.partial`, fsynced and checked, and only then under its name. Whatever fails
 * leaves nothing behind. Throws `disk-full`, `folder-unwritable`, and what source and check throw.
 */
export async function writeWhole<T>(
  file: string,
  source: AsyncIterable<Uint8Array>,
  check: (partial: string) => Promise<T>,
): Promise<T> {
  const partial = `${file}.partial`;
  try {
    await rm(partial, { force: true }); // one that was cut off, or a link that leads elsewhere
    const out = await open(partial, 'wx', 0o600);
    try {
      for await (const bytes of source) await out.writeFile(bytes);
      await out.sync();
    } finally {
      await out.close();
    }
    const result = await check(partial);
    await rename(partial, file);
    await syncFolder(dirname(file));
    return result;
  } catch (error) {
    await rm(partial, { force: true });
    throw error instanceof AgrinetError ? error : fileError(file, error);
  }
}

function fileError(file: string, cause: unknown): AgrinetError {
  const { code } = storageError(cause);
  const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : 'see its cause';
  const known = code === 'disk-full' || code === 'folder-unwritable';
  return new AgrinetError(known ? code : 'usage', `cannot write ${file} (${reason})`, { cause });
}
