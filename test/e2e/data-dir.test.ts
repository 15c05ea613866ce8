import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { exitCodeFor } from '../../daemon/exit-codes.ts';
import { compileCache } from '../support/compile-cache.ts';
import { type DaemonProcess, startDaemon } from '../support/daemon.ts';
import { smallDisk, smallDiskLacking } from '../support/small-disk.ts';
import { tempDir } from '../support/temp-dir.ts';

/** Every kind of path that DATA_DIR may be, on a real daemon: one clear line, the right exit code, and a start once the cause is gone. */
const agrinet = fileURLToPath(new URL('../../daemon/agrinet.mjs', import.meta.url));
const lacking = smallDiskLacking();
const NOBODY = 65_534;

let dir: ReturnType<typeof tempDir>;
let daemons: DaemonProcess[] = [];
beforeEach(() => {
  dir = tempDir('data-dir');
});
afterEach(async () => {
  for (const daemon of daemons.splice(0)) await daemon.stop();
  dir.remove();
});

/** One line of an error, and the exit code. */
function run(command: string, dataDir: string, uid?: number): { code: number | null; error: string } {
  const { status, stderr, signal } = spawnSync(process.execPath, [agrinet, ...command.split(' ')], {
    env: {
      PATH: process.env['PATH'] ?? '',
      ...compileCache(),
      PORT: '0',
      MYCELIUM_PORT: '0',
      LOG_LEVEL: 'silent',
      BACKEND_URL: 'http://127.0.0.1:1',
      DATA_DIR: dataDir,
    },
    cwd: '/',
    encoding: 'utf8',
    timeout: 30_000,
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  expect(signal, stderr).toBe(null);
  expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  return { code: status, error: stderr.trimEnd() };
}
async function starts(dataDir: string): Promise<DaemonProcess> {
  const daemon = await startDaemon(dataDir);
  daemons.push(daemon);
  return daemon;
}
const UNWRITABLE = exitCodeFor('folder-unwritable');

it('a file is refused, and left as it is', () => {
  const file = join(dir.path, 'file');
  writeFileSync(file, 'x');
  chmodSync(file, 0o644); // whatever this process's umask is
  for (const command of ['start', 'fsck', 'rebuild']) {
    const { code, error } = run(command, file);
    expect([code, error]).toEqual([
      UNWRITABLE,
      `agrinet: DATA_DIR: ${file} is not a folder. Set another DATA_DIR.`,
    ]);
  }
  expect(run('start', join(file, 'below'))).toMatchObject({ code: UNWRITABLE });
  expect([statSync(file).mode & 0o777, readFileSync(file, 'utf8')]).toEqual([0o644, 'x']);
});

it('a link that leads nowhere is named, and followed once there is something', async () => {
  const [link, target] = [join(dir.path, 'link'), join(dir.path, 'disk')];
  symlinkSync('disk', link);
  for (const command of ['start', 'fsck', 'rebuild']) {
    const { code, error } = run(command, link);
    expect([code, error]).toEqual([
      UNWRITABLE,
      expect.stringContaining(`${link} is a link to ${target}, which does not exist`),
    ]);
  }
  expect(existsSync(target)).toBe(false);
  // As somebody else's tool has made it.
  mkdirSync(target);
  chmodSync(target, 0o755);
  const daemon = await starts(link);
  expect(existsSync(join(target, 'identity.json'))).toBe(true);
  expect([statSync(target).mode & 0o777, lstatSync(link).isSymbolicLink()]).toEqual([0o700, true]);

  // The same node by its other name, from outside and for maintenance.
  for (const path of [link, target]) {
    expect(run('start', path)).toEqual({
      code: exitCodeFor('database-locked'),
      error: expect.stringMatching(/^agrinet: Process \d+ already runs/) as string,
    });
    for (const command of ['fsck', 'rebuild', `backup ${join(dir.path, 'backup')}`])
      expect(run(command, path), command).toEqual({
        code: exitCodeFor('database-locked'),
        error: expect.stringContaining('another process has') as string,
      });
    expect(run('restore /dev/null', path)).toMatchObject({ code: exitCodeFor('folder-not-empty') });
  }
  expect((await daemon.request('GET', '/ready')).status).toBe(200);
}, 120_000);

it('a path with spaces and letters beyond ASCII is one like any other', async () => {
  const path = join(dir.path, 'the data of Mūrang’a', 'node 1');
  const daemon = await starts(path);
  await daemon.stop();
  daemons = [];
  expect(run('fsck', path)).toEqual({ code: 0, error: '' });
}, 60_000);

it('maintenance of a folder that is not there makes none', () => {
  const path = join(dir.path, 'of', 'the', 'node');
  for (const command of ['fsck', 'rebuild'])
    expect(run(command, path)).toMatchObject({ code: exitCodeFor('database-missing') });
  expect(existsSync(join(dir.path, 'of'))).toBe(false);
});

describe.skipIf(lacking !== undefined)(
  `as another user, and on disks of its own${lacking === undefined ? '' : ` (${lacking})`}`,
  () => {
    it('a folder that may not be looked into is not taken for an empty one', () => {
      chmodSync(dir.path, 0o755);
      const path = join(dir.path, 'data');
      mkdirSync(path, { mode: 0o700 });
      writeFileSync(join(path, 'initialized'), '');
      for (const command of ['start', 'fsck', 'rebuild'])
        expect(run(command, path, NOBODY), command).toMatchObject({
          code: UNWRITABLE,
          error: expect.stringContaining('EACCES'),
        });
    });

    it('a disk that is read-only is called so, also where nothing has been made on it yet', async () => {
      const disk = smallDisk(64);
      try {
        const daemon = await starts(join(disk.path, 'data'));
        await daemon.stop();
        daemons = [];
        disk.readOnly();
        for (const path of ['data', 'new/data'])
          expect(run('start', join(disk.path, path)), path).toMatchObject({
            code: UNWRITABLE,
            error: expect.stringContaining('EROFS'),
          });
        expect(run('fsck', join(disk.path, 'data'))).toMatchObject({ code: UNWRITABLE });
      } finally {
        disk.remove();
      }
    }, 60_000);

    it('a first start on a full disk makes what it can, and the next one, with room, is the same node', async () => {
      for (const kib of [0, 4, 16, 28]) {
        const disk = smallDisk(8);
        try {
          disk.fill(kib * 1024);
          const path = join(disk.path, 'data');
          expect(run('start', path), `${kib} KiB`).toMatchObject({
            code: exitCodeFor('disk-full'),
            error: expect.stringContaining('df -i'),
          });
          const identity = (): string => readFileSync(join(path, 'identity.json'), 'utf8');
          const before = existsSync(join(path, 'identity.json')) ? identity() : undefined;
          disk.free();
          const daemon = await starts(path);
          expect(identity()).toBe(before ?? identity());
          await daemon.stop();
          daemons = [];
        } finally {
          disk.remove();
        }
      }
    }, 120_000);
  },
);
