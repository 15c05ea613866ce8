import { createHash } from 'node:crypto';

/** One price as trends read it; `id` is the hash of the signed fact. */
export interface PricePoint {
  readonly id: string;
  /** YYYY-MM-DD. */
  readonly date: string;
  readonly commodity: string;
  readonly market: string;
  readonly region: string;
  readonly unit: string;
  readonly currency: string;
  readonly priceType: string;
  readonly price: number;
}

/** Periods that are compared with one another. */
export type Cadence = 'week' | 'month';

/** How prices of one commodity moved: unit, currency and price type are never mixed. */
export interface TrendSignal {
  readonly commodity: string;
  /** Percent, one decimal: the median over markets of each market's own change. */
  readonly changePct: number;
  /** 0 to 1, two decimals: few markets, patchy coverage and disagreement lower it. */
  readonly confidence: number;
  readonly cadence: Cadence;
  readonly from: { readonly period: string; readonly median: number };
  readonly to: { readonly period: string; readonly median: number };
  readonly unit: string;
  readonly currency: string;
  readonly priceType: string;
  /** Markets compared, and their share of those that reported lately. */
  readonly sampleSize: number;
  readonly coverage: number;
  /** Prices left out as slips: more than five times off their market's own median. */
  readonly excluded: number;
}

export interface TrendReport {
  readonly signals: readonly TrendSignal[];
  /** Newest price date looked at; null without any. */
  readonly asOf: string | null;
  readonly prices: number;
  /** SHA-256 over the sorted ids of the prices looked at: the same inputs give the same report. */
  readonly inputs: string;
}

export interface TrendQuery {
  /** Region or market, case-insensitive; undefined or `global` means everywhere. */
  readonly region?: string | undefined;
  readonly commodity?: string | undefined;
  /** Periods back that the newest is compared with. */
  readonly back: number;
}

/** A price this far off its market's own median is a slip of the pen, not a movement. */
const SLIP = 5;
/** Markets silent for longer than this many periods no longer count as reporting. */
const RECENT = 6;
/** Periods before the older of the two compared that tell what is usual. */
const YEAR = 12;
const DAY = 86_400_000;

/** Price movements in a set of prices: a pure function of it, whatever the order. */
export function trendsOf(prices: Iterable<PricePoint>, query: TrendQuery): TrendReport {
  const chosen = [...prices].filter((point) => wanted(point, query));
  const inputs = createHash('sha256');
  for (const id of chosen.map(({ id }) => id).sort()) inputs.update(`${id}\n`);
  const goods = group(chosen, (p) => [p.commodity, p.unit, p.currency, p.priceType].join('\0'));
  const signals = [...goods.values()].flatMap((points) => signalOf(points, query.back) ?? []);
  signals.sort(
    (a, b) =>
      Math.abs(b.changePct) * b.confidence - Math.abs(a.changePct) * a.confidence ||
      (a.commodity + a.unit + a.priceType < b.commodity + b.unit + b.priceType ? -1 : 1),
  );
  const asOf = chosen.reduce<string | null>(
    (last, { date }) => (last === null || date > last ? date : last),
    null,
  );
  return { signals, asOf, prices: chosen.length, inputs: inputs.digest('hex') };
}

function wanted(point: PricePoint, { region, commodity }: TrendQuery): boolean {
  const place = region?.trim().toLowerCase();
  const good = commodity?.trim().toLowerCase();
  return (
    point.price > 0 &&
    (good === undefined || point.commodity.toLowerCase() === good) &&
    (place === undefined ||
      place === 'global' ||
      point.region.toLowerCase() === place ||
      point.market.toLowerCase() === place)
  );
}

