import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';
import { befriend, startNode, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';

interface Row {
  readonly title: string;
  readonly reason?: string;
  readonly outside?: string;
  readonly id: string;
}
/** Around Fiji: a circle of 300 km, and a box, both over the antimeridian. */
const FIJI = '-17.00000,179.80000,300';
const BOX = {
  type: 'Feature',
  properties: {},
  geometry: {
    type: 'Polygon',
    coordinates: [
      [
        [178, -19],
        [-178, -19],
        [-178, -15],
        [178, -15],
        [178, -19],
      ],
    ],
  },
};
const PLACES: Readonly<Record<string, string | undefined>> = {
  suva: 'geoLat_-18.14160,geoLong_178.44190',
  taveuni: 'geoLat_-16.80000,geoLong_-179.90000',
  lomaloma: 'geoLat_-17.28000,geoLong_-178.98000',
  auckland: 'geoLat_-36.85000,geoLong_174.76000',
  nairobi: 'geoLat_-1.28330,geoLong_36.81670',
  nowhere: undefined,
};

let dirs: ReturnType<typeof tempDir>[];
const nodes: TestNode[] = [];
let a: TestNode;
let b: TestNode;
const me = identityFromSeed(randomBytes(32));

beforeEach(async () => {
  dirs = [tempDir('fence'), tempDir('fence')];
  a = await startNode(dirs[0]?.path ?? '');
  b = await startNode(dirs[1]?.path ?? '', { MYCELIUM_PEERS: a.addresses[0] ?? '', GEOFENCE: FIJI }, me);
  nodes.push(a, b);
  await befriend(a, b);
  for (const [title, coordinates] of Object.entries(PLACES)) {
    const made = await a.request('POST', '/listings', { type: 'offer', title, id: title, coordinates });
    expect(made.status).toBe(201);
    if (coordinates !== undefined) expect(await made.json()).toMatchObject({ coordinates });
  }
  const digest = await a.digest();
  await waitFor('the listings to be there', async () => (await b.digest()) === digest);
});
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop()));
  for (const dir of dirs) dir.remove();
});

const ask = async <T>(node: TestNode, path: string): Promise<T> =>
  (await (await node.app.request(path)).json()) as T;
const titles = async (node: TestNode, query = ''): Promise<string[]> =>
  (await ask<{ listings: Row[] }>(node, `/listings?limit=100${query}`)).listings
    .map(({ title }) => title)
    .sort();
/** Through all pages, two rows each. */
async function outside(node: TestNode): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (let cursor = ''; ;) {
    const page = await ask<{ outside: Row[]; cursor?: string }>(
      node,
      `/geofence/outside?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`,
    );
    for (const { title, reason } of page.outside) {
      expect(found).not.toHaveProperty(title);
      found[title] = reason ?? '';
    }
    if (page.cursor === undefined) return found;
    cursor = page.cursor;
  }
}
const WITHIN = ['lomaloma', 'suva', 'taveuni'];
const OUTSIDE = { auckland: 'outside-fence', nairobi: 'outside-fence', nowhere: 'no-coordinates' };

