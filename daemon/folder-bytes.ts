import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Size of the files in a folder; NaN when it cannot be read. Files come and go while LevelDB compacts: one that is gone counts nothing. */
export async function folderBytes(folder: string): Promise<number> {
  const names = await readdir(folder).catch(() => undefined);
  if (names === undefined) return Number.NaN;
  const sizes = await Promise.all(
    names.map((name) =>
      stat(join(folder, name)).then(
        (file) => file.size,
        () => 0,
      ),
    ),
  );
  return sizes.reduce((sum, each) => sum + each, 0);
}
