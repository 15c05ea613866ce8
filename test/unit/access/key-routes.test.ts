import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createMiddleware } from 'hono/factory';
import type { ApiEnv } from '../../../api/access.ts';
import { router } from '../../../api/route.ts';
import { keyRoutes } from '../../../api/routes/keys.ts';
import { type AccessControl, openAccess } from '../../../daemon/access/access.ts';
import { createLogger } from '../../../daemon/logger.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { errorCode, errorMessage } from '../../../protocols/errors.ts';
import { Database } from '../../../storage/database.ts';
import { tempDir } from '../../support/temp-dir.ts';

const OPERATOR = 'the-operators-own-key-of-this-test';
let dir: ReturnType<typeof tempDir>;
let db: Database;
let control: AccessControl;
let app: ReturnType<typeof createApp>;

/** The key routes as the whole API mounts them: who calls is decided by the real key ring. */
function createApp() {
  const identify = createMiddleware<ApiEnv>(async (c, next) => {
    c.set('principal', await control.access.authenticate({ apiKey: c.req.header('x-api-key') }));
    await next();
  });
  const whole = router();
  whole.use(identify);
  whole.onError((error, c) => c.json({ code: errorCode(error), error: errorMessage(error) }, 418));
  return whole.route('/api/keys', keyRoutes(control));
}

beforeEach(async () => {
  dir = tempDir('key-routes');
  db = await Database.open(dir.path, systemEnv);
  control = await openAccess({
    db,
    settings: {
      dataDir: dir.path,
      publicReads: false,
      jwtSecret: undefined,
      oauthIssuer: undefined,
      oauthAudience: undefined,
    },
    apiKey: OPERATOR,
    logger: createLogger({ logLevel: 'silent' }),
    refusal: () => undefined,
    env: systemEnv,
  });
  app = createApp();
});
afterEach(async () => {
  await control.stop();
  await db.close();
  dir.remove();
});

type Body = Record<string, unknown>;

