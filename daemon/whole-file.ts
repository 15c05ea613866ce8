import { rmSync, type Stats, statSync } from 'node:fs';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AgrinetError, systemCode } from '../protocols/errors.ts';
import { syncFolder } from '../storage/folder.ts';
import { storageError } from '../storage/storage-error.ts';

/** Throws `usage` when the file is there and may not be replaced: a folder or a device never. */
export async function refuseExisting(file: string, force: boolean): Promise<void> {
  const there = await stat(file).catch(() => undefined);
  if (there === undefined) return;
  if (!there.isFile())
    throw new AgrinetError('usage', `${file} is a folder or a device. Name a regular file.`);
  if (!force)
    throw new AgrinetError(
      'usage',
      `${file} already exists. Choose another file, or overwrite it with --force.`,
    );
}

/**
 * Writes a file that only its owner may read: as `FILE.partial`, fsynced and checked, and only then under its name. Whatever fails
 * leaves nothing behind, nor does Ctrl-C. Throws `disk-full`, `folder-unwritable`, `usage`, and what source and check throw.
 */
export async function writeWhole<T>(
  file: string,
  source: AsyncIterable<Uint8Array>,
  check: (partial: string) => Promise<T>,
): Promise<T> {
  const partial = `${file}.partial`;
  let out: FileHandle | undefined;
  let mine: Stats | undefined;
  // A signal that comes while the file is being made waits until it is known which one that is.
  let isMaking = false;
  let waiting: NodeJS.Signals | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    waiting = signal;
    if (isMaking) return;
    if (isSame(mine, statSync(partial, { throwIfNoEntry: false }))) rmSync(partial, { force: true });
    process.kill(process.pid, signal); // the handler is gone: now it ends the process
  };
  for (const signal of SIGNALS) process.once(signal, onSignal);
  try {
    await rm(partial, { force: true }); // one that was cut off, or a link that leads elsewhere
    isMaking = true;
    try {
      out = await open(partial, 'wx', 0o600); // open to the end: nobody else's file can have its number
      mine = await out.stat();
    } finally {
      isMaking = false;
      if (waiting !== undefined) onSignal(waiting);
    }
    for await (const bytes of source) await out.writeFile(bytes);
    await out.sync();
    const result = await check(partial);
    if (!isSame(mine, await stat(partial)))
      throw new AgrinetError('usage', `another process is writing ${file}. Run one command at a time.`);
    await rename(partial, file);
    await syncFolder(dirname(file));
    return result;
  } catch (error) {
    // A file that another run has put there since belongs to that run.
    if (isSame(mine, await stat(partial).catch(() => undefined))) await rm(partial, { force: true });
    throw error instanceof AgrinetError ? error : fileError(file, error);
  } finally {
    await out?.close();
    for (const signal of SIGNALS) process.off(signal, onSignal);
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

function isSame(a: Stats | undefined, b: Stats | undefined): boolean {
  return a !== undefined && a.ino === b?.ino && a.dev === b.dev;
}

function fileError(file: string, cause: unknown): AgrinetError {
  const { code } = storageError(cause);
  const reason = systemCode(cause) || 'see its cause';
  const known = code === 'disk-full' || code === 'folder-unwritable';
  return new AgrinetError(known ? code : 'usage', `cannot write ${file} (${reason})`, { cause });
}
