import { lstat, mkdir, open, readlink, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { AgrinetError, systemCode } from '../protocols/errors.ts';
import { storageError } from './storage-error.ts';

/** Has the disk keep what was made, renamed or removed in a folder. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Whether something is there; where that cannot be told, it is not guessed. Throws what `storageError` makes of the reason. */
export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isAbsence(error)) return false;
    throw storageError(error);
  }
}

const isAbsence = (error: unknown): boolean => ['ENOENT', 'ENOTDIR'].includes(systemCode(error));

/**
 * Makes a folder that is not there, and those above it, for its owner alone. Node.js says `ENOENT` of a disk that is read-only; here the
 * reason is thrown.
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (error) {
    const above = dirname(path);
    if (systemCode(error) === 'ENOENT' && above !== path) {
      await makeFolder(above);
      await mkdir(path, { mode: 0o700 }).catch(ignoreFolder(path));
    } else await ignoreFolder(path)(error);
  }
}

const ignoreFolder =
  (path: string) =>
  async (error: unknown): Promise<void> => {
    const found = systemCode(error) === 'EEXIST' ? await stat(path).catch(() => undefined) : undefined;
    if (found?.isDirectory() !== true) throw error;
  };

/** Where a link leads that leads nowhere. */
export async function danglingTarget(path: string): Promise<string | undefined> {
  if (!(await lstat(path).catch(() => undefined))?.isSymbolicLink()) return undefined;
  const found = await stat(path).catch((error: unknown) => error);
  return isAbsence(found) ? resolve(dirname(path), await readlink(path)) : undefined;
}

/** Refuses a DATA_DIR that cannot be one, before anything in it is looked at. One that is missing can. Throws `folder-unwritable`. */
export async function refuseNoFolder(dataDir: string): Promise<void> {
  const target = await danglingTarget(dataDir);
  if (target !== undefined)
    throw new AgrinetError(
      'folder-unwritable',
      `DATA_DIR: ${dataDir} is a link to ${target}, which does not exist. Mount or make that folder, or set another DATA_DIR.`,
    );
  const found = await stat(dataDir).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw storageError(error);
  });
  if (found !== undefined && !found.isDirectory())
    throw new AgrinetError(
      'folder-unwritable',
      `DATA_DIR: ${dataDir} is not a folder. Set another DATA_DIR.`,
    );
}
