import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { SearchIndex } from '../../../storage/search/search-index.ts';
import { startNode, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

const dir = tempDir('search-api');
let node: TestNode;
beforeAll(async () => {
  node = await startNode(dir.path, { RATE_LIMIT: 'off' });
  for (const [title, commodity, price, quantity, unit, currency, region] of [
    ['White maize, dry', 'Maize (white)', 40, 2000, 'kg', 'KES', 'Nyanza'],
    ['Mahindi meupe', 'Maize', 3600, 20, '90 kg', 'KES', 'Coast'],
    ['Fresh corn', 'Maize', 35, 500, 'KG', 'kes', 'Coast'],
    ['Corn from Uganda', 'Maize', 900, 800, 'kg', 'UGX', 'Nyanza'],
    ['Green grams', 'Beans (mung)', 150, 100, 'kg', 'KES', 'Nyanza'],
    ['Maize, price on request', 'Maize', undefined, 60, 'kg', 'KES', 'Nyanza'],
  ] as const)
    await node.request('POST', '/listings', {
      type: 'offer',
      title,
      commodity,
      quantity,
      unit,
      currency,
      region,
      coordinates:
        region === 'Coast' ? 'geoLat_-4.05000,geoLong_39.67000' : 'geoLat_-0.10000,geoLong_34.75000',
      ...(price === undefined ? {} : { price }),
    });
});
afterAll(async () => {
  await node.stop();
  dir.remove();
});

interface Answer {
  readonly status: number;
  readonly titles: string[];
  readonly error?: string;
  readonly code?: string;
  readonly cursor?: string;
}

async function get(query: string): Promise<Answer> {
  const response = await node.app.request(`/listings?${new URLSearchParams(query).toString()}`);
  const { listings = [], ...rest } = (await response.json()) as { listings?: { title: string }[] };
  return { status: response.status, titles: listings.map(({ title }) => title), ...rest };
}
const KISUMU = 'coordinates=geoLat_-0.10000,geoLong_34.75000';

describe('a search for listings', () => {
  it.each([
    [
      'q=mahindi',
      ['Maize, price on request', 'Corn from Uganda', 'Fresh corn', 'Mahindi meupe', 'White maize, dry'],
    ],
    ['q=MAIZE white', ['White maize, dry']],
    ['q=ndengu', ['Green grams']],
    ['q=gree*', ['Green grams']],
    ['q=wheat', []],
    ['q=corn&region=coast', ['Fresh corn', 'Mahindi meupe']],
    ['q=maize&keyword=FROM', ['Corn from Uganda']],
    ['q=maize&minPrice=100', ['Corn from Uganda', 'Mahindi meupe']],
    ['unit=kg&currency=KES', ['Maize, price on request', 'Green grams', 'Fresh corn', 'White maize, dry']],
    [
      'q=maize&unit=kg&currency=KES&sort=price',
      ['Fresh corn', 'White maize, dry', 'Maize, price on request'],
    ],
    ['unit=kg&currency=KES&priceMin=40&priceMax=150', ['Green grams', 'White maize, dry']],
    ['q=maize&unit=kg&quantityMin=500', ['Corn from Uganda', 'Fresh corn', 'White maize, dry']],
    [
      `q=corn&sort=distance&${KISUMU}`,
      ['Maize, price on request', 'Corn from Uganda', 'White maize, dry', 'Fresh corn', 'Mahindi meupe'],
    ],
    [`q=corn&radiusKm=10&${KISUMU}`, ['Maize, price on request', 'Corn from Uganda', 'White maize, dry']],
    [
      'sort=newest',
      [
        'Maize, price on request',
        'Green grams',
        'Corn from Uganda',
        'Fresh corn',
        'Mahindi meupe',
        'White maize, dry',
      ],
    ],
  ])('%s', async (query, titles) => {
    expect(await get(query)).toMatchObject({ status: 200, titles });
    const paged: string[] = [];
    for (let from = ''; ;) {
      const page = await get(`${query}&limit=1${from}`);
      paged.push(...page.titles);
      if (page.cursor === undefined) break;
      from = `&cursor=${page.cursor}`;
    }
    expect(paged).toEqual(titles);
  });

  it.each([
    ['priceMin=10', 'currency and unit'],
    ['priceMax=10&unit=kg', 'currency and unit'],
    ['sort=price&currency=KES', 'currency and unit'],
    ['quantityMax=5', 'unit'],
    ['sort=distance', 'coordinates'],
    ['q=the', 'no word'],
    ['q=*', 'no word'],
    ['sort=cheapest', 'sort'],
    ['priceMin=much&currency=KES&unit=kg', 'priceMin'],
  ])('%s is refused', async (query, words) => {
    const { status, code, error } = await get(query);
    expect({ status, code }).toEqual({ status: 400, code: 'query-invalid' });
    expect(error).toContain(words);
  });

  it('an empty value is not given, and nothing else is a search', async () => {
    expect((await get('q=&currency=&priceMin=&quantityMax=')).titles).toHaveLength(6);
  });

  it('a cursor is that of its search alone', async () => {
    const { cursor = '' } = await get('q=maize&limit=1');
    expect((await get(`q=corn&limit=1&cursor=${cursor}`)).code).toBe('query-invalid');
  });

  it('finds what was just written, and no more what was just changed, deleted or erased', async () => {
    const created = await node.request('POST', '/listings', { type: 'offer', title: 'Zanzibar cloves' });
    const { listingId } = (await created.json()) as { listingId: string };
    expect((await get('q=clove')).titles).toEqual(['Zanzibar cloves']);
    await node.request('PATCH', `/listings/${listingId}`, { title: 'Zanzibar pepper' });
    expect((await get('q=clove')).titles).toEqual([]);
    expect((await get('q=pepper')).titles).toEqual(['Zanzibar pepper']);
    const swept = vi.spyOn(SearchIndex.prototype, 'sweep');
    expect((await node.request('DELETE', `/listings/${listingId}?erase=true`)).status).toBe(200);
    expect(swept).toHaveBeenCalledWith([node.peerId]);
    swept.mockRestore();
    expect((await get('q=pepper')).titles).toEqual([]);
  });

  it('looks for words of an erased message in no segment', async () => {
    const made = await node.request('POST', '/conversations', { title: 'harvest', participants: ['ann'] });
    const { id } = (await made.json()) as { id: string };
    const url = `/messages/${encodeURIComponent(id)}`;
    const sent = await node.request('POST', url, { from: 'ann', content: 'said' });
    const { message } = (await sent.json()) as { message: { id: string } };
    const swept = vi.spyOn(SearchIndex.prototype, 'sweep');
    expect((await node.request('DELETE', `${url}/${message.id}`)).status).toBe(200);
    expect(swept).not.toHaveBeenCalled();
    swept.mockRestore();
  });
});
