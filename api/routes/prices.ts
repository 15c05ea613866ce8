import { Hono } from 'hono';
import type { Guards } from '../guards.ts';
import { jsonBody, queryNumber } from '../body.ts';
import type { ApiContext } from '../context.ts';
import { takeRows } from '../rows.ts';
import { listQuery, recordJson } from '../records.ts';

export function priceRoutes(node: ApiContext, { needsKey, mayRead }: Guards): Hono {
  const routes = new Hono();
  routes.post('/', needsKey, async (c) => {
    if (c.req.header('content-type')?.includes('ndjson') !== true) {
      const { state, created } = await node.catalogue.addPrice(await jsonBody(c));
      return c.json(
        {
          created: created ? 1 : 0,
          unchanged: created ? 0 : 1,
          refused: [],
          price: recordJson(state, 'priceId'),
        },
        201,
      );
    }
    const totals = await takeRows(c.req.raw.body, (row) => node.catalogue.addPrice(row));
    const { created, unchanged, refused } = totals;
    return c.json({ created, unchanged, refused }, 201);
  });
  routes.get('/', mayRead, async (c) => {
    const query = listQuery(c, ['market', 'commodity']);
    const { records, cursor } = await node.reader.list(
      'prices',
      query,
      queryNumber(c, 'limit', 50, 1, 500),
      c.req.query('cursor'),
    );
    const prices = records.map((state) => recordJson(state, 'priceId'));
    if (c.req.header('accept')?.includes('ndjson') === true) {
      // The cursor has no place among the lines: it stands in the Link header (RFC 8288).
      if (cursor !== undefined) c.header('link', `<?${nextQuery(c.req.url, cursor)}>; rel="next"`);
      c.header('content-type', 'application/x-ndjson');
      return c.body(prices.map((price) => `${JSON.stringify(price)}\n`).join(''));
    }
    return c.json({ prices, ...(cursor === undefined ? {} : { cursor }) });
  });
  return routes;
}

function nextQuery(url: string, cursor: string): string {
  const query = new URL(url).searchParams;
  query.set('cursor', cursor);
  return query.toString();
}
