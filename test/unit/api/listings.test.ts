import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startNode, TEST_KEY, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

const dir = tempDir('api');
let node: TestNode;
beforeAll(async () => {
  node = await startNode(dir.path, { REGION: 'Nairobi' });
});
afterAll(async () => {
  await node.stop();
  dir.remove();
});

interface Listing {
  listingId: string;
  title?: string;
  status: string;
  updatedAt: string;
  [field: string]: unknown;
}
const post = async (body: unknown): Promise<Listing> => {
  const response = await node.request('POST', '/listings', body);
  expect(response.status).toBe(201);
  return (await response.json()) as Listing;
};
const list = async (query: string): Promise<{ listings: Listing[]; cursor?: string }> =>
  (await (await node.app.request(`/listings?${query}`)).json()) as { listings: Listing[]; cursor?: string };

describe('/listings', () => {
  it('answers 201 with a URL-safe id, and the listing is there for anybody', async () => {
    const made = await post({ type: 'offer', title: 'Maize', price: 12.5, images: ['a.png'] });
    expect(made.listingId).toMatch(/^[A-Za-z0-9._~-]+$/);
    const read = await node.app.request(`/listings/${made.listingId}`);
    expect(await read.json()).toMatchObject({
      title: 'Maize',
      price: 12.5,
      status: 'active',
      images: ['a.png'],
    });
  });

  it.each([
    [{ title: 'no type' }, 'type: required'],
    [{ type: 'offer' }, 'one of title, commodity or productId'],
    [{ type: 'gift', title: 'x' }, 'type: Invalid option: expected one of "offer"|"request"'],
    [{ type: 'offer', title: 'x', price: -1 }, 'price: must be at least 0'],
    [{ type: 'offer', title: 'x', email: 'a@b.example' }, 'email: not a field of listings'],
    [{ type: 'offer', title: 'x', geoLat_: 'north' }, 'geoLat_: must match'],
  ])('refuses %j with what is wrong', async (body, message) => {
    const response = await node.request('POST', '/listings', body);
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: expect.stringContaining(message),
      code: 'fields-invalid',
    });
  });

  it.each([
    ['not JSON', 'body-malformed', 400],
    ['', 'body-malformed', 400],
    ['[]', 'fields-invalid', 400],
    ['null', 'fields-invalid', 400],
    [`{"title":"${'x'.repeat(300_000)}"}`, 'body-too-large', 413],
  ])('refuses a body that is no listing (%#)', async (body, code, status) => {
    const response = await node.app.request('/listings', {
      method: 'POST',
      headers: { 'x-api-key': TEST_KEY, 'content-type': 'application/json' },
      body,
    });
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ code });
  });

  it('refuses JSON under another content type, and writes nothing', async () => {
    const before = await node.digest();
    const response = await node.app.request('/listings', {
      method: 'POST',
      headers: { 'x-api-key': TEST_KEY },
      body: JSON.stringify({ type: 'offer', title: 'Maize' }),
    });
    expect(response.status).toBe(415);
    expect(await response.json()).toMatchObject({ code: 'media-unsupported' });
    expect(await node.digest()).toBe(before);
  });

  it('patches, replaces and retires; an ended listing stays ended', async () => {
    const { listingId } = await post({ type: 'offer', title: 'Beans', notes: 'dry', id: 'beans' });
    const patched = await node.request('PATCH', `/listings/${listingId}`, { price: 80, notes: null });
    expect(await patched.json()).toMatchObject({ price: 80, title: 'Beans' });
    const replaced = (await (
      await node.request('PUT', '/listings/beans', { type: 'offer', title: 'Beans' })
    ).json()) as Listing;
    expect(replaced).toMatchObject({ changed: true, title: 'Beans' });
    expect(replaced).not.toHaveProperty('price');
    const again = await node.request('PUT', '/listings/beans', { type: 'offer', title: 'Beans' });
    expect(await again.json()).toMatchObject({ changed: false });
    expect((await node.request('DELETE', '/listings/beans')).status).toBe(204);
    expect((await node.request('GET', '/listings/beans')).status).toBe(404);
    const revived = await node.request('PUT', '/listings/beans', { type: 'offer', title: 'Beans' });
    expect(await revived.json()).toMatchObject({ code: 'record-ended' });
    expect((await node.request('DELETE', '/listings/beans')).status).toBe(404);
  });

  it('filters, and pages through everything exactly once', async () => {
    for (let i = 0; i < 25; i++) {
      const region = i % 2 === 0 ? 'Coast' : 'Rift Valley';
      await post({ type: 'request', commodity: 'Sorghum', title: `S${i}`, region });
    }
    const seen: string[] = [];
    let cursor = '';
    do {
      const page = await list(`commodity=sorghum&limit=7${cursor}`);
      seen.push(...page.listings.map((each) => each.listingId));
      cursor = page.cursor === undefined ? '' : `&cursor=${page.cursor}`;
    } while (cursor !== '');
    expect(seen).toHaveLength(25);
    expect(new Set(seen).size).toBe(25);
    expect((await list('commodity=Sorghum&region=coast&limit=100')).listings).toHaveLength(13);
    expect((await list(`owner=${node.peerId}&type=request&limit=100`)).listings).toHaveLength(25);
    const newest = await list('limit=3');
    expect(newest.listings.map((each) => each.title)).toEqual(['S24', 'S23', 'S22']);
    const next = await list(`limit=3&cursor=${newest.cursor}`);
    expect(next.listings.map((each) => each.title)).toEqual(['S21', 'S20', 'S19']);
  });

  it('finds what lies within a radius, as brute force does', async () => {
    const points = Array.from({ length: 60 }, (_, i) => ({
      lat: -4 + (i % 10) * 0.9,
      long: 34 + Math.floor(i / 10) * 1.1,
    }));
    for (const { lat, long } of points) {
      await post({
        type: 'offer',
        title: 'geo',
        productId: 'geo',
        geoLat_: lat.toFixed(5),
        geoLong_: long.toFixed(5),
      });
    }
    const rad = Math.PI / 180;
    const km = (a: { lat: number; long: number }, b: { lat: number; long: number }): number =>
      6371 *
      Math.acos(
        Math.min(
          1,
          Math.sin(a.lat * rad) * Math.sin(b.lat * rad) +
            Math.cos(a.lat * rad) * Math.cos(b.lat * rad) * Math.cos((a.long - b.long) * rad),
        ),
      );
    for (const radius of [5, 50, 150, 600]) {
      const from = { lat: -1.3, long: 36.3 };
      const expected = points.filter((point) => km(from, point) <= radius).length;
      const { listings } = await list(
        `geoLat_=${from.lat}&geoLong_=${from.long}&radiusKm=${radius}&productId=geo&limit=500`,
      );
      expect(listings).toHaveLength(expected);
    }
    const bad = await node.app.request('/listings?geoLat_=91&geoLong_=0&radiusKm=1');
    expect(bad.status).toBe(400);
  });
});

