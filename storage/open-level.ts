import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { AgrinetError } from '../protocols/errors.ts';
import { lockError, refuseLocked } from './folder-lock.ts';
import { type Level, type LevelOptions, REBUILDING } from './level.ts';
import { rejoinRow } from './rejoin-row.ts';
import { damaged, isCorruption, isIncomplete, storageError } from './storage-error.ts';
import {
  damagedTables,
  forgetTables,
  isMissingRoot,
  liveTables,
  noteTables,
  takeCleanMark,
} from './table-check.ts';
import { putJson } from './values.ts';

/** Fewer tables, and fewer compactions, than with LevelDB's default of 4 MiB. */
const WRITE_BUFFER_BYTES = 8 * 1024 * 1024;

/** Opens LevelDB; damage is repaired, in place, only after a copy was made. Throws `database-locked`, `database-damaged`. */
export async function openLevel(
  folder: string,
  options: LevelOptions,
): Promise<{ level: Level; repaired: boolean }> {
  const wasClean = await takeCleanMark(folder);
  const broken = await damagedTables(folder, wasClean && options.tablesLater === true ? 'touched' : 'all');
  if (broken.length > 0 || (await isMissingRoot(folder))) {
    if (!options.mayRepair)
      throw damaged(folder, new Error(`damaged: ${broken.join(', ') || 'CURRENT is gone'}`));
    await refuseLocked(folder);
    return { level: await repairLevel(folder, options, broken), repaired: true };
  }
  try {
    const level = await tryOpen(folder, options);
    if (options.mayRepair && options.tablesLater !== true) await note(folder, level);
    return { level, repaired: false };
  } catch (error) {
    const locked = lockError(folder, error);
    if (locked !== undefined) throw locked;
    if (!isCorruption(error) && !isIncomplete(error)) throw storageError(error);
    if (!options.mayRepair) throw damaged(folder, error);
  }
  return { level: await repairLevel(folder, options), repaired: true };
}

/** A failure here costs a check at the next start, nothing else. */
async function note(folder: string, level: Level): Promise<void> {
  await noteTables(folder, liveTables(level.getProperty('leveldb.sstables'))).catch(() => undefined);
}

/** Lets LevelDB salvage damaged files; leaves the mark that everything must be derived again. */
export async function repairLevel(
  folder: string,
  options: Pick<LevelOptions, 'writeBufferBytes' | 'now'>,
  broken: readonly string[] = [],
): Promise<Level> {
  const kept = await keepCopy(folder);
  try {
    await forgetTables(folder);
    for (const table of broken) await rm(join(folder, table), { force: true });
    await ClassicLevel.repair(folder);
    const level = await tryOpen(folder, { ...options, createIfMissing: false });
    const lost = rejoinRow({ cause: 'repaired', since: options.now(), answered: [] });
    await level.batch([putJson(REBUILDING, true), lost], {
      sync: true,
    });
    return level;
  } catch (error) {
    throw new AgrinetError(
      'database-damaged',
      `${folder} is damaged and could not be repaired; a copy is in ${kept}`,
      { cause: error },
    );
  }
}

async function tryOpen(
  folder: string,
  {
    createIfMissing,
    writeBufferBytes = WRITE_BUFFER_BYTES,
  }: Pick<LevelOptions, 'createIfMissing' | 'writeBufferBytes'>,
): Promise<Level> {
  const level = new ClassicLevel<string, Uint8Array>(folder, {
    valueEncoding: 'view',
    createIfMissing,
    writeBufferSize: writeBufferBytes,
  });
  await level.open();
  return level;
}

/** Repair may discard data, so it runs in place only after a copy was made. The newest copy is kept. */
async function keepCopy(folder: string): Promise<string> {
  const copy = `${folder}.damaged`;
  await rm(copy, { recursive: true, force: true });
  await cp(folder, copy, { recursive: true }).catch((error: unknown) => {
    throw storageError(error);
  });
  return copy;
}
