import { z } from '@hono/zod-openapi';
import type { ApiContext } from '../context.ts';
import { listQuery, priceJson } from '../records.ts';
import { bodyChunks } from '../raw-body.ts';
import { json, jsonOrLines, jsonOrMedia, route, router } from '../route.ts';
import { takeRows } from '../rows.ts';
import { fieldsInput, ownerQuery, pageQuery, Price, textQuery } from '../schemas.ts';
import { nextOf, placeOf } from '../paging.ts';
import { Shown } from '../left-out.ts';

const FILTERS = ['market', 'commodity'] as const;
const tags = ['Market'];
const NDJSON = 'application/x-ndjson';

const Refused = z.array(z.object({ line: z.number().int(), error: z.string() }));
const add = route('write', {
  operationId: 'createPrices',
  method: 'post',
  path: '/',
  tags,
  summary: 'Publish one price (JSON) or many (NDJSON, a price a line); the same price again changes nothing',
  request: {
    body: jsonOrLines(fieldsInput('prices')),
  },
  responses: {
    201: json(
      z.object({
        created: z.number().int(),
        unchanged: z.number().int(),
        refused: Refused,
        price: Price.optional(),
      }),
      'What became of the rows; refused ones by line',
    ),
  },
});
const list = route('read', {
  operationId: 'listPrices',
  method: 'get',
  path: '/',
  tags,
  summary: 'Prices, newest first without a filter; NDJSON by Accept, the next page then in Link',
  request: {
    query: z.object({
      market: textQuery,
      commodity: textQuery,
      ...ownerQuery,
      ...pageQuery,
    }),
  },
  responses: {
    200: jsonOrMedia(z.object({ prices: z.array(Price), cursor: z.string().optional() }), 'One page', NDJSON),
  },
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
      const totals = await takeRows(c.req.raw.body && bodyChunks(c, env), (row) => catalogue.addPrice(row));
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
        // The cursor has no place among the lines: it stands in the Link header (RFC 8288).
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