describe('who may call', () => {
  const writes: [string, string][] = [
    ['POST', '/listings'],
    ['PATCH', '/listings/x'],
    ['PUT', '/listings/x'],
    ['DELETE', '/listings/x'],
    ['POST', '/prices'],
    ['POST', '/import'],
    ['POST', '/contracts'],
    ['GET', '/conflicts'],
    ['POST', '/conflicts/x/resolve'],
    ['PUT', '/federation/profile'],
    ['POST', '/federation/join'],
    ['POST', '/federation/node/register'],
    ['POST', '/federation/nodes/x/suspend'],
    ['POST', '/federation/nodes/x/resume'],
    ['GET', '/federation/ops'],
    ['GET', '/federation/peers'],
  ];
  it.each(writes)('%s %s needs the key', async (method, path) => {
    for (const headers of [{}, { 'x-api-key': 'wrong' }]) {
      const response = await node.app.request(path, { method, headers });
      expect(response.status).toBe(403);
      expect(await response.json()).toEqual({
        error: 'Unauthorized: Invalid API Key',
        message: 'Unauthorized: Invalid API Key',
        code: 'unauthorized',
        requestId: response.headers.get('x-request-id'),
      });
    }
  });

  it.each([
    '/health',
    '/ready',
    '/',
    '/listings',
    '/prices',
    '/federation/identity',
    '/federation/nodes',
    '/federation/status',
    '/federation/digest',
    '/federation/export',
    '/federation/feeds',
  ])('GET %s needs none', async (path) => {
    expect((await node.app.request(path)).status).toBe(200);
  });
});

it('writes the profile in the node template and reads it back', async () => {
  const put = await node.request('PUT', '/federation/profile', {
    production: { capabilities: ['maize'] },
    services: { messaging: { enabled: true } },
  });
  expect(put.status).toBe(200);
  const read = await (await node.app.request('/federation/profile')).json();
  expect(read).toMatchObject({
    nodeId: node.peerId,
    production: { capabilities: ['maize'] },
    services: { messaging: { enabled: true, levesonRatings: [] }, financial: { grants: [] } },
    reputation: { leveson: 0 },
    interoperability: [],
  });
});

it('shows of its own reputation what it counts, whatever the profile claims, in the answer to a write too', async () => {
  const put = await node.request('PUT', '/federation/profile', { reputation: { leveson: 100 } });
  expect(put.status).toBe(200);
  const profile = await put.json();
  expect(profile).toMatchObject({ reputation: { leveson: 0 } });
  expect(await (await node.app.request('/federation/profile')).json()).toEqual(profile);
});

it('takes prices as JSON and as NDJSON; the same price twice is one', async () => {
  const price = {
    date: '2024-01-15',
    market: 'Kitui',
    commodity: 'Maize',
    unit: 'KG',
    currency: 'KES',
    price: 17,
    priceType: 'Retail',
  };
  expect(await (await node.request('POST', '/prices', price)).json()).toMatchObject({ created: 1 });
  const body = [price, { ...price, price: 18 }, { ...price, price: 'dear' }]
    .map((row) => JSON.stringify(row))
    .join('\n');
  const response = await node.app.request('/prices', {
    method: 'POST',
    headers: { 'x-api-key': TEST_KEY, 'content-type': 'application/x-ndjson' },
    body,
  });
  expect(await response.json()).toMatchObject({ created: 1, unchanged: 1, refused: [{ line: 3 }] });
  const { prices } = (await (await node.app.request('/prices?market=kitui')).json()) as { prices: unknown[] };
  expect(prices).toHaveLength(2);
  const lines = await node.app.request('/prices?market=kitui&limit=1', {
    headers: { accept: 'application/x-ndjson' },
  });
  expect((await lines.text()).trim().split('\n')).toHaveLength(1);
  const next = /<(.*)>; rel="next"/.exec(lines.headers.get('link') ?? '')?.[1];
  const rest = (await (await node.app.request(`/prices${next}`)).json()) as {
    prices: unknown[];
    cursor?: string;
  };
  expect(rest.prices).toHaveLength(1);
});

it('shows what others wrote as text, never as markup', async () => {
  await post({ type: 'offer', title: '<script>alert(1)</script>', market: '"><img src=x>' });
  for (const path of ['/', '/status-page']) {
    const response = await node.app.request(path);
    const page = await response.text();
    expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
    expect(page).not.toContain('<script>alert');
    expect(page).not.toContain('<img src=x>');
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
  }
});
