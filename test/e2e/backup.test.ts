import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { identityFromSeed } from '../../protocols/wire/identity.ts';
import { writeBackup } from '../../storage/backup/backup-file.ts';
import { MAGIC } from '../../storage/backup/blocks.ts';
import { listing, PASSPHRASE, restore } from '../support/backups.ts';
import { agrinet, agrinetHere, type CliResult } from '../support/cli.ts';
import { compileCache } from '../support/compile-cache.ts';
import { type Daemon, startDaemon, startDaemonHere } from '../support/daemon.ts';
import { seededRandom } from '../support/random.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';
import { backupCampaign } from './backup-campaign.ts';

const BIN = fileURLToPath(new URL('../../daemon/agrinet.mjs', import.meta.url));
const END_AT_STEP = new URL('../support/end-at-step.ts', import.meta.url).href;
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

describe('a node that lost its disk', () => {
  it(`comes back from a backup taken under load, 3 times; nothing forks (seed ${seed})`, async () => {
    expect(await backupCampaign({ count: 3, seed, mode: 'backup' })).toMatchObject({ rounds: 3 });
  }, 180_000);

  it(`comes back from a raw copy of its folder, 3 times; nothing forks (seed ${seed})`, async () => {
    expect(await backupCampaign({ count: 3, seed, mode: 'copy' })).toMatchObject({ rounds: 3 });
  }, 180_000);
});

