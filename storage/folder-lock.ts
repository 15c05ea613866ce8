import { link, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { AgrinetError } from '../protocols/errors.ts';
import { causes } from './storage-error.ts';

const isLocked = (error: unknown): boolean => /LEVEL_LOCKED|lock /i.test(causes(error));

/** `database-locked`, when that is what LevelDB's error means. */
export function lockError(folder: string, error: unknown): AgrinetError | undefined {
  if (!isLocked(error)) return undefined;
  return new AgrinetError('database-locked', `another process has ${folder} open; stop it first`, {
    cause: error,
  });
}

/**
 * Throws `database-locked` while another process has the database open, without opening it: that would let LevelDB compact what is
 * to be repaired. An empty database in another folder shares its lock file; a lock belongs to the file, whatever its names.
 */
export async function refuseLocked(folder: string): Promise<void> {
  const beside = `${folder}.lock-check`;
  await rm(beside, { recursive: true, force: true });
  await mkdir(beside, { recursive: true, mode: 0o700 });
  try {
    const shared = await link(join(folder, 'LOCK'), join(beside, 'LOCK')).then(
      () => true,
      () => false, // never opened, or a file system without links: then nothing can be said
    );
    if (!shared) return;
    const level = new ClassicLevel(beside, { createIfMissing: true });
    await level.open();
    await level.close();
  } catch (error) {
    const locked = lockError(folder, error);
    if (locked !== undefined) throw locked;
    // Of no consequence for the database itself.
  } finally {
    await rm(beside, { recursive: true, force: true });
  }
}
