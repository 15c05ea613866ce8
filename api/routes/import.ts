import { bodyChunks } from '../raw-body.ts';
import { stream } from 'hono/streaming';
import { AgrinetError } from '../../protocols/errors.ts';
import type { Saved } from '../../protocols/market/catalogue.ts';
import type { ApiContext } from '../context.ts';
import { errorAnswer, isClientGone } from '../errors.ts';
import { media, rawInput, route, router } from '../route.ts';
import { type RowTotals, takeRows } from '../rows.ts';

const NDJSON = 'application/x-ndjson';

const take = route('operator', {
  operationId: 'importRecords',
  method: 'post',
  path: '/',
  tags: ['Listings'],
  summary: 'Import prices and listings in bulk; repeating an import changes nothing',
  request: {
    body: rawInput(NDJSON, 'One row per line: `{"kind":"price", …}` or `{"kind":"listing", "id", …}`.'),
  },
  responses: {
    200: media(
      'Progress as NDJSON: `{done, created, unchanged, refused}` per line; the last line has `finished` or `error`.',
      NDJSON,
    ),
  },
});

/** Rows of prices and listings as NDJSON; answers NDJSON progress, the last line with `finished` or `error`. */
export function importRoutes(node: Pick<ApiContext, 'env' | 'catalogue' | 'trouble' | 'log'>) {
  function write({ kind, ...fields }: Record<string, unknown>): Promise<Saved> {
    if (kind === 'price') return node.catalogue.addPrice(fields);
    const { id, ...rest } = fields;
    if (kind === 'listing' && typeof id === 'string')
      return rest['priceDate'] === undefined
        ? node.catalogue.putListing(id, rest)
        : node.catalogue.putPriceListing(id, rest);
    if (kind === 'listing') return node.catalogue.createListing(fields);
    throw new AgrinetError('fields-invalid', 'kind: must be "price" or "listing"');
  }
  return router().openapi(take, (c) => {
    const trouble = node.trouble();
    if (trouble !== undefined) throw new AgrinetError(trouble.code, trouble.message);
    c.header('content-type', NDJSON);
    return stream(c, async (out) => {
      let told = 0;
      const progress = (totals: RowTotals): void => {
        const { done, created, unchanged, refused } = totals;
        void out.write(`${JSON.stringify({ done, created, unchanged, refused: refused.slice(told) })}\n`);
        told = refused.length;
      };
      try {
        const totals = await takeRows(
          node.env,
          c.req.raw.body && bodyChunks(c, node.env),
          async (row) => write(row),
          progress,
        );
        progress(totals);
        const { done, created, changed, unchanged, refusedCount } = totals;
        await out.write(
          `${JSON.stringify({ finished: true, done, created, changed, unchanged, refused: refusedCount })}\n`,
        );
      } catch (error) {
        const { status, body } = errorAnswer(error);
        if (status >= 500 && !isClientGone(error)) node.log('import failed', { err: error });
        await out.write(`${JSON.stringify(body)}\n`);
      }
    });
  });
}
