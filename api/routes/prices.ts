import { z } from '@hono/zod-openapi';
import type { ApiContext } from '../context.ts';
import { listQuery, priceJson } from '../records.ts';
import { bodyChunks } from '../raw-body.ts';
import { json, jsonOrLines, jsonOrMedia, route, router } from '../route.ts';
import { takeRows } from '../rows.ts';
import { fieldsInput } from '../field-inputs.ts';
import { Price } from '../market-schemas.ts';
import { COLLECTIONS } from '../../protocols/open-dialog/schema.ts';
import { count, filterQuery, ownerQuery, pageOf, pageQuery, text } from '../schemas.ts';
import { nextOf, placeOf } from '../paging.ts';
import { Shown } from '../left-out.ts';

const FILTERS = ['market', 'commodity'] as const;
const tags = ['Prices'];
const NDJSON = 'application/x-ndjson';

const required = COLLECTIONS['prices']?.required ?? [];
const createBody = fieldsInput('prices', { name: 'PriceInput', described: Price.shape, required }, {});
const PriceReceipt = z
  .object({
    created: count('Number of prices created.'),
    unchanged: count('Number of prices that existed already.'),
    refused: z
      .array(
        z.object({
          line: z.number().int().min(1).describe('Line number, from 1.'),
          error: text('Why the row was rejected.'),
        }),
      )
      .openapi({ description: 'Rejected rows; the first thousand of them.' }),
    price: Price.optional(),
  })
  .openapi('PriceReceipt');
const add = route('write', {
  operationId: 'createPrices',
  method: 'post',
  path: '/',
  tags,
  summary: 'Publish one price (JSON) or many (NDJSON); existing prices are left unchanged',
  request: { body: jsonOrLines(createBody) },
  responses: {
    201: json(PriceReceipt, 'What was published; `price` for a single one.'),
  },
});
const list = route('read', {
  operationId: 'listPrices',
  method: 'get',
  path: '/',
  tags,
  summary: 'List prices as JSON or NDJSON',
  description:
    'Newest first unless filtered; a page of a filtered list may be short or even empty and still have a `cursor`. With `Accept: application/x-ndjson`, one price per line and the next page in the `Link` header.',
  request: {
    query: z.object({
      market: filterQuery('Name of the market.'),
      commodity: filterQuery('Name of the commodity.'),
      ...ownerQuery,
      ...pageQuery,
    }),
  },
  responses: { 200: jsonOrMedia(pageOf('prices', Price), 'A page of prices.', NDJSON) },
});

export function priceRoutes({
  env,
  catalogue,
  reader,
  leftOut,
}: Pick<ApiContext, 'env' | 'catalogue' | 'reader' | 'leftOut'>) {
  return router()
    .openapi(add, async (c) => {
      if (c.req.header('content-type')?.includes('ndjson') !== true) {
        const { state, created } = await catalogue.addPrice(c.req.valid('json'));
        return c.json(
          { created: created ? 1 : 0, unchanged: created ? 0 : 1, refused: [], price: priceJson(state) },
          201,
        );
      }
      const totals = await takeRows(env, c.req.raw.body && bodyChunks(c, env), (row) =>
        catalogue.addPrice(row),
      );
      const { created, unchanged, refused } = totals;
      return c.json({ created, unchanged, refused }, 201);
    })
    .openapi(list, async (c) => {
      const query = c.req.valid('query');
      const { records, unread, cursor } = await reader.list(
        'prices',
        listQuery(query, FILTERS),
        query.limit,
        placeOf(c, query.cursor),
      );
      const next = nextOf(c, cursor);
      const shown = new Shown(leftOut);
      shown.missed(unread);
      const prices = shown.each(records, ({ key }) => key, priceJson);
      shown.warn(c);
      if (c.req.header('accept')?.includes('ndjson') === true) {
        // The cursor cannot be among the lines: it is in the Link header (RFC 8288).
        if (next.cursor !== undefined)
          c.header('link', `<?${nextQuery(c.req.url, next.cursor)}>; rel="next"`);
        c.header('content-type', NDJSON);
        return c.body(prices.map((price) => `${JSON.stringify(price)}\n`).join(''), 200);
      }
      return c.json({ prices, ...next }, 200);
    });
}

function nextQuery(url: string, cursor: string): string {
  const query = new URL(url).searchParams;
  query.set('cursor', cursor);
  return query.toString();
}