/** The signal of one good: each market against itself, then the median of the markets. */
function signalOf(points: readonly PricePoint[], back: number): TrendSignal | undefined {
  const cadence = cadenceOf(points);
  const newest = points.reduce((last, { date }) => Math.max(last, periodOf(date, cadence)), -Infinity);
  let excluded = 0;
  let reporting = 0;
  const compared: { before: number; after: number }[] = [];
  // Only the recent past: over many years inflation alone exceeds any bound for slips.
  const recent = points.filter(({ date }) => periodOf(date, cadence) > newest - back - YEAR);
  for (const market of group(recent, (p) => p.market).values()) {
    const usual = median(market.map(({ price }) => price));
    const kept = market.filter(({ price }) => price <= usual * SLIP && price >= usual / SLIP);
    excluded += market.length - kept.length;
    const periods = group(kept, ({ date }) => String(periodOf(date, cadence)));
    if ([...periods.keys()].some((period) => Number(period) > newest - RECENT)) reporting++;
    const after = periods.get(String(newest));
    const before = periods.get(String(newest - back));
    if (after === undefined || before === undefined) continue;
    compared.push({ before: median(before.map((p) => p.price)), after: median(after.map((p) => p.price)) });
  }
  const [first] = points;
  if (compared.length === 0 || first === undefined) return undefined;
  const changes = compared.map(({ before, after }) => Math.log(after / before));
  const change = median(changes);
  const spread = median(changes.map((each) => Math.abs(each - change)));
  const coverage = compared.length / Math.max(1, reporting);
  const { commodity, unit, currency, priceType } = first;
  return {
    commodity,
    changePct: round((Math.exp(change) - 1) * 100, 1),
    confidence: round(((1 - Math.exp(-compared.length / 3)) * coverage) / (1 + 4 * spread), 2),
    cadence,
    from: {
      period: periodName(newest - back, cadence),
      median: round(median(compared.map((c) => c.before)), 2),
    },
    to: { period: periodName(newest, cadence), median: round(median(compared.map((c) => c.after)), 2) },
    unit,
    currency,
    priceType,
    sampleSize: compared.length,
    coverage: round(coverage, 2),
    excluded,
  };
}

/** Weekly when a market's prices are mostly ten days apart at most; a single date says nothing and counts as monthly. */
function cadenceOf(points: readonly PricePoint[]): Cadence {
  const gaps: number[] = [];
  for (const market of group(points, (p) => p.market).values()) {
    const days = [...new Set(market.map(({ date }) => Date.parse(date) / DAY))].sort((a, b) => a - b);
    for (const [i, day] of days.entries()) {
      const next = days[i + 1];
      if (next !== undefined) gaps.push(next - day);
    }
  }
  return gaps.length > 0 && median(gaps) <= 10 ? 'week' : 'month';
}

/** The number of a date's period: months since year 0, or weeks (from Monday) since 1970. */
function periodOf(date: string, cadence: Cadence): number {
  if (cadence === 'month') return Number(date.slice(0, 4)) * 12 + Number(date.slice(5, 7)) - 1;
  return Math.floor((Date.parse(date) / DAY + 3) / 7);
}

/** `2026-03`, or the Monday of the week. */
function periodName(period: number, cadence: Cadence): string {
  if (cadence === 'month') return `${Math.floor(period / 12)}-${String((period % 12) + 1).padStart(2, '0')}`;
  return new Date((period * 7 - 3) * DAY).toISOString().slice(0, 10);
}

/** One sentence for people. */
export function trendSummary({ signals }: TrendReport, region: string | undefined): string {
  const place = region === undefined || region.trim().toLowerCase() === 'global' ? 'all regions' : region;
  const [top] = signals;
  if (top === undefined) return `No price movements can be told for ${place}: too few prices are held here.`;
  const { commodity, changePct, cadence } = top;
  const moved = changePct === 0 ? 'unchanged' : `${changePct > 0 ? 'up' : 'down'} ${Math.abs(changePct)}%`;
  return `${commodity} prices ${moved} ${cadence}-over-${cadence} in ${place}.`;
}

function group<T>(items: Iterable<T>, keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const known = groups.get(key);
    if (known === undefined) groups.set(key, [item]);
    else known.push(item);
  }
  return groups;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

function round(value: number, digits: number): number {
  const rounded = Number(value.toFixed(digits));
  return rounded === 0 ? 0 : rounded;
}
