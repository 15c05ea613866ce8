import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from './temp-dir.ts';

/** A file system of its own in memory: it can be full or read-only without hurting anybody. */
export interface SmallDisk {
  readonly path: string;
  /** Takes all but so many bytes away. */
  fill(leave: number): void;
  /** Gives it back. */
  free(): void;
  readOnly(): void;
  remove(): void;
}

/** Why small file systems cannot be mounted here, with the cure, or undefined when they can. */
export function smallDiskLacking(): string | undefined {
  if (process.platform !== 'linux') return 'tmpfs is of Linux';
  if (process.getuid?.() !== 0) return 'mounting a tmpfs needs root';
  try {
    smallDisk(1).remove();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : 'mount fails';
  }
}

/** Mounts one of so many MiB. `remove` unmounts it, after the processes that use it have ended. */
export function smallDisk(mebibytes: number): SmallDisk {
  const dir = tempDir('disk');
  const { path } = dir;
  const filler = join(path, 'filler');
  mount('-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'tmpfs', path);
  return {
    path,
    fill(leave) {
      const { bavail, bsize } = statfsSync(path);
      const block = Buffer.alloc(bsize, 1);
      const file = openSync(filler, 'a');
      try {
        for (let left = bavail * bsize - leave; left >= bsize; left -= bsize) writeSync(file, block);
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
      } finally {
        closeSync(file);
      }
    },
    free: () => rmSync(filler, { force: true }),
    readOnly: () => mount('-o', 'remount,ro', path),
    remove() {
      spawnSync('umount', ['-l', path]);
      dir.remove();
    },
  };
}

/** A file system on a file of its own, whose writes can be made to hang: what a dying disk or a lost network drive does. */
export interface FreezableDisk {
  readonly path: string;
  /** Every write waits from now on; reads go on. */
  freeze(): void;
  thaw(): void;
  remove(): void;
}

/** Why none can be made here, with the cure, or undefined when one can. */
export function freezableDiskLacking(): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return 'mounting a file system needs root, on Linux';
  try {
    freezableDisk(16).remove();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : 'mount fails';
  }
}

/** Mounts one of so many MiB. `remove` unmounts it, after it was thawed and the processes that use it have ended. */
export function freezableDisk(mebibytes: number): FreezableDisk {
  const dir = tempDir('freezable');
  const image = join(dir.path, 'image');
  const path = join(dir.path, 'mounted');
  mkdirSync(path);
  try {
    command('truncate', '-s', `${mebibytes}M`, image);
    command('mkfs.ext4', '-q', '-F', image);
    command('mount', '-o', 'loop', image, path);
  } catch (error) {
    dir.remove();
    throw error;
  }
  return {
    path,
    freeze: () => command('fsfreeze', '--freeze', path),
    thaw: () => command('fsfreeze', '--unfreeze', path),
    remove() {
      command('umount', path);
      dir.remove();
    },
  };
}

function command(name: string, ...args: string[]): void {
  const { status, stderr, error } = spawnSync(name, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${name}: ${error?.message ?? stderr.trim()}`);
}

function mount(...args: string[]): void {
  command('mount', ...args);
}
