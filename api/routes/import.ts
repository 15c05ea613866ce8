import { Hono } from 'hono';
import { stream } from 'hono/streaming';
import { AgrinetError } from '../../protocols/errors.ts';
import type { Saved } from '../../protocols/market/catalogue.ts';
import type { Guards } from '../guards.ts';
import type { ApiContext } from '../context.ts';
import { errorAnswer, isClientGone } from '../errors.ts';
import { type RowTotals, takeRows } from '../rows.ts';

/** Rows of prices and listings as NDJSON; answers NDJSON progress, the last line with `finished` or `error`. */
export function importRoutes(node: ApiContext, { needsKey }: Guards): Hono {
  const routes = new Hono();
  function write({ kind, ...fields }: Record<string, unknown>): Promise<Saved> {
    if (kind === 'price') return node.catalogue.addPrice(fields);
    const { id, ...rest } = fields;
    if (kind === 'listing' && typeof id === 'string') return node.catalogue.putListing(id, rest);
    if (kind === 'listing') return node.catalogue.createListing(fields);
    throw new AgrinetError('fields-invalid', 'kind: "price" or "listing"');
  }
  routes.post('/', needsKey, (c) => {
    const trouble = node.trouble();
    if (trouble !== undefined) throw new AgrinetError(trouble.code, trouble.message);
    c.header('content-type', 'application/x-ndjson');
    return stream(c, async (out) => {
      let told = 0;
      let line = '';
      const progress = (totals: RowTotals): void => {
        line = JSON.stringify({
          done: totals.done,
          created: totals.created,
          unchanged: totals.unchanged,
          refused: totals.refused.slice(told),
        });
        told = totals.refused.length;
        void out.write(`${line}\n`);
      };
      try {
        const totals = await takeRows(c.req.raw.body, async (row) => write(row), progress);
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
  return routes;
}
