import { statfs } from 'node:fs/promises';

/** Free bytes on the disk of a folder; undefined when that cannot be asked. */
export async function freeBytes(folder: string): Promise<number | undefined> {
  return statfs(folder).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => undefined,
  );
}
