import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiDocument, type Operation, operationsOf } from '../support/api-document.ts';
import type { JsonSchema } from '../support/schema-values.ts';
import { startNode, TEST_KEY, type TestNode } from '../support/in-process-node.ts';
import { tempDir } from '../support/temp-dir.ts';

/** What clients of the published back end and its documents call. */
const OLD = new Set([
  'get /health',
  'get /federation/status',
  'get /federation/export',
  'get /federation/sync',
  'post /federation/import',
  'post /federation/pull',
  'post /federation/node/register',
  'get /listings',
  'post /listings',
  'get /listings/{id}',
  'patch /listings/{id}',
  'delete /listings/{id}',
  'get /contracts',
  'post /contracts',
  'post /createContract',
  'get /contracts/{id}',
  'post /contracts/{id}/accept',
  'post /contracts/{id}/pings',
  'get /transactions',
  'post /submitRating',
  'get /logs',
  'get /trends',
  'get /trends/top-rated',
  'get /trends/market-volume',
  'get /trends/listing-trends',
  'get /trends/ping-response',
  'get /trends/ai/insight',
  'get /conversations',
  'post /conversations',
  'get /conversations/{id}',
  'put /conversations/{id}',
  'delete /conversations/{id}',
  'post /conversations/{id}/pin',
  'get /messages/{conversationId}',
  'post /messages/{conversationId}',
  'get /stream/{conversationId}',
  'get /events',
  'get /notifications',
  'post /notifications/{id}/read',
  'post /api/keys/issue',
  'post /api/keys/revoke',
  'post /api/keys/issue-key',
  'post /api/keys/validate-key',
]);

const dir = tempDir('queries');
let node: TestNode;
let routes: { name: string; method: string; path: string; operation: Operation }[];

async function send(method: string, path: string): Promise<Response> {
  const response = await node.app.request(path, {
    method: method.toUpperCase(),
    headers: { 'x-api-key': TEST_KEY, ...(method === 'get' ? {} : { 'content-type': 'application/json' }) },
    ...(method === 'get' || method === 'delete' ? {} : { body: '{}' }),
  });
  if (response.headers.get('content-type')?.startsWith('text/event-stream') === true)
    await response.body?.cancel();
  return response;
}
async function refusal(response: Response): Promise<{ status: number; code: string; error: string }> {
  const { code, error } = (await response.json()) as { code: string; error: string };
  return { status: response.status, code, error };
}
/** What a route cannot do without, in the place of its parameters. */
function filled(path: string, operation: Operation, but?: string): string {
  const query = (operation.parameters ?? [])
    .filter((each) => each.in === 'query' && each.required === true && each.name !== but)
    .map(({ name }) => `${name}=${name === 'author' ? node.peerId : 'public'}`);
  const place = path.replace('{collection}', 'listings').replaceAll(/\{\w+\}/g, node.peerId);
  return `${place}?${query.join('&')}`;
}
const isAboutNames = ({ code, error }: { code: string; error: string }): boolean =>
  code === 'query-invalid' && error.startsWith('query:');

beforeAll(async () => {
  node = await startNode(dir.path, { RATE_LIMIT: 'off' });
  const document = (await (await node.app.request('/openapi.json')).json()) as ApiDocument;
  routes = operationsOf(document).map((each) => ({ name: `${each.method} ${each.path}`, ...each }));
  for (let i = 0; i < 3; i++) {
    await node.request('POST', '/listings', { type: 'offer', status: 'active', title: `t${i}`, region: 'r' });
    await node.request('POST', '/prices', {
      date: `2026-01-0${i + 1}`,
      market: 'm',
      commodity: 'Maize',
      unit: 'kg',
      currency: 'KES',
      price: i + 1,
      priceType: 'Retail',
    });
    await node.request('POST', '/api/keys/issue', { userId: `u${i}`, scopes: ['read'] });
    await node.request('POST', '/contracts', { buyerId: 'amina', title: `c${i}` });
  }
});
afterAll(async () => {
  await node.stop();
  dir.remove();
});

