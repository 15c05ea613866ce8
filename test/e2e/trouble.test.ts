import { cpSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemEnv } from '../../daemon/system-env.ts';
import { Database } from '../../storage/database.ts';
import { fullKey } from '../../storage/keyspace.ts';
import { jsonWithChecksum } from '../../storage/values.ts';
import { agrinet, type CliResult } from '../support/cli.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { smallDisk, smallDiskLacking } from '../support/small-disk.ts';
import { tempDir } from '../support/temp-dir.ts';

let dir: ReturnType<typeof tempDir>;
let running: Daemon | undefined;

beforeEach(() => {
  dir = tempDir('trouble');
});
afterEach(async () => {
  await running?.stop();
  running = undefined;
  dir.remove();
});

const start = (env: Record<string, string> = {}, command = 'start'): Promise<CliResult> =>
  agrinet(undefined, [command], {
    DISK_RESERVE_MB: '0',
    DATA_DIR: dir.path,
    PORT: '0',
    MYCELIUM_PORT: '0',
    MYCELIUM_NETWORK: 'test',
    ...env,
  });

/** A folder in which a node has lived and stopped. */
async function lived(dataDir = dir.path): Promise<void> {
  running = await startDaemon(dataDir, { DISK_RESERVE_MB: '0' });
  await running.json('POST', '/listings', { type: 'offer', title: 'before' });
  expect(await running.stop()).toBe(0);
}

/** One clear line for the person, nothing of our insides. */
function expectRefusal(result: CliResult, code: number, text: RegExp): void {
  const lines = result.stderr.trim().split('\n');
  expect([result.code, lines.length, result.stderr]).toEqual([code, 1, expect.stringMatching(text)]);
  expect(lines[0]).toMatch(/^agrinet: /);
  expect(result.stderr + result.stdout).not.toMatch(/^\s+at |internal error/m);
}

describe('a node that cannot start says so in one line, with an exit code of its own', () => {
  it('bad settings: 64, all of them at once', async () => {
    const { code, stderr } = await start({ PORT: '99999', LOG_LEVEL: 'loud', PUBLIC_READS: 'perhaps' });
    expect(code).toBe(64);
    for (const name of ['PORT', 'LOG_LEVEL', 'PUBLIC_READS']) expect(stderr).toContain(name);
    expect(stderr.trim().split('\n').length).toBeLessThanOrEqual(4);
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  it('a busy port, of HTTP or of Mycelium: 65', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = String(typeof address === 'object' && address !== null ? address.port : 0);
    try {
      expectRefusal(await start({ PORT: port }), 65, new RegExp(port));
      expectRefusal(await start({ MYCELIUM_PORT: port }), 65, new RegExp(port));
    } finally {
      server.close();
      await once(server, 'close');
    }
  });

  it('a folder or an identity in use: 66, for a second daemon, a copied folder, fsck and rebuild', async () => {
    running = await startDaemon(dir.path);
    await running.json('POST', '/listings', { type: 'offer', title: 'one' });
    expectRefusal(await start(), 66, /already runs|open/);
    const copy = tempDir('copy');
    try {
      cpSync(dir.path, copy.path, { recursive: true });
      expectRefusal(await start({ DATA_DIR: copy.path }), 66, /already runs/);
    } finally {
      copy.remove();
    }
    expectRefusal(await start({}, 'fsck'), 66, /stop it first/);
    expectRefusal(await start({}, 'rebuild'), 66, /stop it first/);
    expect((await running.request('GET', '/ready')).status).toBe(200);
  });

  it('a database of a newer version: 67', async () => {
    await lived();
    const db = await Database.open(dir.path, systemEnv);
    const key = fullKey('meta', 'version');
    await db.batch([{ type: 'put', key, value: jsonWithChecksum(key, 99) }], true);
    await db.close();
    for (const command of ['start', 'fsck', 'rebuild']) expectRefusal(await start({}, command), 67, /99/);
  });

  it('a folder that is a file, or below one: 68', async () => {
    const file = join(dir.path, 'file');
    writeFileSync(file, '');
    expectRefusal(await start({ DATA_DIR: join(file, 'below') }), 68, /below/);
    expectRefusal(await start({ DATA_DIR: file }), 68, /file/);
  });

  const lacking = smallDiskLacking();
  const why = lacking === undefined ? '' : ` [skipped: ${lacking}]`;

  it.skipIf(lacking !== undefined)(`a read-only folder, new or lived in: 68${why}`, async () => {
    const disk = smallDisk(16);
    try {
      const home = join(disk.path, 'home');
      await lived(home);
      disk.readOnly();
      expectRefusal(await start({ DATA_DIR: home }), 68, /home/);
      expectRefusal(await start({ DATA_DIR: join(disk.path, 'new') }), 68, /new/);
      expectRefusal(await start({ DATA_DIR: home }, 'fsck'), 68, /home/);
    } finally {
      disk.remove();
    }
  });

  it.skipIf(lacking !== undefined)(
    `a full disk, at the first start and later: 69${why}`,
    async () => {
      const disk = smallDisk(16);
      try {
        disk.fill(0);
        expectRefusal(await start({ DATA_DIR: join(disk.path, 'new') }), 69, /space|full/);
        disk.free();
        for (const leave of [4096, 8192]) {
          const some = join(disk.path, `some${leave}`);
          disk.fill(leave);
          expectRefusal(await start({ DATA_DIR: some }), 69, /space|full/);
          disk.free();
          await lived(some);
          rmSync(some, { recursive: true });
        }
        const home = join(disk.path, 'home');
        await lived(home);
        disk.fill(0);
        expectRefusal(await start({ DATA_DIR: home }), 69, /space|full/);
        disk.free();
        await lived(home);
      } finally {
        disk.remove();
      }
    },
    120_000,
  );

  it('an identity that is gone: 70; a database that is gone or has lost its CURRENT: 71', async () => {
    await lived();
    const identity = join(dir.path, 'identity.json');
    renameSync(identity, `${identity}.away`);
    expectRefusal(await start(), 70, /identity\.json/);
    renameSync(`${identity}.away`, identity);
    const current = join(dir.path, 'db', 'CURRENT');
    renameSync(current, `${current}.away`);
    for (const command of ['start', 'fsck', 'rebuild'])
      expectRefusal(await start({}, command), 71, /is missing/);
    renameSync(join(dir.path, 'db'), join(dir.path, 'db.away'));
    for (const command of ['start', 'fsck', 'rebuild'])
      expectRefusal(await start({}, command), 71, /is missing/);
    mkdirSync(join(dir.path, 'db'));
    expectRefusal(await start(), 71, /is missing/);
  });
});
