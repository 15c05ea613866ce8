import type { AddressInfo } from 'node:net';
import { serve, type ServerType } from '@hono/node-server';
import { createMiddleware } from 'hono/factory';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ApiEnv } from '../../../api/access.ts';
import { router } from '../../../api/route.ts';
import { keyRoutes } from '../../../api/routes/keys.ts';
import { type AccessControl, openAccess } from '../../../daemon/access/access.ts';
import { exitCodeFor } from '../../../daemon/exit-codes.ts';
import { createLogger } from '../../../daemon/logger.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { errorMessage } from '../../../protocols/errors.ts';
import { Database } from '../../../storage/database.ts';
import { agrinetHere, type CliResult } from '../../support/cli.ts';
import { tempDir } from '../../support/temp-dir.ts';

const OPERATOR = 'the-operators-own-key-of-this-test';
let dir: ReturnType<typeof tempDir>;
let db: Database;
let control: AccessControl;
let server: ServerType;
let address = '';

beforeEach(async () => {
  dir = tempDir('keys-cli');
  db = await Database.open(dir.path, systemEnv);
  const oauth = { oauthIssuer: undefined, oauthAudience: undefined };
  const settings = { dataDir: dir.path, publicReads: true, jwtSecret: undefined, ...oauth };
  const logger = createLogger({ logLevel: 'silent' });
  control = await openAccess({
    db,
    settings,
    apiKey: OPERATOR,
    logger,
    refusal: () => undefined,
    env: systemEnv,
  });
  const app = router();
  app.use(
    createMiddleware<ApiEnv>(async (c, next) => {
      c.set('principal', await control.access.authenticate({ apiKey: c.req.header('x-api-key') }));
      await next();
    }),
  );
  app.use(async (c, next) => {
    c.header('x-agrinet-version', 'test');
    await next();
  });
  app.onError((error, c) => c.json({ error: errorMessage(error) }, 400));
  app.route('/api/keys', keyRoutes(control));
  server = await new Promise<ServerType>((resolve) => {
    const listening = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, () => resolve(listening));
  });
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  await new Promise<unknown>((resolve) => server.close(resolve));
  await control.stop();
  await db.close();
  dir.remove();
});

const keys = (...args: string[]): Promise<CliResult> =>
  agrinetHere({ url: address, apiKey: OPERATOR }, ['keys', ...args]);

/** What `agrinet keys …` prints. */
async function run(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await keys(...args);
  expect([code, stderr]).toEqual([0, '']);
  return stdout.trimEnd();
}

test('issue prints a key that works; list shows its row, never the key', async () => {
  const text = await run('issue', '--user', 'amina', '--scopes', 'read, register', '--expires', '30d');
  const [key = ''] = text.split('\n');
  expect(await control.access.authenticate({ apiKey: key })).toMatchObject({
    userId: 'amina',
    scopes: new Set(['read', 'register']),
  });
  const [info] = (await control.keys.list({ limit: 9 })).keys;
  expect((info?.expiresAt ?? 0) - (info?.issuedAt ?? 0)).toBe(30 * 24 * 3600 * 1000);
  await run('issue', '--user', 'ben');
  const list = await run('list', '--user', 'amina');
  expect(list).toContain(info?.id);
  expect(list).not.toMatch(/ben|agk_/);
  const all = JSON.parse(await run('--json')) as { keys: object[] };
  expect(all.keys).toMatchObject([{ userId: 'ben' }, { userId: 'amina' }]);
});

test('rotate prints the successor, revoke ends a key', async () => {
  const made = JSON.parse(await run('issue', '--user', 'amina', '--json')) as { id: string; key: string };
  const text = await run('rotate', made.id, '--grace', '1h');
  const [key = ''] = text.split('\n');
  expect(text).toContain(made.id);
  expect(await control.keys.validate('amina', key)).toBe(true);
  expect(await control.keys.validate('amina', made.key)).toBe(true);
  expect(await run('revoke', made.id)).toBe(`${made.id}: revoked`);
  expect(await control.keys.validate('amina', made.key)).toBe(false);
  expect((await keys('revoke', 'nobody')).code).toBe(exitCodeFor('request-refused'));
});

test('times are seconds or have a unit', async () => {
  for (const wrong of ['soon', '-1', '1.5d', '3w', ''])
    expect((await keys('issue', '--user', 'a', `--expires=${wrong}`)).code, wrong).toBe(exitCodeFor('usage'));
  const text = await run('issue', '--user', 'a', '--expires', '90', '--json');
  const { issuedAt, expiresAt } = JSON.parse(text) as { issuedAt: string; expiresAt: string };
  expect(Date.parse(expiresAt) - Date.parse(issuedAt)).toBe(90_000);
});