describe('the query of every route', () => {
  it('is passed over in what it does not have where old clients call, and only there', () => {
    const ignoring = routes.filter(({ operation }) => operation['x-unknown-query'] === 'ignored');
    expect(ignoring.map(({ name }) => name).sort()).toEqual([...OLD].sort());
    expect(routes.every(({ operation }) => operation['x-unknown-query'] !== undefined)).toBe(true);
  });

  it('has no unknown names: they are refused with those there are, or named in a Warning', async () => {
    const wrong: string[] = [];
    for (const { name, method, path, operation } of routes) {
      const there = (operation.parameters ?? [])
        .filter((each) => each.in === 'query')
        .map((each) => each.name);
      const response = await send(method, `${filled(path, operation)}&madeUp%0A%C3%A9=1&max=2`);
      if (operation['x-unknown-query'] === 'refused') {
        const { status, code, error } = await refusal(response);
        const isNamed = ['madeUp%0A%C3%A9', 'max', ...there].every((each) => error.includes(each));
        if (status !== 400 || code !== 'query-invalid' || !isNamed) wrong.push(`${name}: ${status} ${error}`);
      } else {
        const warning = response.headers.get('warning') ?? '';
        const isNamed = ['madeUp%0A%C3%A9', 'max', ...there].every((each) => warning.includes(each));
        const isRefused = response.status === 400 && isAboutNames(await refusal(response));
        if (!warning.startsWith('299 ') || !isNamed || isRefused)
          wrong.push(`${name}: ${response.status} ${warning}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it('may hold a key and what keeps caches away', async () => {
    const wrong: string[] = [];
    for (const { name, method, path, operation } of routes) {
      const response = await send(method, `${filled(path, operation)}&x-api-key=${TEST_KEY}&_=1764300000000`);
      if (response.headers.has('warning')) wrong.push(name);
      if (response.status === 400 && isAboutNames(await refusal(response))) wrong.push(name);
    }
    expect(wrong).toEqual([]);
  });

  it('has no malformed values: never the first page for them, and never an empty one', async () => {
    const wrong: string[] = [];
    let tried = 0;
    for (const { name, method, path, operation } of routes) {
      for (const { name: field, in: where, schema = {} } of operation.parameters ?? []) {
        if (where !== 'query') continue;
        const values = malformed(field, schema.anyOf?.[0] ?? schema);
        for (const value of [...values, ...(values.length === 0 ? [] : ['1&' + field + '=2'])]) {
          tried++;
          const text = value.startsWith('1&') ? value : encodeURIComponent(value);
          const response = await send(method, `${filled(path, operation, field)}&${field}=${text}`);
          if (response.status !== 400)
            wrong.push(`${name} ${field}=${JSON.stringify(value)}: ${response.status}`);
        }
      }
    }
    expect(wrong).toEqual([]);
    expect(tried).toBeGreaterThan(300);
  });

  it('has no name and no value that cannot be decoded', async () => {
    const wrong: string[] = [];
    for (const { name, method, path, operation } of routes) {
      const there = (operation.parameters ?? [])
        .filter((each) => each.in === 'query')
        .map((each) => each.name);
      for (const broken of ['%', '100%', '%zz', '%E0', '%ed%a0%80', '%C0%AF', 'caf%E9', '%25%'])
        for (const pair of [`_=${broken}`, `${broken}=1`, ...there.map((each) => `${each}=${broken}`)]) {
          const response = await send(method, `${filled(path, operation, pair.split('=', 1)[0])}&${pair}`);
          if (response.status !== 400) wrong.push(`${name} ${pair}: ${response.status}`);
        }
    }
    expect(wrong).toEqual([]);
    for (const path of ['/trust/%E0', '/users/%', '/listings/caf%E9?limit=1'])
      expect((await send('get', path)).status, path).toBe(400);
    for (const query of ['q=100%25', 'keyword=caf%C3%A9', 'keyword=café', 'q=a+b', 'keyword=%F0%9F%98%80'])
      expect((await send('get', `/listings?${query}`)).status, query).toBe(200);
  });

  it('is the same with an empty value as without the name, wherever one is taken', async () => {
    const wrong: string[] = [];
    let taken = 0;
    for (const { name, method, path, operation } of routes) {
      if (method !== 'get') continue;
      for (const { name: field, in: where } of operation.parameters ?? []) {
        if (where !== 'query' || EMPTY_LISTS.has(field)) continue;
        const place = filled(path, operation, field);
        const [without, empty] = [await send(method, place), await send(method, `${place}&${field}=`)];
        if (empty.status === 400 || empty.headers.get('content-type')?.includes('event-stream') === true)
          continue;
        taken++;
        const [whole, part] = [steady(await without.text()), steady(await empty.text())];
        if (empty.status !== without.status || part !== whole) wrong.push(`${name} ${field}=: ${part}`);
      }
    }
    expect(wrong).toEqual([]);
    expect(taken).toBeGreaterThan(30);
  });

  it('goes on with the cursor of the page before, and with no other', async () => {
    const cursors = new Map<string, string>();
    for (const list of [
      '/listings?region=r',
      '/listings?type=offer',
      '/listings?',
      '/prices?',
      '/api/keys?',
      '/contracts?',
    ]) {
      const seen: string[] = [];
      let from = '';
      for (let page = 0; page < 5; page++) {
        const body = (await (await send('get', `${list}&limit=1${from}`)).json()) as Record<string, unknown>;
        const items = Object.values(body).find((value) => Array.isArray(value)) as
          | { id: string }[]
          | undefined;
        seen.push(...(items ?? []).map(({ id }) => id));
        if (typeof body['cursor'] !== 'string') break;
        cursors.set(list, body['cursor']);
        from = `&cursor=${body['cursor']}`;
      }
      expect(new Set(seen).size, list).toBe(seen.length);
      expect(seen.length, list).toBeGreaterThanOrEqual(3);
    }
    for (const [list, cursor] of cursors) {
      const altered = [
        `${cursor}x`,
        cursor.slice(0, -1),
        cursor.slice(1),
        ` ${cursor}`,
        cursor.slice(0, 8),
        cursor.toUpperCase(),
        ...[...cursors].filter(([other]) => other !== list).map(([, other]) => other),
      ];
      for (const one of altered) {
        const response = await send('get', `${list}&limit=1&cursor=${encodeURIComponent(one)}`);
        expect({ list, one, ...(await refusal(response)) }).toMatchObject({
          status: 400,
          code: 'query-invalid',
        });
      }
    }
  });
});

/** Lists, of which an empty one is one, too. */
const EMPTY_LISTS: ReadonlySet<string> = new Set(['roots', 'adjudicators', 'knows']);
/** An answer without what differs from one request to the next. */
function steady(text: string): string {
  return text.replaceAll(
    /"(requestId|generatedAt|cursor)":"[^"]*"|"(asOf|time)":[^,}]*|"proof":"[^"]*"/g,
    '""',
  );
}

/** Values that a parameter does not have; none where any text is one. */
function malformed(field: string, { type, enum: choices, pattern }: JsonSchema): readonly string[] {
  const known = MALFORMED[field];
  if (known !== undefined) return known;
  if (type === 'integer') return WHOLE;
  if (choices !== undefined) return ['', 'nonsense', 'OFF', '__proto__'];
  if (pattern === undefined) return [];
  return ['\u0000', 'no such\nvalue', '__proto__', '-', '%', '%00'].filter(
    (text) => !new RegExp(pattern.replace(/^\/(.*)\/u?$/, '$1'), 'u').test(text),
  );
}

const WHOLE = ['x', '', '-1', '1.5', '1e2', '0x10', ' 5', '5 ', '٣', '9'.repeat(20), 'NaN', 'Infinity'];
/** Nothing that any list has given out. */
const CURSORS: readonly string[] = [
  '',
  'rubbish',
  '%',
  '0',
  '-1',
  '__proto__',
  '\u0000',
  'A'.repeat(2048),
  ...['i!listings.updatedAt\0', 'r!listings/', '\u{10ffff}', '["",""]', '[]'].map((text) =>
    Buffer.from(text).toString('base64url'),
  ),
];
const NO_PEERS: readonly string[] = ['x', 'Self', '12D3KooW', '12d3koow'.padEnd(52, 'a'), '0'.repeat(52)];
const MALFORMED: Readonly<Record<string, readonly string[]>> = {
  cursor: CURSORS,
  since: ['rubbish', '0', 'a.b c', '-.1', 'zz.1'],
  /** Of one route any text. */
  userId: [],
  window: ['x', '', '0', '-1', '999w', '1.5'],
  coordinates: ['x', '1,2', 'geoLat_1,geoLong_2', 'geoLat_91.00000,geoLong_0.00000'],
  geoLat_: ['x', '91.0', '1,5', '0x1', '1.5'],
  radiusKm: ['x', '-1', '0', '1e3'],
  minPrice: ['x', '1,5', '0x1', '1e3', 'NaN'],
  before: ['x y', '\u0000', 'a.b.c/d'],
  source: ['x', 'ftp://x', '__proto__'],
  type: ['x', 'Offer', 'offers', ' offer', 'offer,request'],
  owner: NO_PEERS,
  ownerId: NO_PEERS,
};
