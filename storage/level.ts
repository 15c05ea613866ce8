import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { AgrinetError } from '../protocols/errors.ts';
import { fullKey } from './keyspace.ts';
import { rejoinRow } from './rejoin-row.ts';
import { causes, damaged, isCorruption, storageError } from './storage-error.ts';
import { damagedTables, noteTables, tablesIn } from './table-check.ts';
import { sealJson } from './values.ts';

export type Level = ClassicLevel<string, Uint8Array>;

/** Stands in the database while what is derived is not whole: from a repair or the begin of a rebuild to its end. */
export const REBUILDING = fullKey('meta', 'rebuilding');

/** Opens LevelDB; damage is repaired, on the original only after a copy of it stands beside. Throws `database-locked`, `database-damaged`. */
export async function openLevel(
  folder: string,
  createIfMissing: boolean,
  mayRepair: boolean,
): Promise<{ level: Level; repaired: boolean }> {
  const before = await tablesIn(folder);
  const broken = await damagedTables(folder);
  if (broken.length > 0) {
    if (!mayRepair) throw damaged(folder, new Error(`damaged: ${broken.join(', ')}`));
    await refuseLocked(folder);
    return { level: await repairLevel(folder, broken), repaired: true };
  }
  try {
    const level = await tryOpen(folder, createIfMissing);
    // What fails here costs a check, nothing else.
    if (mayRepair) await noteTables(folder, before).catch(() => undefined);
    return { level, repaired: false };
  } catch (error) {
    if (isLocked(error)) throw locked(folder, error);
    if (!isCorruption(error)) throw storageError(error);
    if (!mayRepair) throw damaged(folder, error);
  }
  return { level: await repairLevel(folder), repaired: true };
}

/** Lets LevelDB make what it can of damaged files; leaves the mark that everything must be derived anew. */
export async function repairLevel(folder: string, broken: readonly string[] = []): Promise<Level> {
  const kept = await keepCopy(folder);
  try {
    for (const table of broken) await rm(join(folder, table));
    await ClassicLevel.repair(folder);
    const level = await tryOpen(folder, false);
    const lost = rejoinRow({ cause: 'repaired', since: Date.now(), answered: [] });
    await level.batch([{ type: 'put', key: REBUILDING, value: sealJson(REBUILDING, true) }, lost], {
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

async function tryOpen(folder: string, createIfMissing: boolean): Promise<Level> {
  const level: Level = new ClassicLevel(folder, {
    valueEncoding: 'view',
    createIfMissing,
    writeBufferSize: 8 * 1024 * 1024,
  });
  await level.open();
  return level;
}

/** Repair may throw data away: it runs on the original only after a copy stands beside it. The newest copy is kept. */
async function keepCopy(folder: string): Promise<string> {
  const copy = `${folder}.damaged`;
  await rm(copy, { recursive: true, force: true });
  await cp(folder, copy, { recursive: true }).catch((error: unknown) => {
    throw storageError(error);
  });
  return copy;
}

/** Repair knows no lock: on a folder that another process has open it must not begin. Throws `database-locked`. */
async function refuseLocked(folder: string): Promise<void> {
  try {
    await (await tryOpen(folder, false)).close();
  } catch (error) {
    if (isLocked(error)) throw locked(folder, error);
  }
}

const isLocked = (error: unknown): boolean => /LEVEL_LOCKED|lock /i.test(causes(error));

function locked(folder: string, cause: unknown): AgrinetError {
  return new AgrinetError('database-locked', `another process has ${folder} open; stop it first`, { cause });
}
