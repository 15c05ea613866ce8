import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startNode, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';

const dir = tempDir('wants');
let node: TestNode;
let amina: string;
let ben: string;

async function keyOf(userId: string): Promise<string> {
  const issued = await node.request('POST', '/api/keys', { userId, scopes: ['read', 'write'] });
  return ((await issued.json()) as { key: string }).key;
}
beforeAll(async () => {
  node = await startNode(dir.path, { RATE_LIMIT: 'off' });
  amina = await keyOf('amina');
  ben = await keyOf('ben');
});
afterAll(async () => {
  await node.stop();
  dir.remove();
});

interface Want {
  readonly id: string;
  readonly q?: string;
}
interface Line {
  readonly message: string;
  readonly kind: string;
  readonly about: Readonly<Record<string, string>>;
}
/** What the routes that are asked here answer. */
interface Body extends Want {
  readonly listings: string;
  readonly listingId: string;
  readonly wants: readonly Want[];
  readonly notifications: readonly Line[];
  readonly cursor?: string;
  readonly code?: string;
  readonly error?: string;
}
interface Answer {
  readonly status: number;
  readonly json: Body;
  readonly said: string;
}

async function call(key: string | undefined, method: string, path: string, body?: unknown): Promise<Answer> {
  const answer =
    key === undefined
      ? await node.request(method, path, body)
      : await node.app.request(path, {
          method,
          headers: { 'x-api-key': key, 'content-type': 'application/json' },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
  const text = await answer.text();
  const json = (text === '' ? {} : JSON.parse(text)) as Body;
  return {
    status: answer.status,
    json,
    said: `${answer.status} ${json.code ?? ''} ${json.error ?? ''}`,
  };
}
const wantsOf = async (key: string | undefined, query = '') =>
  (await call(key, 'GET', `/wants${query}`)).json.wants;
const linesOf = async (key: string) => {
  const { json } = await call(key, 'GET', '/notifications?limit=500');
  return json.notifications;
};
const list = async (key: string | undefined, fields: Record<string, unknown>): Promise<string> => {
  const { json, said } = await call(key, 'POST', '/listings', { type: 'offer', ...fields });
  expect(said).toMatch(/^201/);
  return json.listingId;
};
/** Everything committed until now has been held against the wants: a want made for this finds a listing made for this. */
let probes = 0;
async function settled(): Promise<void> {
  const probe = `probe${'abcdefghijklmnopqrstuvwxyz'[probes++ % 26]}${'abcdefghijklmnopqrstuvwxyz'[Math.floor(probes / 26)]}`;
  const { json } = await call(undefined, 'POST', '/wants', { userId: 'prober', q: probe });
  await list(undefined, { title: probe });
  await waitFor('the probe', async () => {
    const page = await call(undefined, 'GET', '/notifications?userId=prober&limit=500');
    return page.json.notifications.some(({ about }) => about['wantId'] === json.id);
  });
  await call(undefined, 'DELETE', `/wants/${json.id}?userId=prober`);
}

describe('a want', () => {
  beforeAll(async () => {
    await call(undefined, 'PATCH', '/users/prober', { displayName: 'Prober' });
  });

  it('says again what was asked, and belongs to its user', async () => {
    const asked = { q: 'mahindi', region: 'Nyanza', currency: 'KES', unit: 'kg', priceMax: 60 };
    const until = '2050-01-02T03:04:05.000Z';
    const { status, json } = await call(amina, 'POST', '/wants', { ...asked, label: 'For the mill', until });
    expect(status).toBe(201);
    const want = { ...asked, priceMax: '60', label: 'For the mill', until, userId: 'amina' };
    expect(json).toMatchObject(want);
    expect(json.listings).toBe('/listings?region=Nyanza&q=mahindi&currency=KES&unit=kg&priceMax=60');
    const path = `/wants/${json.id}`;
    expect((await call(amina, 'GET', path)).json).toEqual(json);
    expect(await wantsOf(amina)).toEqual([json]);
    expect(await wantsOf(undefined, '?userId=amina')).toEqual([json]);
    expect(await wantsOf(ben)).toEqual([]);
    for (const method of ['GET', 'DELETE'])
      expect((await call(ben, method, path)).said).toBe('404 not-found Not found');
    expect((await call(ben, 'GET', '/wants?userId=amina')).said).toContain('403 forbidden');
    expect((await call(ben, 'POST', '/wants', { ...asked, userId: 'amina' })).said).toContain('403');
    expect(await wantsOf(undefined)).toEqual([]);
    expect((await call(undefined, 'POST', '/wants', asked)).said).toContain('404 user-unknown');
    expect((await call(undefined, 'POST', '/wants', { ...asked, userId: 'nobody' })).said).toContain(
      '404 user-unknown',
    );
    expect((await node.app.request('/wants')).status).toBe(403);
    expect((await call(amina, 'DELETE', path)).status).toBe(204);
    expect((await call(amina, 'GET', path)).status).toBe(404);
    expect(await wantsOf(amina)).toEqual([]);
  });

  it.each([
    [{}, 'query-invalid', 'at least one filter'],
    [{ q: ' ', region: '', sort: 'newest', fence: 'off' }, 'query-invalid', 'at least one filter'],
    [{ q: 'the' }, 'query-invalid', 'no word'],
    [{ priceMax: 5 }, 'query-invalid', 'currency and unit'],
    [{ q: 'maize', sort: 'distance' }, 'query-invalid', 'coordinates'],
    [{ geoLat_: 1, geoLong_: 2 }, 'query-invalid', 'must be given together'],
    [{ coordinates: 'here', radiusKm: 5 }, 'coordinates-malformed', ''],
    [{ q: 'maize', priceMax: 'cheap' }, 'fields-invalid', 'priceMax'],
    [{ q: 'maize', priceMax: 1e30 }, 'fields-invalid', 'priceMax'],
    [{ q: 'm'.repeat(257) }, 'fields-invalid', 'q'],
    [{ q: 5 }, 'fields-invalid', 'q'],
    [{ q: 'maize', limit: 5 }, 'fields-invalid', 'limit'],
    [{ q: 'maize', label: '' }, 'fields-invalid', 'label'],
    [{ q: 'maize', label: 'a'.repeat(65) }, 'fields-invalid', 'label'],
    [{ q: 'maize', until: 'tomorrow' }, 'fields-invalid', 'until'],
    [{ q: 'maize', until: '2020-01-01T00:00:00Z' }, 'fields-invalid', 'until'],
  ])('%o is refused', async (body, code, words) => {
    const { status, json } = await call(amina, 'POST', '/wants', body);
    expect({ status, code: json.code }).toEqual({ status: 400, code });
    expect(json.error).toContain(words);
  });

  it('tells its user of each listing once: new or changed, and none that was there, is its own or has ended', async () => {
    await list(ben, { title: 'White maize', quantity: 20, unit: 'kg' });
    const { json } = await call(amina, 'POST', '/wants', { q: 'corn', label: 'Corn' });
    const own = await list(amina, { title: 'Own maize' });
    const sold = await list(ben, { title: 'Sold maize', status: 'sold' });
    const beans = await list(ben, { title: 'Beans' });
    const terms = { quantity: 80, unit: 'kg', price: 55, currency: 'KES' };
    const found = await list(ben, { title: 'Yellow maize', ...terms });
    await call(ben, 'PATCH', `/listings/${found}`, { price: 50 });
    const turned = await list(ben, { title: 'Rice' });
    await call(ben, 'PATCH', `/listings/${turned}`, { title: 'Mahindi' });
    await call(ben, 'PATCH', `/listings/${turned}`, { title: 'Maize' });
    const gone = await list(ben, { title: 'Peas' });
    await call(ben, 'DELETE', `/listings/${gone}`);
    await settled();
    const lines = (await linesOf(amina)).filter(({ about }) => about['wantId'] === json.id);
    expect(lines.map(({ message }) => message).toSorted()).toEqual([
      expect.stringMatching(/^New for your search "Corn": 80 kg Yellow maize, 5[05] KES\/kg\.$/),
      expect.stringMatching(/^New for your search "Corn": (Mahindi|Maize)\.$/),
    ]);
    expect(lines.map(({ about }) => about['listingId']).toSorted()).toEqual([found, turned].toSorted());
    expect(lines.every(({ kind }) => kind === 'want')).toBe(true);
    for (const id of [own, sold, beans, gone])
      expect(JSON.stringify(lines)).not.toContain(`"listingId":"${id}"`);
    await call(amina, 'DELETE', `/wants/${json.id}`);
    await list(ben, { title: 'More maize' });
    await settled();
    expect((await linesOf(amina)).length).toBe(lines.length);
  });

  it('is told in the language of its user, and under the name of its words without a label', async () => {
    await call(ben, 'PATCH', '/users/ben', { language: 'sw' });
    await call(ben, 'POST', '/wants', { q: 'ndizi' });
    await call(ben, 'POST', '/wants', { region: 'Coast', type: 'request' });
    await list(amina, { title: 'Ndizi', region: 'Coast', type: 'request' });
    await settled();
    expect((await linesOf(ben)).map(({ message }) => message).toSorted()).toEqual([
      'Mpya kwa utafutaji wako "ndizi": Ndizi.',
      'Mpya kwa utafutaji wako "region=Coast type=request": Ndizi.',
    ]);
  });

  it('under one Idempotency-Key is one want', async () => {
    const save = () =>
      node.app.request('/wants', {
        method: 'POST',
        headers: { 'x-api-key': amina, 'content-type': 'application/json', 'idempotency-key': 'want-one' },
        body: JSON.stringify({ q: 'sesame' }),
      });
    const first = await (await save()).json();
    expect(await (await save()).json()).toEqual(first);
    expect((await wantsOf(amina)).filter(({ q }) => q === 'sesame')).toEqual([first]);
  });

  it('lists them page by page', async () => {
    const carla = await keyOf('carla');
    for (const q of ['one', 'two', 'three', 'four', 'five']) await call(carla, 'POST', '/wants', { q });
    const seen: unknown[] = [];
    for (let from = ''; ;) {
      const { json } = await call(carla, 'GET', `/wants?limit=2${from}`);
      seen.push(...json.wants.map(({ q }) => q));
      if (json.cursor === undefined) break;
      from = `&cursor=${json.cursor}`;
    }
    expect(seen).toEqual(['one', 'two', 'three', 'four', 'five']);
  });
});