describe('a backup', () => {
  const work = tempDir('backup');
  const data = join(work.path, 'data');
  const plain = join(work.path, 'plain');
  const keyed = join(work.path, 'keyed');
  const settings = { DATA_DIR: data, MYCELIUM_NETWORK: 'test', BACKUP_PASSPHRASE: PASSPHRASE };
  const secrets: string[] = [];
  let daemon: Daemon;
  let digest = '';
  let peerId = '';
  let issued = '';

  const folder = (name: string): string => {
    const path = join(work.path, name);
    mkdirSync(path);
    return path;
  };
  const restoring = (dir: string, file: string, env: Record<string, string> = {}): Promise<CliResult> =>
    agrinetHere(undefined, ['restore', file], { ...settings, DATA_DIR: dir, ...env });

  beforeAll(async () => {
    daemon = await startDaemonHere(data, { API_KEY: 'not-in-a-file-but-in-the-environment' });
    for (let i = 0; i < 50; i++)
      await daemon.json('POST', '/listings', { type: 'offer', title: `maize ${i}`, quantity: i });
    const users = { userId: 'amina', scopes: ['read', 'write'] };
    issued = (await daemon.json<{ key: string }>('POST', '/api/keys', users)).key;
    digest = await daemon.digest();
    ({ peerId } = await daemon.json<{ peerId: string }>('GET', '/federation/identity'));
    for (const args of [
      ['backup', plain],
      ['backup', keyed, '--with-keys'],
    ]) {
      const { code, stderr } = await agrinetHere(daemon, args, settings);
      expect([code, stderr]).toEqual([0, '']);
    }
    const seedOf = JSON.parse(readFileSync(join(data, 'identity.json'), 'utf8')) as { seed: string };
    secrets.push(seedOf.seed, readFileSync(join(data, 'key-pepper'), 'utf8').trim(), PASSPHRASE, issued);
  });
  afterAll(async () => {
    await daemon.stop();
    work.remove();
  });

  it('is readable by its owner only, has no secret in it, and neither has the log', () => {
    for (const file of [plain, keyed]) {
      expect(statSync(file).mode & 0o777).toBe(0o600);
      for (const secret of secrets)
        for (const form of [secret, Buffer.from(secret, 'base64')])
          expect(readFileSync(file).includes(form), secret.slice(0, 4)).toBe(false);
      expect(existsSync(`${file}.partial`)).toBe(false);
    }
    for (const secret of secrets) expect(daemon.output()).not.toContain(secret);
  });

  it('brings everything back, the keys too: the same node, the same digest, users’ keys still good', async () => {
    const dir = join(work.path, 'whole');
    const report = await restore(dir, keyed);
    expect(report).toMatchObject({ peerId, digest, pepperMissing: false });
    expect([...report.keyFiles].sort()).toEqual(['identity.json', 'key-pepper']);
    // Nothing in the folder is for others to read.
    expect(listing(dir).filter((line) => !/ (?:100600|40700) /.test(line))).toEqual([]);
    expect((await agrinetHere(undefined, ['fsck'], { DATA_DIR: dir })).code).toBe(0);
    await daemon.stop();
    const again = await startDaemonHere(dir);
    try {
      expect(await again.digest()).toBe(digest);
      const mine = { headers: { 'x-api-key': issued } };
      expect((await fetch(`${again.url}/api/keys/mine`, mine)).status).toBe(200);
      // A cursor of before means another order now, and a number of an event is not given twice.
      const { alarms } = await again.json<{ alarms: unknown[] }>('GET', '/ready');
      expect(alarms).toEqual([]);
      expect(again.output()).not.toMatch(/"level":(40|50)/);
    } finally {
      await again.stop();
      daemon = await startDaemonHere(data, { API_KEY: 'not-in-a-file-but-in-the-environment' });
    }
  });

  it('comes back with keys that already lie in the folder', async () => {
    const dir = folder('own-keys');
    for (const name of ['identity.json', 'key-pepper']) cpSync(join(data, name), join(dir, name));
    expect(await restore(dir, plain)).toMatchObject({ peerId, digest, keyFiles: [], pepperMissing: false });
    expect((await agrinetHere(undefined, ['fsck'], { DATA_DIR: dir })).code).toBe(0);
    const without = folder('without-keys');
    cpSync(join(data, 'identity.json'), join(without, 'identity.json'));
    expect(await restore(without, keyed, '--without-keys')).toMatchObject({
      keyFiles: [],
      pepperMissing: true,
    });
  });

  it('is taken from the folder itself while no daemon runs, and says so', async () => {
    const dir = join(work.path, 'down');
    await restore(dir, keyed);
    const file = join(work.path, 'down.backup');
    const nobody = { ...settings, DATA_DIR: dir, BACKEND_URL: 'http://127.0.0.1:9' };
    const taken = await agrinetHere(undefined, ['backup', file, '--with-keys'], nobody);
    expect(taken).toMatchObject({ code: 0, stderr: '' });
    expect(taken.stdout).toContain('No daemon is running here');
    expect(await restore(join(work.path, 'down-again'), file)).toMatchObject({ peerId, digest });
  });

  it('never replaces a file unasked, and leaves none behind when it fails', async () => {
    const before = readFileSync(plain);
    const refused = await agrinetHere(daemon, ['backup', plain], settings);
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(readFileSync(plain)).toEqual(before);
    const weak = { ...settings, BACKUP_PASSPHRASE: 'agrinet' };
    const other = join(work.path, 'other');
    expect((await agrinetHere(daemon, ['backup', other, '--with-keys'], weak)).code).toBe(2);
    expect((await agrinetHere(daemon, ['backup', other, '--with-keys'], { DATA_DIR: data })).code).toBe(2);
    const elsewhere = { ...settings, DATA_DIR: join(work.path, 'own-keys-of-nobody') };
    // It has begun to read: its end is that of the process.
    expect((await agrinet(daemon, ['backup', other, '--with-keys'], elsewhere)).code).toBe(70);
    expect(existsSync(other)).toBe(false);
    expect(existsSync(`${other}.partial`)).toBe(false);
    const forced = await agrinetHere(daemon, ['backup', plain, '--force'], settings);
    expect(forced.code).toBe(0);
  });

  it('is refused in one line, and nothing changes, when it is damaged, foreign, newer, or has another passphrase', async () => {
    const bytes = readFileSync(keyed);
    const flipped = Buffer.from(bytes);
    flipped[Math.floor(bytes.length / 2)] = (flipped[Math.floor(bytes.length / 2)] ?? 0) ^ 4;
    const stranger = identityFromSeed(new Uint8Array(32).fill(9));
    const about = { format: 1, agrinetd: '9.0.0', network: 'test', createdAt: 0, withKeys: false } as const;
    async function* empty(): AsyncGenerator<never> {}
    const made = async (layout: number, id = stranger): Promise<Buffer> => {
      const parts: Uint8Array[] = [];
      const manifest = { ...about, layout, peerId: id.peerId, digest: '0'.repeat(64) };
      for await (const part of writeBackup(id, manifest, empty())) parts.push(part);
      return Buffer.concat(parts);
    };
    const cases: readonly (readonly [string, Buffer, number, Record<string, string>?])[] = [
      ['flipped', flipped, 82],
      ['cut off', bytes.subarray(0, bytes.length - 7), 82],
      ['appended', Buffer.concat([bytes, bytes]), 82],
      ['empty', Buffer.alloc(0), 82],
      ['something else', readFileSync(BIN), 82],
      ['foreign', await made(1), 83],
      ['wrong passphrase', bytes, 84, { BACKUP_PASSPHRASE: 'another than that' }],
      ['no passphrase', bytes, 2, { BACKUP_PASSPHRASE: '' }],
      ['newer format', Buffer.concat([Buffer.from('agrinet-backup 2\n'), bytes.subarray(MAGIC.length)]), 85],
      ['newer layout', await made(99), 85],
      // Signed and whole, but what it holds is not what it says.
      ['another digest', await made(1, identityFromSeed(readSeed(data))), 82],
    ];
    const withIdentity = folder('untouched');
    cpSync(join(data, 'identity.json'), join(withIdentity, 'identity.json'));
    const absent = join(work.path, 'not-there');
    for (const [name, content, code, env] of cases) {
      const file = join(work.path, 'case');
      writeFileSync(file, content);
      for (const dir of [withIdentity, absent]) {
        const before = listing(dir);
        const result = await restoring(dir, file, env);
        // A whole, empty backup of a node whose key is nowhere is refused for that.
        const expected = dir === absent && ['foreign', 'another digest'].includes(name) ? 70 : code;
        expect([name, result.code, result.stdout], result.stderr).toEqual([name, expected, '']);
        expect(result.stderr.trim().split('\n')).toHaveLength(1);
        expect(result.stderr).toMatch(/^agrinet: /);
        expect(listing(dir), name).toEqual(before);
        expect(existsSync(absent), name).toBe(false);
      }
    }
    expect((await restoring(withIdentity, join(work.path, 'nowhere'))).code).toBe(2);
  });

  it('goes into no folder that holds anything else', async () => {
    const dir = folder('occupied');
    writeFileSync(join(dir, 'notes.txt'), 'mine');
    for (const target of [dir, data]) {
      const before = target === dir ? listing(dir) : [];
      expect(await restoring(target, keyed)).toMatchObject({ code: 86, stdout: '' });
      if (target === dir) expect(listing(dir)).toEqual(before);
    }
    const other = folder('another-pepper');
    writeFileSync(join(other, 'key-pepper'), 'x'.repeat(40), { mode: 0o600 });
    const before = listing(other);
    expect((await restoring(other, keyed)).code).toBe(86);
    expect(listing(other)).toEqual(before);
  });

  it(`survives a kill -9 of the restore at any moment: run again it is whole, and no daemon starts before (seed ${seed})`, async () => {
    const random = seededRandom(seed);
    const dir = join(work.path, 'killed');
    const env = { PATH: process.env['PATH'] ?? '', ...compileCache(), ...settings, DATA_DIR: dir };
    const began = performance.now();
    await restore(join(work.path, 'timed'), keyed);
    const whole = performance.now() - began;
    let cutOff = 0;
    const cut = async (late: Record<string, string>, after?: number): Promise<void> => {
      const child = spawn(process.execPath, [BIN, 'restore', keyed], {
        env: { ...env, ...late },
        stdio: 'ignore',
      });
      const ended = once(child, 'exit');
      if (after !== undefined) setTimeout(() => child.kill('SIGKILL'), after);
      await ended;
      if (existsSync(join(dir, '.restoring'))) {
        cutOff++;
        await expect(startDaemonHere(dir)).rejects.toMatchObject({
          code: 'restore-unfinished',
          message: expect.stringContaining('agrinet restore'),
        });
        if (cutOff > 1) return;
        const started = await agrinet(undefined, ['start'], { ...env, PORT: '0', MYCELIUM_PORT: '0' });
        expect([started.code, started.stderr]).toEqual([87, expect.stringContaining('agrinet restore')]);
      }
    };
    // Before the folder changes, and while the database is written, any moment is as good as another.
    for (let round = 0; round < 3; round++) await cut({}, random() * whole);
    // Then one step follows another; each is a moment of its own.
    const isDone = (): boolean =>
      existsSync(join(dir, 'initialized')) && !existsSync(join(dir, '.restoring'));
    for (let step = 1; !isDone(); step += 1 + Math.floor(random() * 4))
      await cut({ NODE_OPTIONS: `--import=${END_AT_STEP}`, END_IN_FOLDER: dir, END_AT_STEP: String(step) });
    expect((await agrinetHere(undefined, ['fsck'], env)).code).toBe(0);
    rmSync(dir, { recursive: true });
    await cut({ NODE_OPTIONS: `--import=${END_AT_STEP}`, END_IN_FOLDER: dir, END_AT_STEP: '3' });
    expect(cutOff).toBeGreaterThan(3);
    expect(await restore(dir, keyed)).toMatchObject({ peerId, digest });
    expect((await agrinetHere(undefined, ['fsck'], env)).code).toBe(0);
    expect(existsSync(join(dir, '.restoring'))).toBe(false);
  }, 120_000);

  it('of a daemon that is killed meanwhile leaves no file, and the daemon starts as if nothing had been', async () => {
    const dir = join(work.path, 'killed-daemon');
    const mine = await startDaemon(dir);
    // Far more than the sockets between hold, and nothing that compresses: the kill comes in the middle.
    for (let i = 0; i < 16; i++)
      await Promise.all(
        Array.from({ length: 100 }, () =>
          mine.json('POST', '/listings', {
            type: 'offer',
            title: 'large',
            notes: randomBytes(6000).toString('base64'),
          }),
        ),
      );
    const held = await mine.digest();
    const file = join(work.path, 'never');
    const taking = agrinetHere(mine, ['backup', file], settings);
    await waitFor('the backup to begin', () => existsSync(`${file}.partial`), 20_000);
    await mine.stop('SIGKILL');
    const { code, stderr } = await taking;
    expect([code, stderr.trim().split('\n').length]).toEqual([73, 1]);
    expect([existsSync(file), existsSync(`${file}.partial`)]).toEqual([false, false]);
    const again = await startDaemonHere(dir);
    expect(await again.digest()).toBe(held);
    await again.stop();
  }, 60_000);

  it('is let go of when its reader goes away in the middle', async () => {
    const { status } = await new Promise<{ status: number | undefined }>((resolve, reject) => {
      const asked = get(`${daemon.url}/backup`, { headers: { 'x-api-key': daemon.apiKey } }, (response) => {
        response.once('data', () => {
          response.destroy();
          resolve({ status: response.statusCode });
        });
      });
      asked.on('error', reject);
    });
    expect(status).toBe(200);
    // One is taken at a time: that the next one may begin shows that the first was let go of.
    await waitFor('the next backup', async () => {
      const response = await daemon.request('GET', '/backup');
      await response.arrayBuffer();
      return response.ok;
    });
  });
});

function readSeed(dir: string): Uint8Array {
  const { seed: text } = JSON.parse(readFileSync(join(dir, 'identity.json'), 'utf8')) as { seed: string };
  return new Uint8Array(Buffer.from(text, 'base64'));
}
