import { chmod, lstat, opendir, stat as followed } from 'node:fs/promises';
import { join } from 'node:path';

/** Everything in DATA_DIR that is the node's; what else lies there is somebody else's matter. */
const OURS = /^(db(\..*)?|head|initialized|\.restoring)$/;
/**
 * What only the owner may do. Keys are not among `OURS`: their readers refuse an open mode, because who may have read them needs
 * thought.
 */
const OTHERS = 0o077;
/** Of /tmp and its like: a folder of everybody's is not shut. */
const STICKY = 0o1000;
/** Paths named of those that stay open. */
const NAMED = 5;

/** What others can read or change in a folder. */
export interface OpenModes {
  /** How many were shut; with `fix` false, how many are open. */
  readonly open: number;
  /** The first of those that could not be shut, or were not to be. */
  readonly left: readonly string[];
}

/**
 * Looks at the modes of DATA_DIR, the database and what belongs to it; with `fix` takes from them whatever group and others may do. Links
 * are not followed, but for DATA_DIR itself. A process umask of 077 keeps new files shut; this is for what an older release, a copy or an operator has made.
 */
export async function shutFolder(dataDir: string, fix: boolean): Promise<OpenModes> {
  if (process.platform === 'win32') return { open: 0, left: [] };
  let open = 0;
  const left: string[] = [];

  async function look(path: string, deep: boolean): Promise<void> {
    const isRoot = path === dataDir;
    const stat = await (isRoot ? followed(path) : lstat(path)).catch(() => undefined); // removed meanwhile
    if (stat === undefined || stat.isSymbolicLink()) return;
    if ((stat.mode & OTHERS) !== 0) {
      open += 1;
      const shut = fix && (stat.mode & STICKY) === 0 && (await shutMode(path, stat.mode));
      if (!shut && left.length < NAMED) left.push(path);
    }
    if (deep && stat.isDirectory())
      for (const name of await namesIn(path)) await look(join(path, name), true);
  }
  await look(dataDir, false);
  for (const name of await namesIn(dataDir)) if (OURS.test(name)) await look(join(dataDir, name), true);
  return { open, left };
}

async function shutMode(path: string, mode: number): Promise<boolean> {
  return chmod(path, mode & 0o700).then(
    () => true,
    () => false, // of another user, or a read-only disk: the finding names it
  );
}

async function namesIn(path: string): Promise<string[]> {
  const names: string[] = [];
  const folder = await opendir(path).catch(() => undefined);
  if (folder === undefined) return names;
  for await (const { name } of folder) names.push(name);
  return names;
}
