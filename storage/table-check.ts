import { createReadStream } from 'node:fs';
import { readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

/**
 * LevelDB reads a damaged table without looking at its checksums, and on some damage ends the whole process. Its tables never
 * change once written: their checksums are noted beside them, and a table that no longer matches is taken out before
 * LevelDB opens it. Only tables that were there before an opening and are still there after it are noted: those are whole and their
 * names are never used again, while one that a stop cut short is dropped at the next opening and its name goes to another.
 * A table younger than the last start is not covered; the values in it have checksums of their own.
 */
const NOTES = 'tables.json';

interface Noted {
  readonly size: number;
  readonly crc: number;
}

type Notes = Record<string, Noted | undefined>;

/** The names of LevelDB's tables. */
export async function tablesIn(folder: string): Promise<string[]> {
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

async function matches(file: string, noted: Noted): Promise<boolean> {
  try {
    return (await stat(file)).size === noted.size && (await checksum(file)) === noted.crc;
  } catch (error) {
    // Dropped this moment by a process that has the database open: the opening will say so.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return true;
    throw error;
  }
}

/** The tables that are not what they were when they were noted. */
export async function damagedTables(folder: string): Promise<string[]> {
  const notes = await readNotes(folder);
  const broken: string[] = [];
  for (const name of await tablesIn(folder)) {
    const noted = notes[name];
    if (noted === undefined) continue;
    const file = join(folder, name);
    if (!(await matches(file, noted))) broken.push(name);
  }
  return broken;
}

/** Notes the tables of `before` that an opening has left standing, and forgets all others. */
export async function noteTables(folder: string, before: readonly string[]): Promise<void> {
  const known = await readNotes(folder);
  const notes: Notes = {};
  const after = new Set(await tablesIn(folder));
  for (const name of before) {
    if (!after.has(name)) continue;
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
