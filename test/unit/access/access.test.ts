import { chmod, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createHmac, randomBytes } from 'node:crypto';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { type AccessControl, openAccess } from '../../../daemon/access/access.ts';
import { keyPepperPath } from '../../../daemon/access/key-pepper.ts';
import { createLogger } from '../../../daemon/logger.ts';
import { Database } from '../../../storage/database.ts';
import { tempDir } from '../../support/temp-dir.ts';

const jwtSecret = randomBytes(32).toString('base64');
const apiKey = randomBytes(32).toString('base64url');
let dir: ReturnType<typeof tempDir>;
let db: Database;
let lines: string[];

beforeEach(async () => {
  dir = tempDir('access');
  db = await Database.open(dir.path, systemEnv);
  lines = [];
});
afterEach(async () => {
  await db.close();
  dir.remove();
});

function open(publicReads = true, previousSecretsUntil?: number): Promise<AccessControl> {
  const settings = {
    dataDir: dir.path,
    publicReads,
    jwtSecret,
    oauthIssuer: undefined,
    oauthAudience: undefined,
    previousSecretsUntil,
  };
  const logger = createLogger({ logLevel: 'trace' }, { write: (line: string) => void lines.push(line) });
  return openAccess({ db, settings, apiKey, logger, refusal: () => undefined, env: systemEnv });
}

function token(claims: object): string {
  const parts = [{ alg: 'HS256' }, { exp: Math.floor(Date.now() / 1000) + 60, ...claims }];
  const body = parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${body}.${createHmac('sha256', jwtSecret).update(body).digest('base64url')}`;
}

test('nobody reads unless PUBLIC_READS is off; whoever has a key may read what everybody may', async () => {
  for (const [publicReads, everybody] of [
    [true, ['read']],
    [false, []],
  ] as const) {
    const { access, keys } = await open(publicReads);
    const { id, key } = await keys.issue({ userId: 'amina', scopes: ['register'] });
    expect(await access.authenticate({})).toEqual({ id: 'anonymous', scopes: new Set(everybody) });
    expect(await access.authenticate({ apiKey: key })).toEqual({
      id,
      userId: 'amina',
      registration: { id, uses: 1 },
      scopes: new Set([...everybody, 'register']),
    });
    expect(await access.authenticate({ bearer: token({ sub: 'ben', scope: 'worker' }) })).toEqual({
      id: 'token:ben',
      userId: 'ben',
      scopes: new Set([...everybody, 'worker']),
    });
  }
});

test('the daemon’s own key is the operator’s, is for no user and in no list', async () => {
  const { access, keys } = await open(false);
  expect(await access.authenticate({ apiKey })).toEqual({ id: 'api-key', scopes: new Set(['operator']) });
  expect(await keys.list({ limit: 9 })).toEqual({ keys: [] });
});

test('a wrong key or token is refused, also beside a good one of the other kind; no secret reaches the log', async () => {
  const control = await open();
  const { access, keys } = control;
  const { id, key } = await keys.issue({ userId: 'amina' });
  const bearer = token({ sub: 'ben' });
  const badKey = { code: 'unauthorized', message: 'Unauthorized: Invalid API Key' };
  for (const wrong of ['', 'x', `${apiKey}x`, apiKey.slice(1), `${key}x`, 'agk_'.padEnd(68, '0')])
    await expect(access.authenticate({ apiKey: wrong, bearer, address: '192.0.2.7' })).rejects.toMatchObject(
      badKey,
    );
  await expect(access.authenticate({ bearer: `${bearer}x` })).rejects.toMatchObject({
    code: 'token-invalid',
  });
  expect(await access.authenticate({ apiKey: key, bearer: 'x' })).toMatchObject({ userId: 'amina' });
  const { issued } = await keys.rotate(id);
  await keys.revoke({ key: issued.key });
  await expect(access.authenticate({ apiKey: issued.key })).rejects.toMatchObject(badKey);
  await control.stop();
  const log = lines.join('');
  expect(log).toContain('192.0.2.7');
  for (const secret of [apiKey, key.slice(25), issued.key.slice(25), bearer.slice(-20), jwtSecret])
    expect(log).not.toContain(secret);
});

test('the pepper is made once, 0600; without it, or open to others, the node does not go on', async () => {
  const path = keyPepperPath(dir.path);
  const first = await open();
  const { key } = await first.keys.issue({ userId: 'amina' });
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  const pepper = await readFile(path, 'utf8');
  expect(await (await open()).access.authenticate({ apiKey: key })).toMatchObject({ userId: 'amina' });
  expect(await readFile(path, 'utf8')).toBe(pepper);

  await chmod(path, 0o640);
  await expect(open()).rejects.toMatchObject({ code: 'key-pepper-invalid' });
  await writeFile(path, 'short', { mode: 0o600 });
  await chmod(path, 0o600);
  await expect(open()).rejects.toMatchObject({ code: 'key-pepper-invalid' });
  for (const wrong of [`${pepper}short`, `${pepper}\n${pepper}`, `${pepper}${pepper}${pepper}`]) {
    await writeFile(path, wrong);
    await expect(open(), wrong).rejects.toMatchObject({ code: 'key-pepper-invalid' });
  }
  // The one before on a second line needs an end.
  await writeFile(path, `${'n'.repeat(43)}\n${pepper}`);
  await expect(open()).rejects.toMatchObject({
    code: 'settings-invalid',
    message: expect.stringContaining('the second line of key-pepper would be accepted for ever'),
  });
  const both = await open(true, Date.now() + 60_000);
  expect(await both.access.authenticate({ apiKey: key })).toMatchObject({ userId: 'amina' });
  await rm(path);
  await expect(open()).rejects.toMatchObject({ code: 'key-pepper-invalid' });
  await writeFile(path, `${'n'.repeat(43)}\n`, { mode: 0o600 });
  await expect((await open()).access.authenticate({ apiKey: key })).rejects.toMatchObject({
    code: 'unauthorized',
  });
});
