import { z } from '@hono/zod-openapi';
import { trendSummary } from '../../protocols/market/trends.ts';
import { json, route, router } from '../route.ts';
import { textQuery } from '../schemas.ts';
import type { TrendReports } from '../trend-reports.ts';

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

export function trendRoutes(reports: TrendReports) {
  return router().openapi(trends, async (c) => {
    const { region, commodity, window } = c.req.valid('query');
    const made = await reports(region, commodity, window);
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
