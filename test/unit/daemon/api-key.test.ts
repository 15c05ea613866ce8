import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { apiKeyPath, openApiKey, readLocalApiKey } from '../../../daemon/api-key.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'agrinet-key-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});
const none = { apiKey: undefined };
/** As a daemon whose clock is right. */
async function loadOrCreateApiKey(
  dataDir: string,
  settings: { apiKey: string | undefined },
): Promise<string> {
  const { key, publish } = await openApiKey(dataDir, settings, systemEnv);
  await publish();
  return key;
}

test('its file waits for the word that the clock is right, and is written once', async () => {
  const { key, publish } = await openApiKey(folder, none, systemEnv);
  expect(await readLocalApiKey({ ...none, dataDir: folder })).toBeUndefined();
  await Promise.all([publish(), publish()]);
  await publish();
  expect(await readLocalApiKey({ ...none, dataDir: folder })).toBe(key);
});

test('is made once, 32 random bytes, mode 0600, and found by the command line', async () => {
  expect(await readLocalApiKey({ ...none, dataDir: folder })).toBeUndefined();
  const key = await loadOrCreateApiKey(folder, none);
  expect(key).toMatch(/^[A-Za-z0-9_-]{43}$/);
  expect(await loadOrCreateApiKey(folder, none)).toBe(key);
  expect(await readLocalApiKey({ ...none, dataDir: folder })).toBe(key);
  expect((await stat(apiKeyPath(folder))).mode & 0o777).toBe(0o600);
});

test('API_KEY goes first, and then no file is made', async () => {
  expect(await loadOrCreateApiKey(folder, { apiKey: 'from-environment' })).toBe('from-environment');
  expect(await readLocalApiKey({ apiKey: 'from-environment', dataDir: folder })).toBe('from-environment');
  await expect(stat(apiKeyPath(folder))).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a file that others can read, or with no key in it, is refused and kept', async () => {
  const key = await loadOrCreateApiKey(folder, none);
  await chmod(apiKeyPath(folder), 0o644);
  const error: unknown = await loadOrCreateApiKey(folder, none).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'api-key-invalid' });
  expect(String(error)).not.toContain(key);
  await chmod(apiKeyPath(folder), 0o600);
  for (const content of ['', 'short', 'two words here']) {
    await writeFile(apiKeyPath(folder), content);
    await expect(loadOrCreateApiKey(folder, none)).rejects.toMatchObject({ code: 'api-key-invalid' });
    expect(await readFile(apiKeyPath(folder), 'utf8')).toBe(content);
  }
});
