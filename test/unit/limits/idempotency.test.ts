import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { idempotency, idempotentId } from '../../../api/limits/idempotency.ts';
import type { IdempotencyTable } from '../../../api/ports/idempotency.ts';
import { AgrinetError } from '../../../protocols/errors.ts';
import { isLocalId } from '../../../protocols/wire/ids.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { Database } from '../../../storage/database.ts';
import { openIdempotencyTable } from '../../../storage/idempotency-table.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { bareApp, codeOf, principal } from './app.ts';

const DAY = 24 * 3_600_000;

describe('idempotency', () => {
  let dir: ReturnType<typeof tempDir>;
  let db: Database;
  let table: IdempotencyTable;
  let time: number;

  beforeEach(async () => {
    time = Date.UTC(2026, 10, 23);
    dir = tempDir('idempotency');
    db = await Database.open(dir.path, systemEnv);
    table = await openIdempotencyTable(db, () => time);
  });
  afterEach(async () => {
    await db.close();
    dir.remove();
  });
  async function reopen(): Promise<void> {
    await db.close();
    db = await Database.open(dir.path, systemEnv);
    table = await openIdempotencyTable(db, () => time);
  }

  /** An app that counts what it makes; `x-caller` is who asks. */
  function appOf(meanwhile: () => Promise<void> = async () => undefined) {
    const made: (string | undefined)[] = [];
    const app = bareApp();
    app.use(async (c, next) => {
      c.set('principal', principal(c.req.header('x-caller') ?? 'anonymous', 'write'));
      await next();
    });
    app.use(idempotency({ table, secretPaths: /^\/keys/ }));
    app.post('/things', async (c) => {
      const body = await c.req.text();
      await meanwhile();
      made.push(idempotentId(c));
      c.header('location', `/things/${made.length}`);
      if (body.includes('fail')) return c.json({ code: 'oops' }, 500);
      if (body.includes('wrong')) throw new AgrinetError('fields-invalid', 'wrong');
      if (body.includes('later')) return c.json({ code: 'rate-limited' }, 429);
      if (body.includes('large')) return c.text('x'.repeat(65 * 1024), 201);
      return c.json({ number: made.length }, 201);
    });
    app.post('/keys', (c) => c.json({ key: `secret-${made.push(undefined)}` }, 201));
    app.post('/empty', (c) => {
      made.push(undefined);
      return c.body(null, 204);
    });
    const post = async (key: string, body = '{}', caller = 'alice', path = '/things'): Promise<Response> =>
      app.request(path, {
        method: 'POST',
        body,
        headers: {
          'content-type': 'application/json',
          'idempotency-key': key,
          ...(caller === '' ? {} : { 'x-caller': caller }),
        },
      });
    return { made, post };
  }

  it('gives the first answer again, also after a restart', async () => {
    const { made, post } = appOf();
    const first = await post('k1');
    expect([first.status, first.headers.get('idempotent-replayed')]).toEqual([201, null]);
    const text = await first.text();
    for (const restart of [false, true]) {
      if (restart) await reopen();
      const { post: again, made: madeAgain } = restart ? appOf() : { post, made: [] };
      const second = await again('k1');
      expect([second.status, await second.text()]).toEqual([201, text]);
      expect(second.headers.get('idempotent-replayed')).toBe('true');
      expect(second.headers.get('location')).toBe('/things/1');
      expect(second.headers.get('content-type')).toBe(first.headers.get('content-type'));
      expect(madeAgain).toHaveLength(0);
    }
    expect(made).toHaveLength(1);
    const later = appOf();
    for (let i = 0; i < 2; i++) expect((await later.post('e1', '{}', 'alice', '/empty')).status).toBe(204);
    expect(later.made).toHaveLength(1);
  });

  it('keeps callers, routes and keys apart', async () => {
    const { made, post } = appOf();
    await post('k1');
    await post('k2');
    await post('k1', '{}', 'bob');
    await post('k1', '{}', 'alice', '/empty');
    expect(made).toHaveLength(4);
    expect(new Set(made.slice(0, 3)).size).toBe(3);
    expect(made.slice(0, 3).every((id) => id !== undefined && isLocalId(id))).toBe(true);
  });

  it('keeps apart what a query tells apart, and leaves bodies that are streamed alone', async () => {
    const { made, post } = appOf();
    await post('k1', '{}', 'alice', '/things?source=a');
    await post('k1', '{}', 'alice', '/things?source=b');
    expect(made).toHaveLength(2);
    const app = bareApp();
    app.use(async (c, next) => {
      c.set('principal', principal('alice', 'worker'));
      await next();
    });
    app.use(idempotency({ table, secretPaths: /^\/keys/, streamedPaths: /^\/stream$/ }));
    app.post('/stream', async (c) => {
      let bytes = 0;
      for await (const chunk of c.req.raw.body ?? []) bytes += chunk.length;
      return c.json({ bytes }, 200);
    });
    const headers = { 'content-type': 'application/json', 'idempotency-key': 'k' };
    const answer = await app.request('/stream', { method: 'POST', body: '{}', headers });
    expect(await answer.json()).toEqual({ bytes: 2 });
  });

  it('takes from who floods it, not from others', async () => {
    table = await openIdempotencyTable(db, () => time, {
      keptMs: DAY,
      rows: 20,
      bytes: 1e9,
      rowsPerCaller: 5,
      bytesPerCaller: 1e9,
    });
    const { made, post } = appOf();
    await post('mine', '{}', 'alice');
    for (let n = 0; n < 40; n++) await post(`k${n}`, '{}', 'mallory');
    const before = made.length;
    expect((await post('mine', '{}', 'alice')).headers.get('idempotent-replayed')).toBe('true');
    expect((await post('k39', '{}', 'mallory')).headers.get('idempotent-replayed')).toBe('true');
    await post('k1', '{}', 'mallory'); // his own oldest went
    expect(made).toHaveLength(before + 1);
  });

  it('refuses another body, and a malformed key', async () => {
    const { made, post } = appOf();
    await post('k1', '{"a":1}');
    expect(await codeOf(await post('k1', '{"a":2}'))).toBe('idempotency-mismatch');
    await reopen();
    const later = appOf();
    expect(await codeOf(await later.post('k1', '{"a":2}'))).toBe('idempotency-mismatch');
    for (const bad of ['a b', 'x'.repeat(129)])
      expect(await codeOf(await post(bad))).toBe('idempotency-malformed');
    expect([made.length, later.made.length]).toEqual([1, 0]);
  });

  it('carries out only one of two at once', async () => {
    let go = (): void => undefined;
    let running = (): void => undefined;
    const gate = new Promise<void>((resolve) => (go = resolve));
    const begun = new Promise<void>((resolve) => (running = resolve));
    const { made, post } = appOf(() => {
      running();
      return gate;
    });
    const first = post('k1');
    await begun;
    expect(await codeOf(await post('k1'))).toBe('idempotency-busy');
    expect(await codeOf(await post('k1', '{"a":2}'))).toBe('idempotency-mismatch');
    go();
    expect((await first).status).toBe(201);
    expect((await post('k1')).headers.get('idempotent-replayed')).toBe('true');
    expect(made).toHaveLength(1);
  });

  it('after a crash between commit and answer names the same record', async () => {
    const { made, post } = appOf();
    await post('k1', '"fail"'); // 5xx is not kept: as if the answer had been lost
    await reopen();
    const later = appOf();
    expect(await codeOf(await later.post('k1', '"other"'))).toBe('idempotency-mismatch');
    await later.post('k1', '"fail"');
    expect(later.made).toEqual(made);
  });

  it('keeps refusals that stand, forgets those for now', async () => {
    const { made, post } = appOf();
    expect(await codeOf(await post('k1', '"wrong"'))).toBe('fields-invalid');
    expect((await post('k1', '"wrong"')).headers.get('idempotent-replayed')).toBe('true');
    expect(made).toHaveLength(1);
    expect((await post('k2', '"later"')).status).toBe(429);
    expect((await post('k2', '{}')).status).toBe(201);
  });

  it('never keeps a secret or a large answer, and does neither twice', async () => {
    const { made, post } = appOf();
    expect((await post('k1', '{}', 'alice', '/keys')).status).toBe(201);
    expect(await codeOf(await post('k1', '{}', 'alice', '/keys'))).toBe('idempotency-done');
    expect((await post('k2', '"large"')).status).toBe(201);
    expect(await codeOf(await post('k2', '"large"'))).toBe('idempotency-done');
    expect(made).toHaveLength(2);
    for await (const value of db.level.values())
      expect(Buffer.from(value).toString('latin1')).not.toContain('secret-');
  });

  it('ignores the header of callers without a name', async () => {
    const { made, post } = appOf();
    await post('k1', '{}', '');
    await post('k1', '{}', '');
    expect(made).toEqual([undefined, undefined]);
  });

  it('forgets after a day', async () => {
    const { made, post } = appOf();
    await post('k1');
    time += DAY - 1;
    await post('k1');
    expect(made).toHaveLength(1);
    time += 1;
    expect((await post('k1', '{"other":true}')).status).toBe(201);
    expect(made).toHaveLength(2);
  });

  it('is on disk before the answer, a hundred together in a few batches', async () => {
    const batches: boolean[] = [];
    const write = db.batch.bind(db);
    db.batch = (ops, sync) => {
      batches.push(sync);
      return write(ops, sync);
    };
    const { post } = appOf();
    const answers = await Promise.all(Array.from({ length: 100 }, (_, i) => post(`k${i}`)));
    expect(answers.every(({ status }) => status === 201)).toBe(true);
    const synced = batches.filter(Boolean).length;
    expect(synced).toBeGreaterThan(0);
    expect(synced).toBeLessThan(50);
  });
});

