import { getRequestListener } from '@hono/node-server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createProjection } from '../../daemon/mirror/projection.ts';
import { isLive, type RecordState } from '../../protocols/open-dialog/record.ts';
import { COLLECTIONS } from '../../protocols/open-dialog/schema.ts';
import { publicId, parseRecordKey } from '../../protocols/wire/ids.ts';
import { fullKey, innerKey, range } from '../../storage/keyspace.ts';
import { liveItem } from '../../storage/mirror/attributes.ts';
import { Reader } from '../../storage/reader.ts';
import { readRecordRow } from '../../storage/stored-record.ts';
import { type ApiDocument, operationsOf } from '../support/api-document.ts';
import { agrinet } from '../support/cli.ts';
import { Hand, listingOps, randomFrom } from '../support/forge.ts';
import { registerHere, startNode, TEST_KEY, type TestNode } from '../support/in-process-node.ts';
import { serve } from '../support/loopback-server.ts';
import { tempDir } from '../support/temp-dir.ts';
import { type Extremes, extremesFor, TIMES } from './extremes.ts';

/** What peers can sign, at its limits, in every reader: a record that one cannot show would be a fault of ours. */
const SEED = Number(process.env['SEED'] ?? 11);
const random = randomFrom(SEED);
const dir = tempDir('extremes');
let node: TestNode;
let signed: Extremes;
const own: Record<string, string> = {};
const live: RecordState[] = [];

const get = (path: string, accept = 'application/json'): Promise<Response> =>
  Promise.resolve(node.app.request(path, { headers: { 'x-api-key': TEST_KEY, accept } }));
async function made(path: string, body: unknown): Promise<string> {
  const answer = await node.request('POST', path, body);
  expect([path, answer.status]).toEqual([path, 201]);
  return ((await answer.json()) as { id?: string }).id ?? '';
}
const idOf = ({ key }: RecordState): string => {
  const parts = parseRecordKey(key);
  return parts === undefined ? key : publicId(parts);
};
const of = (collection: string): RecordState[] => live.filter(({ key }) => key.startsWith(`${collection}/`));

/** The honest records of this node, one of each kind. */
async function makeOwn(): Promise<void> {
  own['listings'] = await made('/listings', { type: 'offer', status: 'active', title: 'honest' });
  await made('/prices', {
    date: '2026-01-01',
    market: 'honest',
    commodity: 'Maize',
    unit: 'kg',
    currency: 'KES',
    price: 1,
    priceType: 'Retail',
  });
  own['contracts'] = await made('/contracts', { buyerId: 'amina', title: 'honest' });
  own['conversations'] = await made('/conversations', { title: 'honest' });
}

beforeAll(async () => {
  node = await startNode(dir.path, { RATE_LIMIT: 'off' });
  signed = extremesFor(random, node.node.identity.peerId);
  await registerHere(node, signed.peer);
  await makeOwn();
  const told = [];
  for (const entry of signed.entries) told.push(...(await node.node.ledger.receive([entry])));
  expect(told.filter(({ kind }) => kind !== 'accept')).toEqual([]);
  for (const [key, value] of await node.node.db.level.iterator(range('records')).all()) {
    const { state } = readRecordRow(key, value);
    if (isLive(state)) live.push(state);
  }
}, 60_000);
afterAll(async () => {
  await node.stop();
  dir.remove();
});

