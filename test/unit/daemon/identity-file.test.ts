import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { identityPath, loadOrCreateIdentity, readIdentity } from '../../../daemon/identity-file.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'agrinet-identity-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

test('is made once, mode 0600, in a folder of its own, and read again', async () => {
  const dataDir = join(folder, 'new', 'data');
  expect(await readIdentity(dataDir)).toBeUndefined();
  const made = await loadOrCreateIdentity(dataDir, systemEnv);
  expect((await loadOrCreateIdentity(dataDir, systemEnv)).peerId).toBe(made.peerId);
  expect((await readIdentity(dataDir))?.peerId).toBe(made.peerId);
  expect((await stat(identityPath(dataDir))).mode & 0o777).toBe(0o600);
  expect((await stat(dataDir)).mode & 0o777).toBe(0o700);
  expect(await readdir(dataDir)).toEqual(['identity.json']);
});

test('processes that start at the same moment get the same one', async () => {
  const all = await Promise.all(Array.from({ length: 8 }, () => loadOrCreateIdentity(folder, systemEnv)));
  expect(new Set(all.map((each) => each.peerId)).size).toBe(1);
  expect(await readdir(folder)).toEqual(['identity.json']);
});

test.each([0o640, 0o604, 0o620, 0o666])('is refused with mode %o, and says how to mend it', async (mode) => {
  await loadOrCreateIdentity(folder, systemEnv);
  await chmod(identityPath(folder), mode);
  await expect(loadOrCreateIdentity(folder, systemEnv)).rejects.toMatchObject({
    code: 'identity-invalid',
    message: expect.stringContaining(`chmod 600 ${identityPath(folder)}`),
  });
});

test('anything else in its place is refused, kept, and not repeated in the message', async () => {
  const seed = Buffer.alloc(32, 7).toString('base64');
  const wrong = [
    '',
    'garbage',
    `{"version":1,"type":"ed25519","seed":"${seed}"`,
    `{"version":2,"type":"ed25519","seed":"${seed}"}`,
    `{"version":1,"type":"rsa","seed":"${seed}"}`,
    `{"version":1,"type":"ed25519","seed":"${seed.slice(4)}"}`,
    `{"version":1,"type":"ed25519","seed":"${seed}","more":1}`,
    `{"version":1,"type":"ed25519","seed":"${Buffer.alloc(33, 7).toString('base64')}"}`,
    'x'.repeat(5000),
  ];
  for (const content of wrong) {
    await writeFile(identityPath(folder), content, { mode: 0o600 });
    const error: unknown = await loadOrCreateIdentity(folder, systemEnv).catch((reason: unknown) => reason);
    expect(error, content.slice(0, 40)).toMatchObject({ code: 'identity-invalid' });
    expect(String(error)).not.toContain(seed.slice(4, 20));
    expect(await readFile(identityPath(folder), 'utf8')).toBe(content);
  }
});

test('a folder that cannot be is its own error', async () => {
  const file = join(folder, 'file');
  await writeFile(file, '');
  await expect(loadOrCreateIdentity(join(file, 'data'), systemEnv)).rejects.toMatchObject({
    code: 'folder-unwritable',
  });
});
