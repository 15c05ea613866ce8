import { createReadStream } from 'node:fs';
import { readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { syncFolder } from './folder.ts';
import { systemCode } from '../protocols/errors.ts';

/**
 * LevelDB reads a damaged table without looking at its checksums, and on some damage ends the whole process. Its tables never
 * change once they are part of the database: the checksums of those are noted beside them, and a table that no longer matches is
 * taken out before LevelDB opens it. Which tables are part of it LevelDB alone knows (`liveTables`): a file that merely lies in the
 * folder may be one that LevelDB is writing at this moment, under the number of one that a stop cut short. The number of a table that
 * was part of the database is never used again. A table that was written since tables were last noted is not covered; the values in it
 * have checksums of their own.
 *
 * A start after a clean stop reads only what somebody else has touched: inode, size and times of a table are noted too, and the rest is
 * read while the node runs (`checkLive`). After any other end everything is read before LevelDB opens.
 */
const NOTES = 'tables.json';
/** Of the file's layout; one of another version is not believed. */
const VERSION = 2;

/** There after a clean stop, until the next opening. */
const CLEAN_MARK = 'clean';

interface Noted {
  readonly size: number;
  readonly crc: number;
  /** Inode and times of the file when its checksum was last right; without it the next start reads it. */
  readonly stamp?: string;
}

type Tables = Readonly<Record<string, Noted | undefined>>;

/** LevelDB's tables in a folder: number of each, and its file's name. */
async function tablesIn(folder: string): Promise<Map<number, string>> {
  const names = await readdir(folder).catch(() => []);
  const tables = names.filter((name) => name.endsWith('.ldb') || name.endsWith('.sst'));
  return new Map(tables.map((name) => [Number.parseInt(name, 10), name]));
}

/**
 * There are tables but no file that says which of them make up the database: LevelDB would begin an empty one, and then delete them.
 */
export async function isMissingRoot(folder: string): Promise<boolean> {
  const isRooted = await stat(join(folder, 'CURRENT')).then(
    () => true,
    () => false,
  );
  return !isRooted && (await tablesIn(folder)).size > 0;
}

/** The numbers of the tables of an open LevelDB, as it reports them (property `leveldb.sstables`). */
export function liveTables(property: string): number[] {
  // One line per table: ` 17:123['a' .. 'd']`, number and bytes; unprintable bytes in keys are escaped.
  return [...property.matchAll(/^ (\d+):\d+\[/gm)].map(([, number]) => Number(number));
}

async function readNotes(folder: string): Promise<Tables> {
  try {
    const value: unknown = JSON.parse(await readFile(join(folder, NOTES), 'utf8'));
    if (typeof value !== 'object' || value === null || !('v' in value) || !('tables' in value)) return {};
    return value.v === VERSION && typeof value.tables === 'object' ? ((value.tables ?? {}) as Tables) : {};
  } catch {
    return {}; // none yet, or damaged themselves: they are made anew
  }
}

/** Changes with whatever writes to the file or puts another in its place. */
async function stampOf(file: string): Promise<string> {
  const { ino, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
  return `${ino} ${mtimeNs} ${ctimeNs}`;
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
    if (systemCode(error) === 'ENOENT') return true;
    // What the disk does not return is damaged.
    if (systemCode(error) === 'EIO') return false;
    throw error;
  }
}

/** The tables that are not what they were when they were noted; `touched` looks only at those whose file somebody else has touched since. */
export async function damagedTables(folder: string, which: 'all' | 'touched' = 'all'): Promise<string[]> {
  const notes = await readNotes(folder);
  const broken: string[] = [];
  for (const name of (await tablesIn(folder)).values()) {
    const noted = notes[name];
    if (noted === undefined) continue;
    const file = join(folder, name);
    if (which === 'touched' && noted.stamp === (await stampOf(file).catch(() => ''))) continue;
    if (!(await matches(file, noted))) broken.push(name);
  }
  return broken;
}

/** Leaves the mark of a clean stop, once LevelDB is closed. */
export async function writeCleanMark(folder: string): Promise<void> {
  await writeFile(join(folder, CLEAN_MARK), '');
  await syncFolder(folder);
}

/** Takes the mark of a clean stop away, on the disk too, before LevelDB is opened; whether it was there. */
export async function takeCleanMark(folder: string): Promise<boolean> {
  const mark = join(folder, CLEAN_MARK);
  const wasClean = await stat(mark).then(
    (found) => found.isFile(),
    () => false,
  );
  await rm(mark, { recursive: true, force: true });
  if (wasClean) await syncFolder(folder);
  return wasClean;
}

/** Notes the tables of these numbers, and forgets all others. */
export async function noteTables(folder: string, live: readonly number[]): Promise<void> {
  const known = await readNotes(folder);
  const notes: Record<string, Noted | undefined> = {};
  const files = await tablesIn(folder);
  for (const number of live) {
    const name = files.get(number);
    if (name === undefined) continue;
    const file = join(folder, name);
    const noted = known[name];
    if (noted === undefined) notes[name] = await noteOf(file);
    else {
      // It was read at this opening.
      const stamp = await stampOf(file).catch(() => undefined);
      notes[name] = stamp === undefined ? noted : { ...noted, stamp };
    }
  }
  await writeNotes(folder, notes);
}

/** Undefined when LevelDB drops the table meanwhile. */
async function noteOf(file: string): Promise<Noted | undefined> {
  try {
    // Taken first, so that writes to the file while it is read show.
    const stamp = await stampOf(file);
    const [{ size }, crc] = await Promise.all([stat(file), checksum(file)]);
    return { size, crc, stamp };
  } catch {
    return undefined;
  }
}

/**
 * Reads the tables of these numbers, while LevelDB is open: records new ones, compares the others with their records, and returns
 * the names of those that differ. `mayGoOn` waits after each table; false ends it.
 */
export async function checkLive(
  folder: string,
  live: readonly number[],
  mayGoOn: () => Promise<boolean>,
): Promise<string[]> {
  const known = await readNotes(folder);
  const files = await tablesIn(folder);
  const names = live.map((number) => files.get(number)).filter((name) => name !== undefined);
  const notes: Record<string, Noted | undefined> = {};
  for (const name of names) notes[name] = known[name];
  const broken: string[] = [];
  for (const name of names) {
    const file = join(folder, name);
    const noted = known[name];
    if (noted === undefined) notes[name] = await noteOf(file);
    else {
      const stamp = await stampOf(file).catch(() => undefined);
      if (!(await matches(file, noted))) broken.push(name);
      else if (stamp !== undefined) notes[name] = { ...noted, stamp };
    }
    if (!(await mayGoOn())) break;
  }
  await writeNotes(folder, notes);
  return broken;
}

async function writeNotes(folder: string, notes: Tables): Promise<void> {
  await writeFile(join(folder, `${NOTES}.new`), JSON.stringify({ v: VERSION, tables: notes }));
  await rename(join(folder, `${NOTES}.new`), join(folder, NOTES));
}

/** Before a repair, which writes new tables under old names. */
export async function forgetTables(folder: string): Promise<void> {
  await rm(join(folder, NOTES), { recursive: true, force: true });
  await syncFolder(folder);
}