describe(`values at their limits, in every field of every collection (seed ${SEED})`, () => {
  it('are taken by the rules: what is shown below is really there', async () => {
    const keys = new Set(live.map(({ key }) => key));
    expect(signed.keys.filter((key) => !keys.has(key))).toEqual([]);
    for (const name of Object.keys(COLLECTIONS)) expect([name, of(name).length > 0]).toEqual([name, true]);
    const times = new Set(live.map(({ created: [ms] }) => ms));
    expect(TIMES.filter((ms) => !times.has(ms))).toEqual([]);
    const { ops } = await node.context.reader.verdicts(10_000);
    expect(ops).toEqual([]);
    // No header has a time that is negative or no whole number.
    const hand = new Hand(node.node.identity, '00'.repeat(8));
    for (const ms of [-1, 1.5, 2 ** 53]) {
      const bytes = (): Uint8Array => hand.raw(listingOps(hand.pen, 'x', undefined, {}), { time: [ms, 0] });
      const told = await (async () => (await node.node.ledger.receive([bytes()]))[0]?.kind)().catch(
        () => 'reject',
      );
      expect([ms, told]).toEqual([ms, 'reject']);
    }
  });

  it('take no route away, and leave no record out of any', async () => {
    const document = (await (await node.app.request('/openapi.json')).json()) as ApiDocument;
    const ids: Readonly<Record<string, readonly string[]>> = {
      listings: of('listings').map(idOf),
      contracts: of('contracts').map(idOf),
      conversations: of('conversations').map(idOf),
      messages: of('conversations').map(idOf),
      trends: of('trends').map(idOf),
      trust: of('ratings').map(({ view }) => String(view['to'])),
    };
    const wrong: string[] = [];
    let asked = 0;
    for (const { method, path, operation } of operationsOf(document)) {
      if (method !== 'get') continue;
      const group = path.split('/')[1] ?? '';
      const named = path.includes('{') ? (ids[group] ?? [signed.peer]) : [''];
      const query = (operation.parameters ?? [])
        .filter((each) => each.in === 'query' && (each.required === true || path.startsWith('/ratings/me')))
        .filter(({ name }) => name !== 'cursor' && name !== 'limit')
        .map(({ name }) => `${name}=${name === 'author' || name === 'id' ? signed.peer : 'public'}`);
      for (const id of named) {
        const place = path
          .replace('{collection}', 'listings')
          .replaceAll(/\{\w+\}/g, encodeURIComponent(id.slice(0, 256)));
        for (const accept of ['application/json', 'application/x-ndjson']) {
          asked++;
          const answer = await get(`${place}?${query.join('&')}`, accept);
          const isStream = answer.headers.get('content-type')?.startsWith('text/event-stream') === true;
          const text = isStream ? '' : await answer.text();
          if (isStream) await answer.body?.cancel();
          const expected = path.includes('{') ? answer.status < 500 : answer.ok || answer.status === 409;
          const warning = answer.headers.get('warning');
          if (!expected || warning !== null)
            wrong.push(`${place}: ${answer.status} ${warning} ${text.slice(0, 300)}`);
          if (answer.headers.get('content-type')?.startsWith('application/json') === true && text !== '')
            JSON.parse(text);
        }
      }
    }
    expect(wrong).toEqual([]);
    expect(asked).toBeGreaterThan(200);
  }, 60_000);

  it.each([
    ['/listings?', 'listings'],
    ['/prices?', 'prices'],
    ['/contracts?', 'contracts'],
    ['/conversations?', 'conversations'],
    ['/ratings?', 'ratings'],
    ['/trends/snapshots?', 'trends'],
  ] as const)('stand in %s page by page, each once', async (path, collection) => {
    const seen: string[] = [];
    let from = '';
    for (let page = 0; page < 200; page++) {
      const answer = await get(`${path}limit=3${from}`);
      expect(answer.status).toBe(200);
      const body = (await answer.json()) as Record<string, unknown>;
      const items = Object.values(body).find(Array.isArray) ?? (Array.isArray(body) ? body : []);
      const list = (Array.isArray(body) ? body : items) as Record<string, string>[];
      seen.push(...list.map((item) => item['id'] ?? item['trendId'] ?? ''));
      const cursor = answer.headers.get('x-next-cursor') ?? body['cursor'];
      if (typeof cursor !== 'string') break;
      from = `&cursor=${cursor}`;
    }
    expect(new Set(seen).size).toBe(seen.length);
    expect(
      of(collection)
        .filter(({ view }) => collection !== 'conversations' || view['archived'] !== true)
        .map(idOf)
        .filter((id) => !seen.includes(id)),
    ).toEqual([]);
  });

  it('stand whole in an export, and with the honest ones', async () => {
    const text = await (await get('/federation/export')).text();
    const body = JSON.parse(text) as Record<string, { id: string }[]> & { leftOut?: unknown };
    expect(body.leftOut).toBeUndefined();
    for (const name of ['listings', 'contracts', 'trends']) {
      const there = new Set(body[name]?.map(({ id }) => id));
      const open = of(name).filter(({ channel }) => channel === 'public');
      expect([name, open.map(idOf).filter((id) => !there.has(id))]).toEqual([name, []]);
    }
  });

  it('have each an item in the mirror, or none because it is too large or not to be there', async () => {
    const { db, identity } = node.node;
    const { contracts, conversations, ratings } = node.context;
    const reader = new Reader(db);
    const projection = createProjection({
      db,
      reader,
      self: identity.peerId,
      network: 'test',
      contracts,
      conversations,
      ratings,
    });
    let items = 0;
    for (const { key } of live)
      for (const target of await projection.targets(fullKey('records', key))) {
        const item = await projection.item(target);
        const spec = projection.tables.find(({ name }) => name === target.table);
        if (item === undefined || spec === undefined) continue;
        items++;
        expect(innerKey(item.source)).not.toBe('');
        liveItem(spec, target, item, [1, 1]);
      }
    expect(items).toBeGreaterThan(100);
  });

  it('raise no alarm, and break nothing that listens', async () => {
    const kinds = node.node.alarms.list().map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'listener-failed' || kind === 'record-left-out')).toEqual([]);
    const doctor = await get('/doctor');
    expect(doctor.status).toBe(200);
  });

  it('are taken from own users too, or refused with a reason', async () => {
    const bodies = ['-0', '1e308', '5e-324', '9007199254740993', `"${'['.repeat(4096)}${']'.repeat(4096)}"`];
    for (const value of bodies)
      for (const field of ['quantity', 'notes']) {
        const answer = await node.app.request('/listings', {
          method: 'POST',
          headers: { 'x-api-key': TEST_KEY, 'content-type': 'application/json' },
          body: `{"type":"offer","status":"active","${field}":${value}}`,
        });
        expect([field, value.slice(0, 20), [201, 400].includes(answer.status)]).toEqual([
          field,
          value.slice(0, 20),
          true,
        ]);
      }
  });

  it('are read by the command line', async () => {
    const answer = getRequestListener(node.app.fetch);
    const served = await serve((request, response) => void answer(request, response));
    try {
      for (const words of [['status'], ['trends'], ['conflicts'], ['digest'], ['audit'], ['nodes']]) {
        const { code, stdout, stderr } = await agrinet({ url: served.url, apiKey: TEST_KEY }, words);
        expect([words, code, stderr]).toEqual([words, 0, '']);
        expect(stdout).not.toMatch(/Invalid Date|\[object Object/);
      }
    } finally {
      await served.close();
    }
  }, 120_000);
});
