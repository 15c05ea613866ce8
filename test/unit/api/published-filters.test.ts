import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startNode, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';

const dir = tempDir('published-filters');
let node: TestNode;
beforeAll(async () => {
  node = await startNode(dir.path);
  for (const [title, location, price, type] of [
    ['White Maize', 'Nairobi West', 10, 'offer'],
    ['maize flour (2 kg)', 'nairobi', 20, 'request'],
    ['Beans', 'Mombasa', 30, 'offer'],
    ['Maize, no price', 'Kisumu', undefined, 'offer'],
    ['Beans of a.maize', 'Na.robi', 20.5, 'offer'],
  ] as const)
    await node.request('POST', '/listings', {
      title,
      location,
      type,
      ...(price === undefined ? {} : { price }),
    });
});
afterAll(async () => {
  await node.stop();
  dir.remove();
});

/** `location` and `keyword` (of the title) are parts in any case, `type` is the whole, prices are within both bounds; empty is not given. */
describe('GET /listings as the published back end has it', () => {
  it.each([
    ['keyword=maize', ['Beans of a.maize', 'Maize, no price', 'White Maize', 'maize flour (2 kg)']],
    ['keyword=MAIZE&type=request', ['maize flour (2 kg)']],
    ['keyword=(2 KG)', ['maize flour (2 kg)']],
    ['keyword=a.maize', ['Beans of a.maize']],
    ['location=nairobi', ['White Maize', 'maize flour (2 kg)']],
    ['location=na.robi', ['Beans of a.maize']],
    ['minPrice=20', ['Beans', 'Beans of a.maize', 'maize flour (2 kg)']],
    ['maxPrice=20', ['White Maize', 'maize flour (2 kg)']],
    ['minPrice=20&maxPrice=20.5', ['Beans of a.maize', 'maize flour (2 kg)']],
    ['minPrice=0', ['Beans', 'Beans of a.maize', 'White Maize', 'maize flour (2 kg)']],
    ['location=nairobi&type=offer&minPrice=5&maxPrice=15&keyword=white', ['White Maize']],
    ['keyword=wheat', []],
    ['location=&type=&minPrice=&maxPrice=&keyword=beans', ['Beans', 'Beans of a.maize']],
  ])('%s', async (query, titles) => {
    const response = await node.app.request(`/listings?${new URLSearchParams(query).toString()}`);
    expect(response.status).toBe(200);
    expect(response.headers.has('warning')).toBe(false);
    const { listings } = (await response.json()) as { listings: { title: string }[] };
    expect(listings.map(({ title }) => title).sort()).toEqual(titles);
  });

  it('goes on with a cursor over what a filter leaves', async () => {
    const titles: string[] = [];
    for (let from = ''; ;) {
      const page = await node.app.request(`/listings?keyword=maize&limit=1${from}`);
      const { listings, cursor } = (await page.json()) as { listings: { title: string }[]; cursor?: string };
      titles.push(...listings.map(({ title }) => title));
      if (cursor === undefined) break;
      from = `&cursor=${cursor}`;
    }
    expect(titles.sort()).toEqual([
      'Beans of a.maize',
      'Maize, no price',
      'White Maize',
      'maize flour (2 kg)',
    ]);
  });
});
