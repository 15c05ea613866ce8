import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiDocument, operationsOf } from '../../support/api-document.ts';
import { startNode, TEST_KEY, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { deal } from '../../support/terms.ts';

const dir = tempDir('callers');
let node: TestNode;
interface Key {
  readonly id: string;
  readonly key: string;
}
const keys = new Map<string, Key>();
/** An old back end: it answers, and knows nothing of nodes. */
let old: Server;
beforeAll(async () => {
  old = createServer((_, answer) => answer.writeHead(404).end()).listen(0, '127.0.0.1');
  await once(old, 'listening');
  node = await startNode(dir.path, { RATE_LIMIT: 'off', SYNC_INTERVAL_MINUTES: '0' });
  for (const [name, scopes] of [
    ['operator', ['operator']],
    ['amina', ['read', 'write']],
    ['ben', ['read', 'write']],
    ['helper', ['worker']],
    ['newcomer', ['register']],
  ] as const) {
    const made = await node.request('POST', '/api/keys', { userId: name, scopes });
    keys.set(name, (await made.json()) as Key);
  }
  keys.set('api', { id: 'api-key', key: TEST_KEY });
  // The first use of a day has a line of its own, of which this is not about.
  for (const name of keys.keys()) await send(name, 'GET', '/health');
});
afterAll(async () => {
  old.close();
  await node.stop();
  dir.remove();
});

async function send(who: string, method: string, path: string, body?: unknown): Promise<unknown> {
  const answer = await node.app.request(path, {
    method,
    headers: {
      'x-api-key': keys.get(who)?.key ?? '',
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  expect(answer.status, `${who}: ${method} ${path}: ${text}`).toBeLessThan(300);
  const isJson = answer.headers.get('content-type')?.startsWith('application/json') === true;
  return text === '' || !isJson ? undefined : JSON.parse(text);
}

interface Line {
  readonly no: number;
  readonly action: string;
  readonly actorId: string;
  readonly note?: string;
  readonly subject?: string;
  readonly transactionId?: string;
  readonly detail?: { readonly key?: string; readonly scope?: string; readonly for?: string };
}
const newest = async (): Promise<Line[]> => {
  const answer = await node.request('GET', '/logs?limit=1000');
  return ((await answer.json()) as { logs: Line[] }).logs;
};

type Names = Record<string, string>;
/** A write: who, the route as the document has it, what is sent, and for whom it is done. `keep` notes ids for those after it. */
interface Write {
  readonly who: string;
  readonly route: string;
  readonly query?: string;
  readonly body?: unknown;
  readonly whom?: string;
  readonly keep?: (answer: Record<string, unknown>, names: Names) => void;
}
const id =
  (name: string, field = 'id') =>
  (answer: Record<string, unknown>, names: Names): void => {
    names[name] = String(answer[field]);
  };
const me = (user: string): string => `${user}@${node.peerId}`;

/** Every writing route that a node can carry out by itself, in an order in which it can. */
const writes = (): readonly Write[] => [
  {
    who: 'amina',
    route: 'POST /listings',
    body: { type: 'offer', title: 'Maize' },
    whom: 'amina',
    keep: id('listing'),
  },
  {
    who: 'operator',
    route: 'POST /listings',
    body: { type: 'offer', title: 'Beans', userId: 'ben' },
    whom: 'ben',
  },
  { who: 'amina', route: 'PUT /listings/{id:rice}', body: { type: 'offer', title: 'Rice' }, whom: 'amina' },
  { who: 'operator', route: 'PATCH /listings/{id:listing}', body: { title: 'White maize' }, whom: 'amina' },
  { who: 'amina', route: 'DELETE /listings/{id:listing}' },
  {
    who: 'operator',
    route: 'POST /prices',
    body: {
      commodity: 'Maize',
      market: 'Nairobi',
      unit: 'KG',
      priceType: 'Retail',
      currency: 'KES',
      date: '2026-10-15',
      price: 9,
    },
  },
  {
    who: 'api',
    route: 'POST /contracts',
    body: { ...deal(1), buyerId: 'amina', supplierId: 'ben' },
    keep: id('contract', 'contractId'),
  },
  { who: 'operator', route: 'PATCH /contracts/{id:contract}', body: { price: 5 } },
  {
    who: 'operator',
    route: 'POST /contracts/{id:contract}/propose',
    body: { proposedBy: 'amina' },
    whom: 'amina@',
  },
  {
    who: 'operator',
    route: 'POST /contracts/{id:contract}/accept',
    body: { acceptedBy: 'ben' },
    whom: 'ben@',
  },
  { who: 'ben', route: 'POST /contracts/{id:contract}/pings', body: { percentComplete: 5 }, whom: 'ben@' },
  {
    who: 'operator',
    route: 'POST /contracts/{id:contract}/settle',
    body: { settledBy: 'ben' },
    whom: 'ben@',
  },
  { who: 'amina', route: 'POST /contracts/{id:contract}/settle', body: {}, whom: 'amina@' },
  {
    who: 'operator',
    route: 'POST /submitRating',
    body: { from: 'amina', score: 3, contractId: '{contract}' },
    whom: 'amina@',
    keep: id('rating', 'ratingId'),
  },
  { who: 'ben', route: 'POST /ratings/{id:rating}/contest', body: { why: 'facts-differ' }, whom: 'ben@' },
  { who: 'amina', route: 'POST /ratings/{id:rating}/uphold', body: { why: 'mistaken' }, whom: 'amina@' },
  {
    who: 'operator',
    route: 'POST /ratings/{id:rating}/dismiss',
    body: { why: 'mistaken' },
    whom: 'amina@',
  },
  {
    who: 'amina',
    route: 'POST /createContract',
    body: { ...deal(1), title: 'Old', buyerId: 'amina', supplierId: 'ben' },
    keep: id('old', 'contractId'),
  },
  { who: 'ben', route: 'POST /contracts/{id:old}/cancel', body: {}, whom: 'ben@' },
  { who: 'amina', route: 'POST /conversations', body: { title: 'Talk' }, keep: id('talk') },
  { who: 'amina', route: 'PUT /conversations/{id:talk}', body: { title: 'Talks' } },
  { who: 'amina', route: 'PATCH /conversations/{id:talk}', body: { title: 'Talk' } },
  { who: 'amina', route: 'POST /conversations/{id:talk}/pin', body: { pinned: true } },
  {
    who: 'operator',
    route: 'POST /messages/{conversationId:talk}',
    body: { from: 'amina', content: 'a word' },
    whom: 'amina',
    keep: (answer, names) => (names['message'] = String((answer['message'] as { id: string }).id)),
  },
  { who: 'amina', route: 'POST /messages/{conversationId:talk}/read', body: { messageId: '{message}' } },
  { who: 'amina', route: 'DELETE /conversations/{id:talk}' },
  { who: 'operator', route: 'POST /trends/snapshots' },
  { who: 'operator', route: 'PUT /federation/profile', body: { name: 'Here' } },
  {
    who: 'newcomer',
    route: 'POST /federation/node/register',
    body: { nodeUrl: 'https://old.example.org', region: 'Coast' },
    keep: id('node', 'nodeId'),
  },
  { who: 'operator', route: 'POST /federation/nodes/{id:node}/fence', body: { fence: 'off' } },
  { who: 'operator', route: 'POST /federation/nodes/{id:node}/revoke' },
  { who: 'operator', route: 'POST /federation/nodes', body: { url: '{+backend}', region: 'West' } },
  {
    who: 'helper',
    route: 'POST /federation/import',
    query: '?source={backend}',
    body: { listings: [], transactions: [], users: [] },
  },
  { who: 'operator', route: 'POST /api/keys', body: { userId: 'zoe' }, whom: 'zoe', keep: id('zoe') },
  { who: 'operator', route: 'POST /api/keys/issue', body: { userId: 'zoe' }, whom: 'zoe' },
  { who: 'operator', route: 'POST /api/keys/issue-key', body: { userId: 'zoe' }, whom: 'zoe' },
  { who: 'operator', route: 'POST /api/keys/{id:zoe}/rotate', body: {}, whom: 'zoe' },
  { who: 'operator', route: 'POST /api/keys/revoke', body: { id: '{zoe}' }, whom: 'zoe' },
  { who: 'operator', route: 'POST /rejoin/force' },
  { who: 'operator', route: 'POST /api/sessions/links' },
  { who: 'operator', route: 'PATCH /users/{id:ben}', body: { phone: '+254700000001' } },
  { who: 'ben', route: 'PATCH /users/{id:ben}', body: { language: 'sw' } },
  { who: 'amina', route: 'POST /attachments', body: { any: 'bytes' } },
  { who: 'amina', route: 'POST /wants', body: { q: 'sorghum', label: 'Brewery' }, keep: id('want') },
  { who: 'amina', route: 'DELETE /wants/{id:want}' },
  { who: 'operator', route: 'POST /wants', body: { q: 'sorghum', userId: 'ben' }, keep: id('other') },
  { who: 'operator', route: 'DELETE /wants/{id:other}', query: '?userId=ben' },
  { who: 'operator', route: 'DELETE /users/{id:ben}' },
  { who: 'operator', route: 'POST /scrub' },
  { who: 'operator', route: 'POST /checkpoints' },
];

/** Records that say themselves who wrote them. */
const IN_OWN_NAME = new Set([
  'amina: POST /listings',
  'amina: PUT /listings/{id:rice}',
  'amina: POST /conversations',
  'amina: PUT /conversations/{id:talk}',
  'amina: PATCH /conversations/{id:talk}',
  'amina: POST /conversations/{id:talk}/pin',
  'amina: POST /messages/{conversationId:talk}/read',
  'amina: DELETE /conversations/{id:talk}',
]);

describe('the audit line of every write', () => {
  it('names the key, the scope that let it through, and for whom it was done', async () => {
    const names: Names = { rice: 'rice', backend: `http://127.0.0.1:${(old.address() as AddressInfo).port}` };
    const wrong: string[] = [];
    let last = (await newest())[0]?.no ?? 0;
    for (const { who, route, query = '', body, whom, keep } of writes()) {
      const [method = '', template = ''] = route.split(' ');
      const fill = (text: string): string =>
        text
          .replaceAll(/\{\+(\w+)\}/g, (_, name: string) => names[name] ?? name)
          .replaceAll(/\{(?:\w+:)?(\w+)\}/g, (_, name: string) => encodeURIComponent(names[name] ?? name));
      const sent: unknown = body === undefined ? undefined : JSON.parse(fill(JSON.stringify(body)));
      const answer = await send(who, method, fill(template + query), sent);
      keep?.((answer ?? {}) as Record<string, unknown>, names);
      const lines = (await newest()).filter(({ no }) => no > last);
      last = lines[0]?.no ?? last;
      const key = keys.get(who)?.id;
      const scope =
        { operator: 'operator', api: 'operator', newcomer: 'register', helper: 'worker' }[who] ?? 'write';
      const found = lines.filter(
        ({ detail }) =>
          detail?.key === key &&
          detail?.scope === scope &&
          (whom === undefined || detail?.for === whom || detail?.for === me(whom.replace('@', ''))),
      );
      const isOwn = IN_OWN_NAME.has(`${who}: ${route}`);
      if (isOwn ? lines.length > 0 : found.length === 0)
        wrong.push(`${who}: ${route}: ${JSON.stringify(lines)}`);
    }
    expect(wrong).toEqual([]);
    const told = JSON.stringify(await newest());
    for (const { key } of keys.values()) expect(told).not.toContain(key);
    for (const secret of [
      'White maize',
      'a word',
      'test-key-of-a-node',
      '+254700000001',
      'sorghum',
      'Brewery',
    ])
      expect(told).not.toContain(secret);
    const { problems } = (await (await node.request('GET', '/logs/verify')).json()) as {
      problems: unknown[];
    };
    expect(problems).toEqual([]);
  });

  it('is one for each step of a contract, whoever holds the key, and says whose step it was', async () => {
    const steps = (await newest()).filter(({ action, note }) => action === 'contract' && note === 'accept');
    expect(steps).toMatchObject([
      { actorId: me('ben'), detail: { key: keys.get('operator')?.id, scope: 'operator', for: me('ben') } },
    ]);
    expect(steps[0]?.transactionId).toBeDefined();
  });

  it('knows every writing route of the document, but those that take another node or a job', async () => {
    const document = (await (await node.app.request('/openapi.json')).json()) as ApiDocument;
    const tried = new Set(writes().map(({ route }) => route.replaceAll(/\{(\w+):\w+\}/g, '{$1}')));
    const elsewhere = operationsOf(document)
      .filter(({ method, operation }) => method !== 'get' && operation['x-access'] !== 'open')
      .map(({ method, path }) => `${method.toUpperCase()} ${path}`)
      .filter((route) => !tried.has(route));
    for (const route of elsewhere)
      expect(route).toMatch(
        /^(POST \/(federation\/(join|nodes|nodes\/\{id\}\/\w+|pull|feed-file|plan|entries|requests|certificates|synced)|jobs.*|alarms\/clear|mirror\/.*|doctor\/diff|import|conflicts\/.*|contracts\/\{id\}\/resolve|notifications\/.*|api\/keys\/validate-key|stream\/.*)|DELETE \/messages\/.*)$/,
      );
  });

  it('counts equal writes of one second in one line, and leaves out those in one’s own name', async () => {
    const before = (await newest())[0]?.no ?? 0;
    for (let n = 0; n < 50; n++) {
      const title = `Bag ${n}`;
      await send('ben', 'POST', '/listings', { type: 'offer', title });
      await send('operator', 'POST', '/listings', { type: 'offer', title, userId: 'ben' });
    }
    await node.stop();
    node = await startNode(dir.path, { RATE_LIMIT: 'off', SYNC_INTERVAL_MINUTES: '0' });
    const lines = (await newest()).filter(({ no, note }) => no > before && note === 'POST /listings');
    expect(lines.length).toBeLessThan(20);
    const counted = lines.reduce((sum, { detail }) => sum + ((detail as { count?: number })?.count ?? 1), 0);
    expect(counted).toBe(50);
    for (const { detail } of lines)
      expect(detail).toMatchObject({ key: keys.get('operator')?.id, scope: 'operator', for: 'ben' });
  });
});
