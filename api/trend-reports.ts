import { LRUCache } from 'lru-cache';
import { AgrinetError } from '../protocols/errors.ts';
import { lastDay, standingPrices } from '../protocols/market/trend-snapshot.ts';
import { type TrendQuery, trendsOf, type TrendReport } from '../protocols/market/trends.ts';
import type { TrendsPort } from './ports/trends.ts';

/** A report, and how many of the oldest prices it does not know of. */
export interface HeldReport extends TrendReport {
  readonly leftOut: number;
}

export type TrendReports = (query: Omit<TrendQuery, 'until'>) => Promise<HeldReport>;

/** Reports kept between requests. */
const KEPT = 64;

/** Reports from what the node holds. The same prices give the same one: it is made anew only when a price has come or gone. */
export function createTrendReports(port: Pick<TrendsPort, 'prices'>, now: () => number): TrendReports {
  const reports = new LRUCache<string, HeldReport>({ max: KEPT });
  return async (query) => {
    const { prices, leftOut, state } = await port.prices();
    const until = lastDay(now());
    const key = JSON.stringify([state, until, query.region, query.commodity, query.back, query.per]);
    const known = reports.get(key);
    if (known !== undefined) return known;
    const made = { ...trendsOf(standingPrices(prices), { ...query, until }), leftOut };
    reports.set(key, made);
    return made;
  };
}

/** Periods back at most. */
const MOST = { week: 104, month: 24 } as const;

/**
 * `3`: so many periods back, weeks or months as the data have them. `2w`: weeks. `3m`: months, weekly data taken by month. `1y`: 12
 * months. Throws `query-invalid`.
 */
export function windowOf(text: string): Pick<TrendQuery, 'back' | 'per'> {
  const [, digits = '', unit = ''] = /^(\d{1,3})([wmy]?)$/.exec(text.trim().toLowerCase()) ?? [];
  const count = Number(digits) * (unit === 'y' ? 12 : 1);
  const per = unit === '' ? undefined : unit === 'w' ? 'week' : 'month';
  if (digits === '' || count < 1 || count > MOST[per ?? 'month'])
    throw new AgrinetError(
      'query-invalid',
      `window: 1 to ${MOST.month} periods, or so many weeks (2w, to ${MOST.week}w), months (3m, to ${MOST.month}m) or years (1y, 2y)`,
    );
  return { back: count, per };
}
