import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { importFile, type ImportSummary, type RefusedRow } from '../../../daemon/cli/import-run.ts';
import { startNode, TEST_KEY, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

const dir = tempDir('import');
let node: TestNode;
beforeAll(async () => {
  node = await startNode(dir.path);
});
afterAll(async () => {
  await node.stop();
  dir.remove();
});

const HEADER =
  'date,admin1,admin2,market,latitude,longitude,category,commodity,unit,priceflag,pricetype,currency,price,usdprice';
const day = (ahead: number): string =>
  new Date(Date.now() + ahead * 24 * 60 * 60 * 1000).toISOString().slice(0, 10);
let market = 'Mombasa';
let tests = 0;
beforeEach(() => {
  market = `Mombasa ${++tests}`; // a series of its own for each test
});
const row = (date: string, price: number | string, currency = 'KES', admin1 = 'Coast'): string =>
  `${date},${admin1},,${market},,,cereals and tubers,Maize,KG,actual,Wholesale,${currency},${price},0.1`;

async function post(body: string): Promise<Response> {
  return node.app.request('/import', {
    method: 'POST',
    headers: { 'x-api-key': TEST_KEY, 'content-type': 'application/x-ndjson' },
    body,
  });
}
async function importRows(
  rows: readonly string[],
  seller: string | undefined = 'amina',
): Promise<{ summary: ImportSummary; refused: RefusedRow[] }> {
  const refused: RefusedRow[] = [];
  const source = (async function* () {
    yield `${[HEADER, ...rows].join('\n')}\n`;
  })();
  const summary = await importFile(
    { source, post },
    { seller: () => seller, onRefused: (each) => void refused.push(each) },
  );
  return { summary, refused };
}
interface Listing {
  listingId: string;
  price: number;
  priceDate: string;
  currency: string;
  userId?: string;
  [field: string]: unknown;
}
async function listings(): Promise<Listing[]> {
  const found: Listing[] = [];
  let cursor = '';
  do {
    const response = await node.app.request(`/listings?limit=200${cursor && `&cursor=${cursor}`}`);
    const page = (await response.json()) as { listings: Listing[]; cursor?: string };
    found.push(...page.listings);
    cursor = encodeURIComponent(page.cursor ?? '');
  } while (cursor !== '');
  return found.filter((each) => each['market'] === market);
}

describe('listings made from prices', () => {
  it('stay at the newest price, in whatever order files come in', async () => {
    const months = ['2024-03-15', '2019-03-15', '2026-10-15', '2026-09-15', '2023-01-15'];
    for (const [i, date] of months.entries()) await importRows([row(date, i + 1)]);
    expect(await listings()).toEqual([
      expect.objectContaining({ priceDate: '2026-10-15', price: 3, userId: 'amina', status: 'active' }),
    ]);
    // A correction of the same day is taken; the same again changes nothing.
    expect((await importRows([row('2026-10-15', 61)])).summary.listings).toMatchObject({ changed: 1 });
    expect((await importRows([row('2026-10-15', 61)])).summary.listings).toMatchObject({ unchanged: 1 });
    expect((await importRows([row('2019-03-15', 20)])).summary.listings).toMatchObject({ unchanged: 1 });
    expect(await listings()).toMatchObject([{ priceDate: '2026-10-15', price: 61 }]);
  });

  it('are at the newest price after imports that run at once', async () => {
    const months = Array.from({ length: 24 }, (_, i) => `${2020 + (i % 5)}-${(i % 12) + 1}-15`);
    const iso = months.map((date) => date.replace(/-(\d)-/, '-0$1-'));
    await Promise.all(iso.map(async (date, i) => importRows([row(date, i + 1)])));
    const newest = iso.toSorted().at(-1);
    expect(await listings()).toMatchObject([{ priceDate: newest, price: iso.indexOf(newest ?? '') + 1 }]);
  });

  it('keep what their seller says beside the price', async () => {
    await importRows([row('2026-09-15', 50)]);
    const [{ listingId } = { listingId: '' }] = await listings();
    const said = { quantity: 100, notes: 'after four', status: 'paused' };
    expect((await node.request('PATCH', `/listings/${listingId}`, said)).status).toBe(200);
    await importRows([row('2026-10-15', 55)]);
    expect(await listings()).toMatchObject([{ listingId, price: 55, priceDate: '2026-10-15', ...said }]);
  });

  it('of two countries and two regions stand side by side', async () => {
    await importRows([row('2023-01-15', 150, 'KES', ''), row('2023-01-15', 160, 'KES', 'Coast')]);
    await importRows([row('2023-02-15', 3800, 'UGX', ''), row('2023-02-15', 170, 'KES', 'Nairobi')]);
    expect((await listings()).map(({ price }) => price).sort((a, b) => a - b)).toEqual([150, 160, 170, 3800]);
  });

  it('of two sellers are two, and only a user of this node can be one', async () => {
    await importRows([row('2026-10-15', 60)], 'amina');
    await importRows([row('2026-10-15', 60)], 'baraka');
    expect((await listings()).map(({ userId }) => userId).sort()).toEqual(['amina', 'baraka']);
    const { refused } = await importRows([row('2026-10-15', 60)], `mary@${node.peerId}`);
    expect(refused).toEqual([{ line: 2, reason: expect.stringContaining('bare name of a user') as string }]);
  });

  it('do not stay at a day that never came', async () => {
    // As an import of an earlier version, or a seller by hand, may have left it.
    await importRows([row('2026-10-15', 60)]);
    const [{ listingId } = { listingId: '' }] = await listings();
    await node.request('PATCH', `/listings/${listingId}`, { priceDate: '2099-01-15', price: 999 });
    await importRows([row('2026-10-15', 60)]);
    expect(await listings()).toMatchObject([{ priceDate: '2026-10-15', price: 60 }]);
  });

  it('are not made without a seller', async () => {
    const source = (async function* () {
      yield `${HEADER}\n${row('2026-10-15', 60)}\n`;
    })();
    const summary = await importFile({ source, post });
    expect(summary.prices.created).toBe(1);
    expect(await listings()).toEqual([]);
  });
});

describe('a file of listings', () => {
  const COLUMNS = 'title,commodity,quantity,unit,price,currency,region,tags,user';
  const imported = async (
    ...rows: readonly string[]
  ): Promise<{ summary: ImportSummary; refused: RefusedRow[] }> => {
    const refused: RefusedRow[] = [];
    const source = (async function* () {
      yield `${[COLUMNS, ...rows].join('\n')}\n`;
    })();
    const onRefused = (each: RefusedRow): void => void refused.push(each);
    return { summary: await importFile({ source, post }, { seller: () => 'amina', onRefused }), refused };
  };

  it('makes them, changes them when a row says something else, and nothing when it says the same', async () => {
    const maize = (price: number): string => `Maize of ${market},Maize,100,kg,${price},kes,Coast,dry;white,`;
    const beans = `Beans of ${market},Beans,5,sack,9000,KES,,,baraka`;
    expect((await imported(maize(55), beans)).summary.listings).toEqual({
      created: 2,
      changed: 0,
      unchanged: 0,
    });
    expect((await imported(beans, maize(55))).summary.listings).toMatchObject({ unchanged: 2 });
    expect((await imported(maize(60), beans)).summary.listings).toMatchObject({ changed: 1, unchanged: 1 });
    const answer = await node.app.request(`/listings?keyword=${encodeURIComponent(market)}`);
    const found = ((await answer.json()) as { listings: Listing[] }).listings;
    expect(found.toSorted((a, b) => a.price - b.price)).toMatchObject([
      { price: 60, currency: 'KES', quantity: 100, unit: 'kg', tags: ['dry', 'white'], userId: 'amina' },
      { price: 9000, userId: 'baraka' },
    ]);
  });

  it('names by its line what the daemon refuses too', async () => {
    const { summary, refused } = await imported(
      `Good of ${market},,1,kg,1,KES,,,`,
      `Of another node ${market},,1,kg,1,KES,,,mary@${node.peerId}`,
    );
    expect([summary.listings.created, summary.refused]).toEqual([1, 1]);
    expect(refused).toEqual([{ line: 3, reason: expect.stringContaining('bare name of a user') as string }]);
  });
});

it('no listing is given to whoever is no user of this node, however it is written', async () => {
  const seller = `mary@${node.peerId}`;
  const listing = { type: 'offer', title: `Of ${market}` };
  const made = await node.request('POST', '/listings', listing);
  expect(made.status).toBe(201);
  const { listingId } = (await made.json()) as Listing;
  for (const [method, path] of [
    ['POST', '/listings'],
    ['PUT', `/listings/${listingId}`],
    ['PATCH', `/listings/${listingId}`],
  ] as const)
    for (const userId of [seller, 'mary\n'])
      expect((await node.request(method, path, { ...listing, userId })).status, `${method} ${userId}`).toBe(
        400,
      );
});

describe('rows that are no price', () => {
  it.each([
    ['a price of 0', () => row('2026-10-15', 0)],
    ['a price of minus 0', () => row('2026-10-15', '-0')],
    ['a price beyond all sums', () => row('2026-10-15', '1e300')],
    ['no number', () => row('2026-10-15', 'NaN')],
    ['a day more than one ahead', () => row(day(3), 60)],
    ['the year 2099', () => row('2099-01-15', 999)],
    ['the year 206', () => row('0206-01-15', 16)],
  ])('%s is refused with its line, and the rest goes in', async (_, bad) => {
    const { summary, refused } = await importRows([row('2026-08-15', 40), bad(), row('2026-09-15', 50)]);
    expect(refused.map(({ line }) => line)).toEqual([3]);
    expect(refused[0]?.reason).toMatch(/price|date/);
    expect(summary).toMatchObject({ prices: { created: 2 }, refused: 1 });
    expect(await listings()).toMatchObject([{ priceDate: '2026-09-15', price: 50 }]);
  });

  it('today’s and tomorrow’s price, as east of here, is taken', async () => {
    expect((await importRows([row(day(0), 60), row(day(1), 61)])).refused).toEqual([]);
    expect(await listings()).toMatchObject([{ priceDate: day(1), price: 61 }]);
  });

  it('is refused by POST /prices, too', async () => {
    const price = {
      date: '2026-10-15',
      market,
      commodity: 'Maize',
      unit: 'KG',
      currency: 'KES',
      priceType: 'Retail',
      price: 60,
    };
    for (const over of [{ price: 0 }, { date: '2099-01-15' }, { date: '2026-02-30' }, { price: '0' }])
      expect((await node.request('POST', '/prices', { ...price, ...over })).status).toBe(400);
    expect((await node.request('POST', '/prices', price)).status).toBe(201);
  });

  it('is refused of a listing, whichever way it comes; a price without its day may be 0', async () => {
    const offer = { type: 'offer', title: 'Maize', price: 5, priceDate: '2026-10-15' };
    const { listingId } = (await (await node.request('POST', '/listings', offer)).json()) as Listing;
    const path = `/listings/${listingId}`;
    for (const over of [
      { price: 0 },
      { priceDate: '2099-01-15' },
      { priceDate: '2026-02-30' },
      { price: '0' },
    ]) {
      for (const [method, at, body] of [
        ['POST', '/listings', { ...offer, ...over }],
        ['PUT', '/listings/other', { ...offer, ...over }],
        ['PATCH', path, over],
      ] as const) {
        const response = await node.request(method, at, body);
        expect([method, over, response.status]).toEqual([method, over, 400]);
      }
      const imported = await post(JSON.stringify({ kind: 'listing', id: 'other', ...offer, ...over }));
      expect(await imported.text()).toMatch(/"refused":\[\{"line":1,[^}]*price/);
    }
    expect(await (await node.request('GET', path)).json()).toMatchObject({
      price: 5,
      priceDate: '2026-10-15',
    });
    expect((await node.request('PATCH', path, { price: 0, priceDate: null })).status).toBe(200);
    expect((await node.request('PATCH', path, { priceDate: '2026-10-15' })).status).toBe(400);
    const free = { type: 'offer', title: 'Surplus', price: 0 };
    expect((await node.request('POST', '/listings', free)).status).toBe(201);
  });
});

it('nobody makes a contract on a listing that no user stands behind', async () => {
  const offer = { type: 'offer', title: 'Maize', quantity: 10, unit: 'kg', price: 5, currency: 'KES' };
  const made = (await (await node.request('POST', '/listings', offer)).json()) as Listing;
  for (const body of [{ buyerId: 'baraka' }, { buyerId: 'baraka', supplierId: 'amina' }, {}]) {
    const response = await node.request('POST', '/contracts', {
      ...body,
      listingId: made.listingId,
      quantity: 2,
    });
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([
      409,
      'listing-without-seller',
    ]);
  }
});
