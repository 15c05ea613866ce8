import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { fullKey, range } from '../../../storage/keyspace.ts';
import { type ApiDocument, operationsOf } from '../../support/api-document.ts';
import { startNode, TEST_KEY, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

const dir = tempDir('left-out');
let node: TestNode;
const logged: [unknown, unknown][] = [];
const bad: Record<string, string> = {};

const keysOf = (collection: string): Promise<string[]> =>
  node.node.db.level.keys(range('records', `${collection}/`)).all();
async function get(path: string, accept = 'application/json', anonymous = false): Promise<Response> {
  const headers = { accept, ...(anonymous ? {} : { 'x-api-key': TEST_KEY }) };
  return node.app.request(path, { headers });
}
/** Flips a bit of a stored row, as a disk does. */
async function damage(key: string): Promise<void> {
  const value = await node.node.db.level.get(key);
  expect(value?.length).toBeGreaterThan(40);
  await node.node.db.level.put(
    key,
    Uint8Array.from(value ?? [], (byte, i) => (i === 30 ? byte ^ 1 : byte)),
  );
}
async function ok(method: string, path: string, body: unknown): Promise<Record<string, string>> {
  const answer = await node.request(method, path, body);
  expect([path, answer.status < 300]).toEqual([path, true]);
  return (await answer.json()) as Record<string, string>;
}
/** How many times a text stands in a body. */
const count = (text: string, part: string): number => text.split(part).length - 1;

beforeAll(async () => {
  node = await startNode(dir.path, { RATE_LIMIT: 'off' });
  const { logger } = node.node;
  vi.spyOn(logger, 'error').mockImplementation((...args: unknown[]) => void logged.push([args[0], args[1]]));
  for (const i of [1, 2, 3]) {
    await ok('POST', '/listings', { type: 'offer', status: 'active', title: `kept ${i}`, region: 'r' });
    await ok('POST', '/prices', {
      date: `2026-01-0${i}`,
      market: `kept ${i}`,
      commodity: 'Maize',
      unit: 'kg',
      currency: 'KES',
      price: i,
      priceType: 'Retail',
    });
    await ok('POST', '/contracts', { buyerId: 'amina', title: `kept ${i}` });
    const { id = '' } = await ok('POST', '/conversations', { title: `kept ${i}` });
    for (const n of [1, 2, 3])
      await ok('POST', `/messages/${id}`, { from: 'amina', type: 'text', content: `said ${n}` });
  }
  await ok('POST', '/trends/snapshots', {}).catch(() => undefined);
  for (const collection of ['listings', 'prices', 'contracts', 'conversations', 'messages']) {
    const [key = ''] = await keysOf(collection);
    bad[collection] = key.slice(2).split('/').slice(1).join('.');
    await damage(key);
  }
});
afterAll(async () => {
  await node.stop();
  dir.remove();
});

describe('a record whose row is damaged', () => {
  it.each([
    ['/listings', 'listings', 'kept', 2],
    ['/listings?region=r', 'listings', 'kept', 2],
    ['/listings?owner=self&limit=1', 'listings', 'kept', 1],
    ['/prices', 'prices', '"market":"kept', 2],
    ['/contracts', 'contracts', 'kept', 2],
    ['/conversations', 'conversations', 'kept', 2],
    ['/', 'listings', 'kept', 2],
    ['/status-page', 'listings', 'kept', 2],
  ] as const)('is left out of %s and named, and the rest is there', async (path, collection, part, most) => {
    const at = path.replace('self', node.peerId);
    const answer = await get(at);
    const text = await answer.text();
    expect(answer.status).toBe(200);
    expect(count(text, part)).toBe(most);
    const told = path === '/status-page' ? text : (answer.headers.get('warning') ?? '');
    if (!path.includes('limit=1')) expect(told).toContain(`${collection} ${bad[collection]} (value-damaged)`);
  });

  it('stays named where a page is given out again as it was', async () => {
    for (let i = 0; i < 2; i++)
      expect((await get('/listings?type=offer')).headers.get('warning')).toContain(bad['listings']);
    expect((await get('/listings?type=offer&oldName=1')).headers.get('warning')).toMatch(
      /omitted: .*oldName|oldName.*omitted: /,
    );
  });

  it('is left out of an export, in whole and in part, and named at its end', async () => {
    for (const accept of ['application/json', 'application/x-ndjson']) {
      const text = await (await get('/federation/export', accept)).text();
      // Two of the listings, and two of the open requests; that a contract exists at all may be private.
      expect(count(text, '"title":"kept')).toBe(4);
      const end = accept === 'application/json' ? text : (text.trim().split('\n').at(-1) ?? '');
      expect((JSON.parse(end) as { leftOut: unknown }).leftOut).toEqual([
        { collection: 'listings', id: bad['listings'], reason: 'value-damaged' },
      ]);
    }
  });

  it('is not named to others where it is private', async () => {
    const answer = await get('/contracts', undefined, true);
    expect(answer.status).toBe(200);
    expect(answer.headers.get('warning')).toBeNull();
  });

  it('takes nothing from any other route', async () => {
    const document = (await (await node.app.request('/openapi.json')).json()) as ApiDocument;
    const failed: string[] = [];
    for (const { method, path, operation } of operationsOf(document)) {
      if (method !== 'get' || path.includes('{')) continue;
      const required = (operation.parameters ?? []).filter(
        (each) => each.in === 'query' && each.required === true,
      );
      const query = required
        .map(({ name }) => `${name}=${name === 'author' ? node.peerId : 'public'}`)
        .join('&');
      const answer = await get(`${path}?${query}`);
      if (answer.status >= 500) failed.push(`${path}: ${answer.status} ${await answer.text()}`);
      await answer.body?.cancel();
    }
    expect(failed).toEqual([]);
  });

  it('leaves the messages before and after it', async () => {
    const all = (await (await get('/conversations')).json()) as { id: string }[];
    const texts = await Promise.all(all.map(async ({ id }) => (await get(`/messages/${id}`)).text()));
    const said = texts.map((text) => count(text, 'said'));
    expect(said.every((n) => n === 2 || n === 3)).toBe(true);
  });

  it('is in the log once, and the doctor tells what mends it, which does', async () => {
    const lines = logged.filter(([, message]) => message === 'a record is left out of lists');
    const keys = lines.map(([fields]) => (fields as { key: string }).key);
    expect(keys.length).toBeGreaterThanOrEqual(4);
    expect(new Set(keys).size).toBe(keys.length);
    const { findings } = (await (await get('/doctor')).json()) as {
      findings: { subject?: string; remedy: string; message: string }[];
    };
    const found = findings.find(({ subject }) => subject === 'record-left-out');
    expect(found?.remedy).toMatch(/^agrinet scrub;/);
    for (const id of Object.values(bad)) expect(found?.message).not.toContain(id);
    await (await node.request('POST', '/scrub')).text();
    const answer = await get('/listings');
    expect(count(await answer.text(), 'kept')).toBe(3);
    expect(answer.headers.get('warning')).toBeNull();
  });
});

describe('a record that nobody thought of', () => {
  it('is left out and named, whatever throws over it', async () => {
    const [key = ''] = await keysOf('listings');
    const read = node.context.reader.list.bind(node.context.reader);
    const list = vi.spyOn(node.context.reader, 'list').mockImplementation(async (...args) => {
      const page = await read(...args);
      return {
        ...page,
        records: page.records.map((state) =>
          fullKey('records', state.key) === key
            ? Object.defineProperty({ ...state }, 'view', {
                get: () => {
                  throw new RangeError('Invalid time value');
                },
              })
            : state,
        ),
      };
    });
    for (const path of ['/listings?limit=49', '/status-page', '/']) {
      const answer = await get(path);
      const text = await answer.text();
      expect([path, answer.status, count(text, 'kept')]).toEqual([path, 200, 2]);
      expect((answer.headers.get('warning') ?? '') + text).toContain(
        `${key.slice(2).split('/').slice(1).join('.')} (not-presentable)`,
      );
    }
    list.mockRestore();
  });
});