describe('GEOFENCE', () => {
  it('leaves out of lists what lies outside, says why, and changes no digest', async () => {
    expect(await titles(b)).toEqual(WITHIN);
    expect(await titles(a)).toEqual(Object.keys(PLACES).sort());
    expect(await outside(b)).toEqual(OUTSIDE);
    expect(await outside(a)).toEqual({});
    expect(await titles(b, '&fence=off')).toEqual(Object.keys(PLACES).sort());
    expect(await ask(b, `/listings/${a.peerId}.nairobi`)).toMatchObject({ outside: 'outside-fence' });
    expect(await ask(b, `/listings/${a.peerId}.suva`)).not.toHaveProperty('outside');
    expect(await b.digest()).toBe(await a.digest());
    const page = await (await b.app.request('/status-page')).text();
    expect(page).toContain('taveuni');
    expect(page).not.toContain('auckland');
    expect(await ask(b, '/geofence')).toEqual({ fence: '-17,179.8,300', active: true });
  });

  it('never fences own listings, and pages through what is inside', async () => {
    for (const title of ['mine', 'mine too'])
      expect((await b.request('POST', '/listings', { type: 'offer', title })).status).toBe(201);
    const seen: string[] = [];
    for (let cursor = ''; ;) {
      const page = await ask<{ listings: Row[]; cursor?: string }>(b, `/listings?limit=2${cursor}`);
      seen.push(...page.listings.map(({ title }) => title));
      if (page.cursor === undefined) break;
      cursor = `&cursor=${page.cursor}`;
    }
    expect(seen.sort()).toEqual([...WITHIN, 'mine', 'mine too'].sort());
  });

  it('lets in what it held outside when the fence moves', async () => {
    await b.stop();
    nodes.splice(nodes.indexOf(b), 1);
    const file = join(dirs[1]?.path ?? '', 'fence.geojson');
    writeFileSync(file, JSON.stringify(BOX));
    for (const [fence, shown] of [
      ['geoLat_-1.28330,geoLong_36.81670,10', ['nairobi']],
      [file, WITHIN],
      ['', Object.keys(PLACES).sort()],
    ] as const) {
      const moved = await startNode(dirs[1]?.path ?? '', { GEOFENCE: fence }, me);
      try {
        expect(await titles(moved)).toEqual(shown);
        expect(Object.keys(await outside(moved))).toHaveLength(6 - shown.length);
      } finally {
        await moved.stop();
      }
    }
    writeFileSync(file, '{"type":"Point","coordinates":[0,0]}');
    await expect(startNode(dirs[1]?.path ?? '', { GEOFENCE: file }, me)).rejects.toThrow(/GEOFENCE/);
    await expect(startNode(dirs[1]?.path ?? '', { GEOFENCE: '91.0,0.0,5' }, me)).rejects.toThrow(/GEOFENCE/);
  });

  it('has another fence for one source, which outlives a restart', async () => {
    const set = (fence: unknown): Promise<Response> =>
      b.request('POST', `/federation/nodes/${a.peerId}/fence`, { fence });
    expect(await titles(b)).toEqual(WITHIN);
    expect(await (await set('off')).json()).toMatchObject({ nodeId: a.peerId, fence: 'off' });
    expect(await titles(b)).toEqual(Object.keys(PLACES).sort());
    expect((await set({ type: 'Polygon', coordinates: BOX.geometry.coordinates })).status).toBe(200);
    expect(await titles(b)).toEqual(WITHIN);
    expect((await set('-36.85000,174.76000,5')).status).toBe(200);
    expect(await titles(b)).toEqual(['auckland']);
    for (const bad of ['/etc/hosts', '91.0,0.0,5', { type: 'Point' }, '']) {
      const refused = await set(bad);
      expect(refused.status).toBe(400);
    }
    expect((await b.request('POST', '/federation/nodes/nobody/fence', { fence: 'off' })).status).toBe(404);
    await b.stop();
    nodes.splice(nodes.indexOf(b), 1);
    const again = await startNode(dirs[1]?.path ?? '', { GEOFENCE: FIJI }, me);
    nodes.push(again);
    expect(await titles(again)).toEqual(['auckland']);
    const back = await again.request('POST', `/federation/nodes/${a.peerId}/fence`, { fence: 'default' });
    expect(back.status).toBe(200);
    expect(await titles(again)).toEqual(WITHIN);
  });

  it('filters what came from old nodes', async () => {
    const at = new Date().toISOString();
    const listings = [
      { id: '1', title: 'old inside', geoLat_: -17, geoLong_: -179.5, updatedAt: at },
      { id: '2', title: 'old outside', geoLat_: '0.50000', geoLong_: '0.50000', updatedAt: at },
      { id: '3', title: 'old nowhere', updatedAt: at },
      { id: '4', title: 'old in text', location: 'geoLat_-17.10000,geoLong_179.90000', updatedAt: at },
    ];
    const sent = await b.request('POST', '/federation/import', { listings });
    expect(await sent.json()).toMatchObject({ imported: 4 });
    const { items } = await ask<{ items: Row[] }>(b, '/federation/legacy/listings');
    expect(items.map(({ title }) => title).sort()).toEqual(['old in text', 'old inside']);
    expect((await ask<{ items: Row[] }>(b, '/federation/legacy/listings?fence=off')).items).toHaveLength(4);
    expect(await outside(b)).toEqual({
      ...OUTSIDE,
      'old outside': 'outside-fence',
      'old nowhere': 'no-coordinates',
    });
  });
});

describe('coordinates', () => {
  it('are read and written in the Agrinet form', async () => {
    const body = { type: 'offer', title: 'Beans', coordinates: 'geoLat_-0.10230,geoLong_34.76170' };
    const made = (await (await a.request('POST', '/listings', body)).json()) as Record<string, unknown>;
    expect(made).toMatchObject({ ...body, geoLat_: '-0.10230', geoLong_: '34.76170' });
    const id = String(made['listingId']);
    const near = 'coordinates=geoLat_-0.10000,geoLong_34.76000&radiusKm=5';
    expect(await titles(a, `&${near}`)).toEqual(['Beans']);
    const moved = await a.request('PATCH', `/listings/${id}`, {
      coordinates: 'geoLat_1.00000,geoLong_2.00000',
    });
    expect(await moved.json()).toMatchObject({ geoLat_: '1.00000', geoLong_: '2.00000' });
    const without = await a.request('PATCH', `/listings/${id}`, { coordinates: null });
    expect(without.status).toBe(200);
    const bare = (await without.json()) as Record<string, unknown>;
    expect(bare).toMatchObject({ listingId: id, title: 'Beans' });
    for (const gone of ['coordinates', 'geoLat_', 'geoLong_']) expect(bare).not.toHaveProperty(gone);
    expect(await (await a.request('GET', `/listings/${id}`)).json()).not.toHaveProperty('geoLat_');
    for (const [fields, code] of [
      [{ coordinates: 'geoLat_-0,geoLong_34' }, 'coordinates-malformed'],
      [{ coordinates: 'geoLat_91.00000,geoLong_34.00000' }, 'coordinates-malformed'],
      [{ coordinates: 'x'.repeat(65) }, 'coordinates-malformed'],
      [{ coordinates: 7 }, 'fields-invalid'],
      [{ ...body, geoLat_: '5.00000' }, 'fields-invalid'],
    ] as const) {
      const refused = await a.request('PATCH', `/listings/${id}`, fields);
      expect(refused.status).toBe(400);
      expect(await refused.json()).toMatchObject({ code });
    }
  });
});