/** One request; the answer's status, cache-control and body. */
async function call(key: string | undefined, method: string, path: string, body?: unknown) {
  const headers = new Headers(key === undefined ? {} : { 'x-api-key': key });
  if (body !== undefined) headers.set('content-type', 'application/json');
  const response = await app.request(`/api/keys${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return {
    status: response.status,
    cache: response.headers.get('cache-control'),
    body: (await response.json()) as Body,
  };
}

async function issue(body: object): Promise<{ id: string; key: string }> {
  const answer = await call(OPERATOR, 'POST', '/issue', body);
  expect(answer).toMatchObject({ status: 201, cache: 'no-store' });
  return { id: String(answer.body['id']), key: String(answer.body['key']) };
}

describe('the operator', () => {
  test.each(['', '/issue'])('issues a key by POST /api/keys%s, which works at once', async (path) => {
    const body = { userId: 'amina', scopes: ['read', 'worker'], expiresIn: 3600 };
    const made = await call(OPERATOR, 'POST', path, body);
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({ userId: 'amina', scopes: ['read', 'worker'], status: 'active' });
    const { issuedAt, expiresAt, key } = made.body;
    expect(Date.parse(String(expiresAt)) - Date.parse(String(issuedAt))).toBe(3_600_000);
    const mine = await call(String(key), 'GET', '/mine');
    expect(mine).toMatchObject({ status: 200, body: { keys: [{ id: made.body['id'] }] } });
  });

  test('lists by user and page, never a key or its hash', async () => {
    for (const userId of ['amina', 'ben', 'amina']) await issue({ userId });
    const first = await call(OPERATOR, 'GET', '?userId=amina&limit=1');
    const cursor = String(first.body['cursor']);
    const second = await call(OPERATOR, 'GET', `?userId=amina&limit=1&cursor=${cursor}`);
    expect(first.body['keys']).toMatchObject([{ userId: 'amina' }]);
    expect(second.body['keys']).toMatchObject([{ userId: 'amina' }]);
    expect(second.body['cursor']).toBeUndefined();
    expect(JSON.stringify([first, second])).not.toMatch(/agk_|hash/);
  });

  test('revokes by id and by key', async () => {
    const [one, two] = [await issue({ userId: 'amina' }), await issue({ userId: 'amina' })];
    expect(await call(OPERATOR, 'POST', '/revoke', { id: one.id })).toMatchObject({
      status: 200,
      body: { id: one.id, status: 'revoked' },
    });
    expect(await call(OPERATOR, 'POST', '/revoke', { key: two.key })).toMatchObject({ status: 200 });
    for (const { key } of [one, two])
      expect((await call(key, 'GET', '/mine')).body).toMatchObject({ code: 'unauthorized' });
    expect((await call(OPERATOR, 'POST', '/revoke', { id: 'x' })).body['code']).toBe('key-unknown');
  });

  test('is asked in the old way', async () => {
    const made = await call(OPERATOR, 'POST', '/issue-key', { userId: 'amina' });
    expect(made).toMatchObject({ status: 201, body: { message: 'Key issued successfully' } });
    const { key } = made.body['data'] as Body;
    const ask = (userId: string) => call(OPERATOR, 'POST', '/validate-key', { userId, key });
    expect(await ask('amina')).toMatchObject({ status: 200, body: { valid: true } });
    expect((await ask('ben')).body).toEqual({ code: 'key-invalid', error: 'Invalid or retired key' });
    for (let n = 0; n < 6; n++) await issue({ userId: 'amina' });
    expect((await call(OPERATOR, 'POST', '/issue-key', { userId: 'amina' })).body['code']).toBe('key-limit');
  });

  test.each([
    ['', { scopes: ['read'] }],
    ['', { userId: '' }],
    ['', { userId: 'a\nb' }],
    ['', { userId: 'a', scopes: ['root'] }],
    ['', { userId: 'a', scopes: [] }],
    ['', { userId: 'a', expiresIn: 0 }],
    ['', { userId: 'a', expiresIn: 366 * 24 * 3600 + 1 }],
    ['', { userId: 'a', expiresIn: 'soon' }],
    ['/revoke', {}],
    ['/revoke', { id: 7 }],
    ['/x/rotate', { graceSeconds: -1 }],
    ['/validate-key', { userId: 'a' }],
    ['/issue-key', []],
  ])('POST %s %j is invalid', async (path, body) => {
    expect((await call(OPERATOR, 'POST', path, body)).body['code']).toBe('fields-invalid');
  });
});

describe('a key that is not the operator’s', () => {
  test('rotates itself, with or without a body, and nobody else', async () => {
    const mine = await issue({ userId: 'amina', scopes: ['register'] });
    const other = await issue({ userId: 'amina' });
    expect((await call(mine.key, 'POST', `/${other.id}/rotate`)).body['code']).toBe('forbidden');
    const rotated = await call(mine.key, 'POST', `/${mine.id}/rotate`);
    expect(rotated).toMatchObject({
      status: 201,
      cache: 'no-store',
      body: { scopes: ['register'], previous: { id: mine.id } },
    });
    const next = { id: String(rotated.body['id']), key: String(rotated.body['key']) };
    expect((await call(mine.key, 'GET', '/mine')).status, 'in its grace time').toBe(200);
    expect((await call(mine.key, 'POST', `/${next.id}/rotate`)).body['code']).toBe('forbidden');
    await call(next.key, 'POST', `/${next.id}/rotate`, { graceSeconds: 0 });
    expect((await call(next.key, 'GET', '/mine')).body['code']).toBe('unauthorized');
    expect((await call(OPERATOR, 'POST', `/${other.id}/rotate`, {})).status).toBe(201);
  });

  test('has none of the operator’s routes, and without a key there is nothing', async () => {
    const { key, id } = await issue({ userId: 'amina', scopes: ['read', 'write', 'register', 'worker'] });
    for (const [method, path, body] of [
      ['GET', '', undefined],
      ['POST', '', { userId: 'amina' }],
      ['POST', '/issue', { userId: 'amina', scopes: ['read'] }],
      ['POST', '/revoke', { id }],
      ['POST', '/issue-key', { userId: 'amina' }],
      ['POST', '/validate-key', { userId: 'amina', key }],
    ] as const) {
      expect((await call(key, method, path, body)).body['code'], path).toBe('forbidden');
      expect((await call(undefined, method, path, body)).body['code'], path).toBe('unauthorized');
    }
    expect((await call(undefined, 'GET', '/mine')).body['code']).toBe('unauthorized');
    expect((await call(undefined, 'POST', `/${id}/rotate`)).body['code']).toBe('unauthorized');
    await issue({ userId: 'ben' });
    expect((await call(key, 'GET', '/mine')).body['keys']).toMatchObject([{ userId: 'amina' }]);
    expect((await call(OPERATOR, 'GET', '/mine')).body).toEqual({ keys: [] });
  });
});
