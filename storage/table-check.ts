import { createReadStream } from 'node:fs';
import { readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

/**
 * LevelDB reads a damaged table without looking at its checksums, and on some damage ends the whole process. Its tables never
 * change once written: their checksums are noted beside them, and a table that no longer matches is taken out before
 * LevelDB opens it. A table younger than the last note is not covered; the values in it have checksums of their own.
 */
const NOTES = 'tables.json';

type Notes = Record<string, { readonly size: number; readonly crc: number }>;

async function tablesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => name.endsWith('.ldb') || name.endsWith('.sst'));
}

async function readNotes(folder: string): Promise<Notes> {
  try {
    const value: unknown = JSON.parse(await readFile(join(folder, NOTES), 'utf8'));
    return typeof value === 'object' && value !== null ? (value as Notes) : {};
  } catch {
    return {}; // none yet, or damaged themselves: they are made anew
  }
}

async function checksum(file: string): Promise<number> {
  let crc = 0;
  for await (const chunk of createReadStream(file, { highWaterMark: 1024 * 1024 }))
    crc = crc32(chunk as Buffer, crc);
  return crc;
}

/** The tables that are not what they were when they were noted. */
export async function damagedTables(folder: string): Promise<string[]> {
  const notes = await readNotes(folder);
  const broken: string[] = [];
  for (const name of await tablesIn(folder)) {
    const noted = notes[name];
    if (noted === undefined) continue;
    const file = join(folder, name);
    if ((await stat(file)).size !== noted.size || (await checksum(file)) !== noted.crc) broken.push(name);
  }
  return broken;
}

/** Notes the tables that are new and forgets those that are gone. */
export async function noteTables(folder: string): Promise<void> {
  const known = await readNotes(folder);
  const notes: Notes = {};
  for (const name of await tablesIn(folder)) {
    const file = join(folder, name);
    // LevelDB may drop a table meanwhile, when this runs beside it.
    const found =
      known[name] ??
      (await Promise.all([stat(file), checksum(file)]).then(
        ([{ size }, crc]) => ({ size, crc }),
        () => undefined,
      ));
    if (found !== undefined) notes[name] = found;
  }
  await writeFile(join(folder, `${NOTES}.new`), JSON.stringify(notes));
  await rename(join(folder, `${NOTES}.new`), join(folder, NOTES));
}
