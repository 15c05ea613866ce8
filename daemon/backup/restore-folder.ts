import { link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AgrinetError, systemCode } from '../../protocols/errors.ts';
import type { KeyFiles } from '../../storage/backup/encrypted-keys.ts';
import { syncFolder } from '../../storage/folder.ts';
import { RESTORING } from '../../storage/restored.ts';
import { createSecretFile } from '../secret-file.ts';
import { keyNames } from './key-files.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';

/** What a restore puts next to the keys; after an interruption, these are its leftovers. */
const PLACED = ['db', 'initialized', 'head'] as const;
/** The root of a disk of its own may have it. */
const HARMLESS = ['lost+found'];

/**
 * Refuses a folder that contains anything but keys and the remains of an interrupted restore. A missing folder is fine. Throws
 * `folder-not-empty`.
 */
export async function refuseOccupied(dataDir: string): Promise<void> {
  const names = await namesIn(dataDir);
  const allowed = new Set<string>([...keyNames(), ...HARMLESS, RESTORING]);
  if (names.includes(RESTORING)) for (const name of PLACED) allowed.add(name);
  const [other] = names.filter((name) => !allowed.has(name));
  if (other === undefined) return;
  throw new AgrinetError(
    'folder-not-empty',
    `${dataDir} holds ${JSON.stringify(other)}. A backup can only be restored into a folder that is empty except for key files. Move the data away, or set DATA_DIR.`,
  );
}

/** The key files in the folder that no cut-off restore has put there. */
export async function ownKeyNames(dataDir: string): Promise<string[]> {
  const names = await namesIn(dataDir);
  const own: string[] = [];
  for (const name of keyNames()) if (names.includes(name) && !(await isPlaced(dataDir, name))) own.push(name);
  return own;
}

/** Builds in `DATA_DIR/.restoring` and moves the result up when it is complete; while that folder exists, no daemon starts. */
export interface Building {
  /** Where the database is to be made. */
  readonly folder: string;
  /** Moves everything up: keys, database, marker, and at last the sign that a restore is under way. All of it is on disk then. */
  finish(keys: KeyFiles): Promise<void>;
  /** Takes back everything. */
  undo(): Promise<void>;
}

/** Removes what an interrupted restore left and begins again. */
export async function beginBuilding(dataDir: string, now: () => number): Promise<Building> {
  const made = await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const building = join(dataDir, RESTORING);
  const keysFolder = join(building, 'keys');
  if ((await namesIn(dataDir)).includes(RESTORING)) await removePlaced(dataDir);
  await mkdir(building, { mode: 0o700 });
  return {
    folder: join(building, 'db'),
    async finish(keys) {
      for (const [name, text] of Object.entries(keys)) {
        await createSecretFile(join(keysFolder, name), text);
        await link(join(keysFolder, name), join(dataDir, name)); // never in the place of one that is there
      }
      await syncFolder(building);
      await rename(join(building, 'db'), join(dataDir, 'db'));
      await writeMarker(join(dataDir, 'initialized'), now());
      await syncFolder(dataDir);
      await rm(building, { recursive: true });
      await syncFolder(dataDir);
    },
    async undo() {
      await removePlaced(dataDir);
      if (made !== undefined) await rm(made, { recursive: true, force: true });
    },
  };
}

/** The marker is removed last, so that this can be interrupted, too. */
async function removePlaced(dataDir: string): Promise<void> {
  for (const name of PLACED) await rm(join(dataDir, name), { recursive: true, force: true });
  for (const name of keyNames())
    if (await isPlaced(dataDir, name)) await rm(join(dataDir, name), { force: true });
  await rm(join(dataDir, RESTORING), { recursive: true, force: true });
}

/** A restore links keys up from its own folder: the same file under two names is its own. */
async function isPlaced(dataDir: string, name: string): Promise<boolean> {
  const [there, mine] = await Promise.all(
    [join(dataDir, name), join(dataDir, RESTORING, 'keys', name)].map((path) =>
      stat(path).catch(() => undefined),
    ),
  );
  return there !== undefined && there.ino === mine?.ino && there.dev === mine.dev;
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
}

async function writeMarker(path: string, now: number): Promise<void> {
  const file = await open(path, 'wx', 0o644);
  try {
    await file.writeFile(`${isoTime(now)}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
}
