import { z } from '@hono/zod-openapi';
import { trendSummary } from '../../protocols/market/trends.ts';
import { isOperator } from '../access.ts';
import type { ApiContext } from '../context.ts';
import { json, route, router } from '../route.ts';
import { textQuery, wholeNumber } from '../schemas.ts';
import { createTrendFigures, insights, topRated } from '../trend-figures.ts';
import { type TrendReports, windowOf } from '../trend-reports.ts';
import { snapshotRoutes } from './trend-snapshots.ts';

const tags = ['Market'];
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
    asOf: z.string(),
    inputs: z.string(),
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
    leftOut: z
      .number()
      .int()
      .openapi({ description: 'Oldest prices not looked at, on a node that holds very many' }),
    inputs: z.string(),
  })
  .openapi('Trends');

/** Signals shown; the strongest come first. */
const TOP = 10;
/** Places and days shown by the old routes. */
const ROWS = 1000;

const trends = route(
  'read',
  {
    operationId: 'getTrends',
    method: 'get',
    path: '/',
    tags,
    summary: 'How prices have moved, from what this node holds; `global` is all regions',
    request: {
      query: z.object({
        region: textQuery,
        commodity: textQuery,
        window: z.string().max(8).default('1').openapi({
          description:
            'How far back the newest period is compared: `3` (weeks or months, as the data have them), `2w`, `3m`, `1y`',
        }),
      }),
    },
    responses: { 200: json(Trends, 'The strongest signals first; none when too little is held') },
  },
  'ignored',
);
const top = route(
  'read',
  {
    operationId: 'listTopRatedProducers',
    method: 'get',
    path: '/top-rated',
    tags,
    summary: 'Producers by score, the best first; nobody whose score is unknown',
    request: {
      query: z.object({ limit: wholeNumber(1, 100).default(5), region: textQuery }),
    },
    responses: {
      200: json(
        z.array(
          z.object({
            id: z.string(),
            role: z.literal('producer'),
            region: z.string(),
            reputationScore: z.number(),
            counterparties: z.number().int(),
          }),
        ),
        'Producers',
      ),
    },
  },
  'ignored',
);
const volume = route(
  'read',
  {
    operationId: 'getMarketVolume',
    method: 'get',
    path: '/market-volume',
    tags,
    summary: 'Listings by location, the most first',
    responses: {
      200: json(z.array(z.object({ location: z.string(), count: z.number().int() })), 'Locations'),
    },
  },
  'ignored',
);
const byDay = route(
  'read',
  {
    operationId: 'getListingTrends',
    method: 'get',
    path: '/listing-trends',
    tags,
    summary: 'Listings by the day they were made on, the last thousand days',
    responses: { 200: json(z.array(z.object({ date: z.string(), count: z.number().int() })), 'Days') },
  },
  'ignored',
);
const response = route(
  'read',
  {
    operationId: 'getPingResponse',
    method: 'get',
    path: '/ping-response',
    tags,
    summary: 'Mean days between a seller’s signs of life on its transactions, the quickest first',
    description:
      'From acceptance to the first ping, and from each ping to the next. Contracts and their news are their parties’: told to the operator only, to others an empty list.',
    responses: {
      200: json(z.array(z.object({ sellerId: z.string(), avgDays: z.number() })), 'Sellers'),
    },
  },
  'ignored',
);
const insight = route(
  'read',
  {
    operationId: 'getMarketInsights',
    method: 'get',
    path: '/ai/insight',
    tags,
    summary: 'Sentences by rule: many or few listings, the best three producers, delayed transactions',
    request: { query: z.object({ region: textQuery }) },
    responses: {
      200: json(z.object({ insights: z.array(z.string()) }), 'Sentences; none when nothing stands out'),
    },
  },
  'ignored',
);

export function trendRoutes(
  node: Pick<ApiContext, 'self' | 'reader' | 'trends' | 'leftOut' | 'env'>,
  reports: TrendReports,
) {
  const figures = createTrendFigures(node, node.env.now);
  return router()
    .openapi(trends, async (c) => {
      const { region, commodity, window } = c.req.valid('query');
      const made = await reports({ region, commodity, ...windowOf(window) });
      return c.json(
        {
          summary: trendSummary(made, region),
          topSignals: made.signals.slice(0, TOP),
          generatedBy: 'aiTrendHelper' as const,
          region: region ?? 'global',
          asOf: made.asOf,
          prices: made.prices,
          leftOut: made.leftOut,
          inputs: made.inputs,
        },
        200,
      );
    })
    .openapi(top, async (c) => {
      const { limit, region } = c.req.valid('query');
      const best = topRated(await node.trends.scores(), limit, region).map(
        ({ subject, score, counterparties, region: at }) => ({
          id: subject,
          role: 'producer' as const,
          region: at,
          reputationScore: score,
          counterparties,
        }),
      );
      return c.json(best, 200);
    })
    .openapi(volume, async (c) => {
      const rows = [...(await figures()).byLocation].map(([location, count]) => ({ location, count }));
      rows.sort((a, b) => b.count - a.count || (a.location < b.location ? -1 : 1));
      return c.json(rows.slice(0, ROWS), 200);
    })
    .openapi(byDay, async (c) => {
      const rows = [...(await figures()).byDay].map(([date, count]) => ({ date, count }));
      rows.sort((a, b) => (a.date < b.date ? -1 : 1));
      return c.json(rows.slice(-ROWS), 200);
    })
    .openapi(response, async (c) => {
      if (!isOperator(c.get('principal'))) return c.json([], 200);
      const rows = (await figures()).sellers.map(({ sellerId, avgDays }) => ({ sellerId, avgDays }));
      return c.json(rows.slice(0, ROWS), 200);
    })
    .openapi(insight, async (c) => {
      const { region } = c.req.valid('query');
      const best = topRated(await node.trends.scores(), 3, region);
      const all = isOperator(c.get('principal'));
      return c.json({ insights: insights(await figures(), best, region, all) }, 200);
    })
    .route('/snapshots', snapshotRoutes(node));
}
