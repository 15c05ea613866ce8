import { type PricePoint, trendsOf, type TrendReport } from '../protocols/market/trends.ts';
import { isLive } from '../protocols/open-dialog/record.ts';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import { hex, sha256 } from '../protocols/wire/bytes.ts';
import type { ApiContext } from './context.ts';

/** The report for a region, a commodity and so many periods back; all of them without. */
export type TrendReports = (
  region: string | undefined,
  commodity: string | undefined,
  back: number,
) => Promise<TrendReport>;

/** Reports kept between requests. */
const KEPT = 64;

/** Reports from what the node holds. The same prices give the same one: it is made anew only when a price has come or gone. */
export function createTrendReports(node: Pick<ApiContext, 'reader' | 'priceDigest'>): TrendReports {
  let state: string | undefined;
  const reports = new Map<string, Promise<TrendReport>>();
  return (region, commodity, back) => {
    const now = node.priceDigest();
    if (now !== state || reports.size >= KEPT) reports.clear();
    state = now;
    const key = JSON.stringify([region, commodity, back]);
    const made =
      reports.get(key) ?? pricePoints(node).then((all) => trendsOf(all, { region, commodity, back }));
    reports.set(key, made);
    made.catch(() => reports.delete(key));
    return made;
  };
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