describe('openIdempotencyTable', () => {
  it('is bounded in rows and bytes, the oldest go, also of an earlier run', async () => {
    const dir = tempDir('idempotency');
    const db = await Database.open(dir.path, systemEnv);
    try {
      const limits = { keptMs: DAY, rows: 10, bytes: 20_000, rowsPerCaller: 1e9, bytesPerCaller: 1e9 };
      const answer = { status: 201, headers: {}, body: 'x'.repeat(100) };
      const rows = async (): Promise<number> => (await db.level.keys({ gte: 'w!', lt: 'w"' }).all()).length;
      let time = 1;
      // Newer ones have lesser names, so that the order of the database is not the order of age.
      const nameOf = (i: number): string => `id-${100 - i}`;
      const fill = async (table: IdempotencyTable, from: number, to: number, body: string) => {
        for (let i = from; i < to; i++) {
          time++;
          await table.begin(nameOf(i), 'hash');
          await table.finish(nameOf(i), { ...answer, body });
        }
      };
      await fill(await openIdempotencyTable(db, () => time, limits), 0, 30, 'small');
      expect(await rows()).toBe(10);
      const later = await openIdempotencyTable(db, () => time, limits);
      await fill(later, 30, 35, 'small');
      expect(await rows()).toBe(10);
      expect((await later.begin(nameOf(25), 'hash')).kind).toBe('answered');
      expect((await later.begin(nameOf(24), 'hash')).kind).toBe('begun');
      await later.release(nameOf(24), true);
      await fill(later, 40, 50, 'x'.repeat(5000));
      expect(await rows()).toBeLessThanOrEqual(5);
    } finally {
      await db.close();
      dir.remove();
    }
  });
});
