import { spawnSync } from 'node:child_process';
import { closeSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
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

function mount(...args: string[]): void {
  const { status, stderr, error } = spawnSync('mount', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`mount: ${error?.message ?? stderr.trim()}`);
}
