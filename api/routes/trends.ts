import { z } from '@hono/zod-openapi';
import { type PricePoint, trendsOf, trendSummary, type TrendReport } from '../../protocols/market/trends.ts';
import { isLive } from '../../protocols/open-dialog/record.ts';
import { hex, sha256 } from '../../protocols/wire/bytes.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import type { ApiContext } from '../context.ts';
import { json, route, router } from '../route.ts';
import { textQuery } from '../schemas.ts';

const Period = z.object({ period: z.string(), median: z.number() });
const Signal = z
  .object({
    commodity: z.string(),
    changePct: z.number(),
    confidence: z.number(),
    cadence: z.enum(['week', 'month']),
    from: Period,
    to: Period,
    unit: z.string(),
    currency: z.string(),
    priceType: z.string(),
    sampleSize: z.number().int(),
    coverage: z.number(),
    excluded: z.number().int(),
  })
  .openapi('TrendSignal');
const Trends = z
  .object({
    summary: z.string(),
    topSignals: z.array(Signal),
    generatedBy: z.literal('aiTrendHelper'),
    region: z.string(),
    asOf: z.string().nullable(),
    prices: z.number().int(),
    inputs: z.string(),
  })
  .openapi('Trends');

/** Signals shown; the strongest come first. */
const TOP = 10;
/** Reports kept between requests. */
const KEPT = 64;

const trends = route('read', {
  method: 'get',
  path: '/',
  tags: ['Market'],
  summary: 'How prices have moved, from what this node holds; `global` is all regions',
  request: {
    query: z.object({
      region: textQuery,
      commodity: textQuery,
      window: z.coerce.number().int().min(1).max(24).default(1).openapi({
        description: 'Periods (weeks or months, as the data have them) between the two that are compared',
      }),
    }),
  },
  responses: { 200: json(Trends, 'The strongest signals first; none when too little is held') },
});

export function trendRoutes(node: Pick<ApiContext, 'reader' | 'priceDigest'>) {
  // The same prices give the same report: it is made anew only when a price has come or gone.
  let state: string | undefined;
  const reports = new Map<string, Promise<TrendReport>>();
  async function report(region: string | undefined, commodity: string | undefined, back: number) {
    const now = node.priceDigest();
    if (now !== state || reports.size >= KEPT) reports.clear();
    state = now;
    const key = JSON.stringify([region, commodity, back]);
    const made =
      reports.get(key) ?? pricePoints(node).then((all) => trendsOf(all, { region, commodity, back }));
    reports.set(key, made);
    made.catch(() => reports.delete(key));
    return made;
  }
  return router().openapi(trends, async (c) => {
    const { region, commodity, window } = c.req.valid('query');
    const made = await report(region, commodity, window);
    return c.json(
      {
        summary: trendSummary(made, region),
        topSignals: made.signals.slice(0, TOP),
        generatedBy: 'aiTrendHelper' as const,
        region: region ?? 'global',
        asOf: made.asOf,
        prices: made.prices,
        inputs: made.inputs,
      },
      200,
    );
  });
}

async function pricePoints({ reader }: Pick<ApiContext, 'reader'>): Promise<PricePoint[]> {
  const points: PricePoint[] = [];
  for await (const state of reader.all('prices')) {
    const point = isLive(state) ? pointOf(state) : undefined;
    if (point !== undefined) points.push(point);
  }
  return points;
}

function pointOf({ key, heads, view }: RecordState): PricePoint | undefined {
  const text = (field: string): string => {
    const value = view[field];
    return typeof value === 'string' ? value : '';
  };
  const { price, date } = view;
  if (typeof price !== 'number' || typeof date !== 'string' || Number.isNaN(Date.parse(date)))
    return undefined;
  return {
    id: heads[0] ?? hex(sha256(new TextEncoder().encode(key))),
    date,
    commodity: text('commodity'),
    market: text('market'),
    region: text('admin1'),
    unit: text('unit'),
    currency: text('currency'),
    priceType: text('priceType'),
    price,
  };
}
