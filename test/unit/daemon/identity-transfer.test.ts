import { existsSync } from 'node:fs';
import { chmod, cp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { identityPath, loadOrCreateIdentity } from '../../../daemon/identity-file.ts';
import { exportIdentity, importIdentity } from '../../../daemon/identity-transfer.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { agrinetHere } from '../../support/cli.ts';
import { startNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

const PASSPHRASE = 'lorry maize nine market scale';
const dir = tempDir('identity-transfer');
const here = join(dir.path, 'here');
const file = join(dir.path, 'exported');
let peerId: string;

const exported = (passphrase = PASSPHRASE, force = false, dataDir = here): Promise<string> =>
  exportIdentity({ dataDir, file, force, passphrase, env: systemEnv });
const imported = (dataDir: string, { from = file, passphrase = PASSPHRASE, force = false } = {}) =>
  importIdentity({ dataDir, file: from, passphrase: async () => passphrase, force, env: systemEnv });

beforeAll(async () => {
  ({ peerId } = await loadOrCreateIdentity(here, systemEnv));
  expect(await exported()).toBe(peerId);
});
afterAll(() => dir.remove());

describe('an exported identity', () => {
  it('comes back as it was, into a folder of its own, and a second time changes nothing', async () => {
    const there = join(dir.path, 'there');
    expect(await imported(there)).toEqual({ peerId, isNew: true });
    expect(await readFile(identityPath(there), 'utf8')).toBe(await readFile(identityPath(here), 'utf8'));
    expect((await stat(identityPath(there))).mode & 0o777).toBe(0o600);
    expect(await imported(there)).toEqual({ peerId, isNew: false });
  });

  it('shows whose it is and nothing else, is readable by its owner alone, and is never overwritten unasked', async () => {
    const text = await readFile(file, 'utf8');
    const { seed } = JSON.parse(await readFile(identityPath(here), 'utf8')) as { seed: string };
    expect(text).toContain(peerId);
    expect(text).not.toContain(seed.slice(0, 12));
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    await expect(exported()).rejects.toMatchObject({ code: 'usage' });
    await exported(PASSPHRASE, true);
    expect(await readFile(file, 'utf8')).not.toBe(text);
    expect(await readdir(dir.path)).not.toContain('exported.partial');
  });

  it('takes the place of no other key, and needs a key that is there', async () => {
    const other = join(dir.path, 'other');
    const made = await loadOrCreateIdentity(other, systemEnv);
    const before = await readFile(identityPath(other), 'utf8');
    await expect(imported(other, { force: true })).rejects.toMatchObject({
      code: 'backup-foreign',
      message: expect.stringContaining(made.peerId),
    });
    expect(await readFile(identityPath(other), 'utf8')).toBe(before);
    await chmod(identityPath(other), 0o644);
    await expect(imported(other)).rejects.toMatchObject({ code: 'identity-invalid' });
    await expect(exported(PASSPHRASE, true, join(dir.path, 'none'))).rejects.toMatchObject({
      code: 'identity-invalid',
    });
  });

  it('with another passphrase, cut off, altered, of another node, or no such file: nothing is written', async () => {
    const good = await readFile(file);
    const text = good.toString();
    const folder = join(dir.path, 'refused');
    const from = join(dir.path, 'altered');
    await expect(imported(folder, { passphrase: `${PASSPHRASE}.` })).rejects.toMatchObject({
      code: 'passphrase-wrong',
    });
    const otherPeer = (await loadOrCreateIdentity(join(dir.path, 'another'), systemEnv)).peerId;
    const cases: [string, string][] = [
      [text.slice(0, -1), 'backup-damaged'],
      [text.slice(0, 200), 'backup-damaged'],
      [text.replace(peerId, otherPeer), 'passphrase-wrong'],
      [text.replace('"version":1', '"version":2'), 'backup-damaged'],
      [text.replace('"kdf":"scrypt"', '"kdf":"none"'), 'backup-damaged'],
      ['', 'backup-damaged'],
      ['x'.repeat(20_000), 'backup-damaged'],
    ];
    for (const [altered, code] of cases) {
      await writeFile(from, altered);
      await expect(imported(folder, { from }), altered.slice(0, 60)).rejects.toMatchObject({ code });
    }
    await expect(imported(folder, { from: dir.path })).rejects.toMatchObject({ code: 'usage' });
    await expect(imported(folder, { from: join(dir.path, 'nothing') })).rejects.toMatchObject({
      code: 'usage',
    });
    expect(existsSync(folder)).toBe(false);
  });
});

describe('beside a database', () => {
  it('that lost its key it comes back; beside one of another node it does not, unless forced', async () => {
    const home = join(dir.path, 'home');
    const node = await startNode(home, {}, await loadOrCreateIdentity(home, systemEnv));
    await node.request('POST', '/listings', { type: 'offer', title: 'Maize' });
    await node.stop();
    const own = join(dir.path, 'own');
    const env = { DATA_DIR: home, BACKUP_PASSPHRASE: PASSPHRASE };
    const run = await agrinetHere(undefined, ['identity', 'export', own, '--json'], env);
    expect({ code: run.code, peerId: (JSON.parse(run.stdout) as { peerId: string }).peerId }).toEqual({
      code: 0,
      peerId: node.peerId,
    });
    await rm(identityPath(home));
    await expect(imported(home)).rejects.toMatchObject({ code: 'backup-foreign' });
    const copy = join(dir.path, 'copy');
    await cp(home, copy, { recursive: true });
    expect(await imported(copy, { force: true })).toEqual({ peerId, isNew: true });
    const back = await agrinetHere(undefined, ['identity', 'import', own], env);
    expect({ code: back.code, stdout: back.stdout }).toEqual({
      code: 0,
      stdout: expect.stringContaining(`is now the key of ${node.peerId}`),
    });
    const shown = await agrinetHere(undefined, ['identity', '--json'], {
      ...env,
      BACKEND_URL: 'http://127.0.0.1:9',
    });
    expect(JSON.parse(shown.stdout)).toEqual({ peerId: node.peerId, running: false });
  });
});
