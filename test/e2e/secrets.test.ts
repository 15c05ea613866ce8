import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { agrinet } from '../support/cli.ts';
import { type Daemon, startDaemon } from '../support/daemon.ts';
import { tempDir } from '../support/temp-dir.ts';

const strong = (): string => randomBytes(32).toString('base64url');

let dir: ReturnType<typeof tempDir>;
let daemon: Daemon | undefined;
beforeEach(() => {
  dir = tempDir('secrets-e2e');
});
afterEach(async () => {
  await daemon?.stop();
  daemon = undefined;
  dir.remove();
});

const env = (): Record<string, string> => ({
  DATA_DIR: join(dir.path, 'data'),
  PORT: '0',
  MYCELIUM_PORT: '0',
  MYCELIUM_NETWORK: 'test',
});

function file(name: string, content: string): string {
  const path = join(dir.path, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, content, { mode: 0o600 });
  return path;
}

describe('a node that others can reach', () => {
  it.each([
    ['HOST', { HOST: '0.0.0.0' }],
    ['HOST', { HOST: '::' }],
    ['PUBLIC_URL', { PUBLIC_URL: 'https://node.example.org' }],
  ])('does not start with secrets that can be guessed: %s %j', async (_, reachable) => {
    const weak = { API_KEY: 'changeme', JWT_SECRET: 'your-jwt-secret-your-jwt-secret' };
    const ended = await agrinet(undefined, ['start'], { ...env(), ...reachable, ...weak });
    expect(ended.code).toBe(64);
    expect(ended.stderr).toMatch(/2 settings are invalid/);
    expect(ended.stderr).toMatch(/^\s*API_KEY: .*openssl rand/m);
    expect(ended.stderr).toMatch(/^\s*JWT_SECRET: .*openssl rand/m);
    for (const secret of Object.values(weak)) expect(ended.stdout + ended.stderr).not.toContain(secret);
    expect(existsSync(join(dir.path, 'data')), 'nothing was begun').toBe(false);
  });

  it('does not start with a weak secret from a file either', async () => {
    const path = file('key', 'agrinet-default-key\n');
    const ended = await agrinet(undefined, ['start'], { ...env(), HOST: '0.0.0.0', API_KEY_FILE: path });
    expect([ended.code, ended.stderr]).toEqual([64, expect.stringContaining('API_KEY')]);
    expect(ended.stderr).not.toContain('agrinet-default-key');
  });

  it('starts with a strong one; on loopback any does', async () => {
    daemon = await startDaemon(join(dir.path, 'data'), { HOST: '0.0.0.0', API_KEY: strong() });
    expect((await daemon.request('GET', '/federation/peers')).status).toBe(200);
    expect(await daemon.stop()).toBe(0);
    daemon = await startDaemon(join(dir.path, 'data'), { API_KEY: 'changeme' });
    expect((await daemon.request('GET', '/federation/peers')).status).toBe(200);
  });
});

it.each([
  ['API_KEY_FILE', (path: string) => ({ API_KEY_FILE: path })],
  ['the systemd credential api-key', (path: string) => ({ CREDENTIALS_DIRECTORY: join(path, '..') })],
])('takes its key from %s, and shows it nowhere', async (_, given) => {
  const key = strong();
  const path = file('credentials/api-key', `${key}\n`);
  daemon = await startDaemon(join(dir.path, 'data'), {
    API_KEY: '',
    HOST: '0.0.0.0',
    LOG_LEVEL: 'trace',
    ...given(path),
  });
  const asked = async (apiKey: string): Promise<number> =>
    (await fetch(`${daemon?.url}/federation/peers`, { headers: { 'x-api-key': apiKey } })).status;
  expect(await asked(key)).toBe(200);
  expect(await asked(key.slice(1))).toBe(403);
  expect(existsSync(join(dir.path, 'data', 'api-key')), 'no key was made').toBe(false);
  expect(daemon.output()).not.toContain(key);
});
