import { z } from '@hono/zod-openapi';
import { trendSummary } from '../../protocols/market/trends.ts';
import { isOperator } from '../access.ts';
import type { ApiContext } from '../context.ts';
import { json, route, router } from '../route.ts';
import { count, filterQuery, number, text, texts, wholeNumber } from '../schemas.ts';
import { createTrendFigures, insights, topRated } from '../trend-figures.ts';
import { type TrendReports, windowOf } from '../trend-reports.ts';
import { snapshotRoutes } from './trend-snapshots.ts';

const tags = ['Trends'];
const Period = z
  .object({
    period: text('Month `YYYY-MM`, or the Monday of the week, `YYYY-MM-DD`.'),
    median: number('Median price, in `currency` per `unit`.'),
  })
  .openapi('TrendPeriod');
const Signal = z
  .object({
    commodity: text('Name of the commodity.'),
    changePct: number('Change of the median price, in percent.'),
    confidence: number('Confidence, 0 to 1.'),
    cadence: z.enum(['week', 'month']),
    from: Period,
    to: Period,
    unit: text('Unit of measure.'),
    currency: text('ISO 4217 currency code.'),
    priceType: text('Kind of price, such as `Retail`.'),
    kind: z.enum(['observed', 'traded', 'asking']).openapi({
      description:
        'Where the prices come from: seen in markets; agreed in trades; asked in listings. They are never mixed, and each node counts as one market of the last two.',
    }),
    sampleSize: count('Number of markets compared.'),
    coverage: number('Share of the markets with prices in both periods, 0 to 1.'),
    excluded: count('Number of outliers excluded.'),
    asOf: text('Newest day covered, `YYYY-MM-DD`.'),
    inputs: text('SHA-256 of the input prices, hex.'),
  })
  .openapi('TrendSignal');
const Trends = z
  .object({
    summary: text('Summary of the price movements; says so when the first of them is of one or two markets.'),
    topSignals: z.array(Signal).openapi({
      description: 'Strongest signals first, those of fewer than three markets after all others.',
    }),
    generatedBy: z.literal('aiTrendHelper'),
    region: text('Region covered; `global` for all.'),
    asOf: z.string().nullable().describe('Newest day covered, `YYYY-MM-DD`; null without prices.'),
    prices: count('Number of prices considered.'),
    leftOut: count('Number of oldest prices not considered because there are too many.'),
    inputs: text('SHA-256 of the input prices, hex.'),
  })
  .openapi('Trends');
const Producer = z
  .object({
    id: text('Producer, `user@peer-id`.'),
    role: z.literal('producer'),
    region: text('Region of the producer’s node.'),
    reputationScore: number(
      'Whole percent of the producer’s publicly rated contracts without a breach (a rating of -1); not an average.',
    ),
    counterparties: count('Number of nodes whose ratings count.'),
  })
  .openapi('RatedProducer');
const LocationCount = z
  .object({ location: text('Location.'), count: count('Number of listings.') })
  .openapi('LocationCount');
const DayCount = z
  .object({ date: text('Day, `YYYY-MM-DD`.'), count: count('Number of listings created.') })
  .openapi('DayCount');
const PingResponse = z
  .object({ sellerId: text('Seller, `user@peer-id`.'), avgDays: number('Average number of days.') })
  .openapi('PingResponse');
const Insights = z.object({ insights: texts('Insights; may be empty.') }).openapi('MarketInsights');
const region = filterQuery('Region; all regions by default.');

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
    summary: 'Retrieve price trends computed from the prices on this node',
    request: {
      query: z.object({
        region,
        commodity: filterQuery('Name of the commodity.'),
        window: z.string().max(8).default('1').openapi({
          description:
            'How far back to compare the latest period: `3` (periods), `2w` (weeks), `3m` (months) or `1y` (years).',
        }),
      }),
    },
    responses: { 200: json(Trends, 'Price trends; no signals if there is too little data.') },
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
    summary: 'List rated producers, those without a breach first',
    description: 'Then by the number of counterparties. Producers whom nobody has rated are not listed.',
    request: {
      query: z.object({
        limit: wholeNumber(1, 100).default(5).openapi({ description: 'Maximum number of producers.' }),
        region,
      }),
    },
    responses: { 200: json(z.array(Producer), 'Producers.') },
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
    summary: 'Count listings by location, highest count first',
    responses: { 200: json(z.array(LocationCount), 'Locations.') },
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
    summary: 'Count listings created per day over the last thousand days',
    responses: { 200: json(z.array(DayCount), 'Days, oldest first.') },
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
    summary: 'Average days between a seller’s progress reports, fastest first',
    description:
      'Measured from acceptance to the first report, and from each report to the next. Contracts are private, so only operators get data; everybody else gets an empty list.',
    responses: { 200: json(z.array(PingResponse), 'Sellers.') },
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
    summary: 'Retrieve rule-based insights: listing volume, top producers, delayed transactions',
    request: { query: z.object({ region }) },
    responses: { 200: json(Insights, 'Insights.') },
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
      const best = topRated(await node.trends.rated(), limit, region).map(
        ({ subject, percent, counterparties, region: at }) => ({
          id: subject,
          role: 'producer' as const,
          region: at,
          reputationScore: percent,
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
      const best = topRated(await node.trends.rated(), 3, region);
      const all = isOperator(c.get('principal'));
      return c.json({ insights: insights(await figures(), best, region, all) }, 200);
    })
    .route('/snapshots', snapshotRoutes(node));
}
