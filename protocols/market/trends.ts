import { createHash } from 'node:crypto';
import { isoDay } from '../wire/iso-time.ts';
import type { PriceKind } from './price-kind.ts';

/** One price as trends read it; `id` is the hash of the signed fact: two nodes that publish the same fact count once. */
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
  /** Medians of trades, or of asking prices, are goods of their own. */
  readonly kind: PriceKind;
  readonly price: number;
}

/** Periods that are compared with one another. */
export type Cadence = 'week' | 'month';

/** How prices of one commodity moved: unit, currency, price type and kind are never mixed. */
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
  readonly kind: PriceKind;
  /** Markets compared, and their share of those that reported lately. */
  readonly sampleSize: number;
  readonly coverage: number;
  /** Prices left out as slips: more than five times off their market's own median. */
  readonly excluded: number;
  /** Newest date among this good's prices. */
  readonly asOf: string;
  /** As in the report, over this good's prices alone. */
  readonly inputs: string;
}

export interface TrendReport {
  readonly signals: readonly TrendSignal[];
  /** Newest price date read; null without any. */
  readonly asOf: string | null;
  readonly prices: number;
  /** SHA-256 over the sorted ids of the prices read: the same inputs give the same report. */
  readonly inputs: string;
}

export interface TrendQuery {
  /** Region or market, case-insensitive; undefined or `global` means everywhere. */
  readonly region?: string | undefined;
  readonly commodity?: string | undefined;
  /** Periods back that the newest is compared with. */
  readonly back: number;
  /**
   * The length of a period; undefined leaves it to the data of each good. `month` takes weekly data by month; `week` leaves out
   * goods with monthly data, which have no weekly trend.
   */
  readonly per?: Cadence | undefined;
  /** YYYY-MM-DD: prices dated later are slips of the date and left out. */
  readonly until?: string | undefined;
}

/** A price this far off its market's own median is a slip of the pen, not a movement. */
const SLIP = 5;
/** Fewer prices than this do not show what is usual in a market. */
const FEW = 3;
/** Markets silent for longer than this many periods no longer count as reporting. */
const RECENT = 6;
/** Periods before the older of the two compared that show what is usual. */
const YEAR = 12;
/** Signals of fewer markets do not come first. */
const LEADING_MARKETS = 3;
/** Days after which a good without a new price no longer comes among the first. */
const STALE = 183;
const DAY = 86_400_000;

/**
 * Price movements in a set of prices: a pure function of it, whatever the order. Only operations that IEEE 754 rounds
 * correctly (+ - * / and the square root) lead to its numbers, so that every implementation gets the same bytes.
 */
export function trendsOf(prices: Iterable<PricePoint>, query: TrendQuery): TrendReport {
  const unique = new Map<string, PricePoint>();
  for (const point of prices) if (wanted(point, query)) unique.set(point.id, point);
  const chosen = [...unique.values()];
  const asOf = newestDate(chosen);
  const goods = group(chosen, (p) => JSON.stringify([p.commodity, p.unit, p.currency, p.priceType, p.kind]));
  const signals = [...goods.values()].flatMap((points) => signalOf(points, query) ?? []);
  return {
    signals: byStrength(signals, asOf),
    asOf,
    prices: chosen.length,
    inputs: inputsDigest(chosen.map(({ id }) => id)),
  };
}

/** The strongest first, behind them those of one or two markets, and behind all goods without a new price for half a year. */
export function byStrength(signals: readonly TrendSignal[], asOf: string | null): TrendSignal[] {
  const stale = (signal: TrendSignal): number =>
    Date.parse(asOf ?? signal.asOf) - Date.parse(signal.asOf) > STALE * DAY ? 1 : 0;
  const name = (s: TrendSignal): string => [s.commodity, s.unit, s.currency, s.priceType, s.kind].join('\0');
  return signals.toSorted(
    (a, b) =>
      stale(a) - stale(b) ||
      Number(isOfFew(a)) - Number(isOfFew(b)) ||
      Math.abs(b.changePct) * b.confidence - Math.abs(a.changePct) * a.confidence ||
      (name(a) < name(b) ? -1 : 1),
  );
}

/** A change in one or two markets may be caused by one trader, or by one node. */
function isOfFew({ sampleSize }: Pick<TrendSignal, 'sampleSize'>): boolean {
  return sampleSize < LEADING_MARKETS;
}

/** SHA-256 over ids, sorted, each with a line feed; hex. */
export function inputsDigest(ids: readonly string[]): string {
  const hash = createHash('sha256');
  for (const id of ids.toSorted()) hash.update(`${id}\n`);
  return hash.digest('hex');
}

function newestDate(points: readonly PricePoint[]): string | null {
  return points.reduce<string | null>((last, { date }) => (last === null || date > last ? date : last), null);
}

function wanted(point: PricePoint, { region, commodity, until }: TrendQuery): boolean {
  const place = region?.trim().toLowerCase();
  const good = commodity?.trim().toLowerCase();
  return (
    point.price > 0 &&
    (until === undefined || point.date <= until) &&
    (good === undefined || point.commodity.toLowerCase() === good) &&
    (place === undefined ||
      place === 'global' ||
      point.region.toLowerCase() === place ||
      point.market.toLowerCase() === place)
  );
}

/** The signal of one good: each market against itself, then the median of the markets. */
export function signalOf(points: readonly PricePoint[], { back, per }: TrendQuery): TrendSignal | undefined {
  const own = cadenceOf(points);
  if (per === 'week' && own === 'month') return undefined;
  const cadence = per ?? own;
  const newest = points.reduce((last, { date }) => Math.max(last, periodOf(date, cadence)), -Infinity);
  let excluded = 0;
  let reporting = 0;
  const compared: { before: number; after: number }[] = [];
  // Only the recent past: over many years inflation alone exceeds any bound for slips.
  const recent = points.filter(({ date }) => periodOf(date, cadence) > newest - back - YEAR);
  const everywhere = median(recent.map(({ price }) => price));
  for (const market of group(recent, marketOf).values()) {
    // One slip is half of two prices: so few are compared with those of all markets.
    const usual = market.length < FEW ? everywhere : median(market.map(({ price }) => price));
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
  const changes = compared.map(({ before, after }) => after / before);
  const change = geometricMedian(changes);
  const spread = median(changes.map((each) => Math.max(each / change, change / each) - 1));
  const coverage = compared.length / Math.max(1, reporting);
  const { commodity, unit, currency, priceType, kind } = first;
  return {
    commodity,
    changePct: round((change - 1) * 100, 1),
    confidence: round(((compared.length / (compared.length + 2)) * coverage) / (1 + 4 * spread), 2),
    cadence,
    from: {
      period: periodName(newest - back, cadence),
      median: round(median(compared.map((c) => c.before)), 2),
    },
    to: { period: periodName(newest, cadence), median: round(median(compared.map((c) => c.after)), 2) },
    unit,
    currency,
    priceType,
    kind,
    sampleSize: compared.length,
    coverage: round(coverage, 2),
    excluded,
    asOf: newestDate(points) ?? '',
    inputs: inputsDigest(points.map(({ id }) => id)),
  };
}

/**
 * Two regions may each have a market of the same name ("National Average"), whose prices are kept apart. A node's own medians are of
 * one market, whatever its region.
 */
function marketOf({ kind, region, market }: PricePoint): string {
  return JSON.stringify([kind === 'observed' ? region : '', market]);
}

/** Weekly when a market's prices are mostly at most ten days apart; a single date shows nothing and counts as monthly. */
function cadenceOf(points: readonly PricePoint[]): Cadence {
  const gaps: number[] = [];
  for (const market of group(points, marketOf).values()) {
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
  return isoDay((period * 7 - 3) * DAY);
}

/** The goods of a signal. */
const NOUNS: Readonly<Record<PriceKind, string>> = {
  observed: 'prices',
  traded: 'prices agreed in trades',
  asking: 'asking prices',
};

/** One sentence for people. */
export function trendSummary({ signals, prices }: TrendReport, region: string | undefined): string {
  const isGlobal = region === undefined || region.trim().toLowerCase() === 'global';
  const place = isGlobal ? 'all regions' : region;
  const [top] = signals;
  if (prices === 0) return `No price movements can be told for ${place}: no prices are held here.`;
  if (top === undefined) return `No price movements can be told for ${place}: too few prices are held here.`;
  const { commodity, changePct, cadence, sampleSize, kind } = top;
  const moved = changePct === 0 ? 'unchanged' : `${changePct > 0 ? 'up' : 'down'} ${Math.abs(changePct)}%`;
  const few = sampleSize === 1 ? 'one market' : 'two markets';
  const where = !isOfFew(top) ? place : isGlobal ? few : `${few} of ${place}`;
  return `${commodity} ${NOUNS[kind]} ${moved} ${cadence}-over-${cadence} in ${where}.`;
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
  const [lower, upper] = middleOf(values);
  return (lower + upper) / 2;
}

/** Between two middle factors their geometric mean: half and double cancel. */
function geometricMedian(factors: readonly number[]): number {
  const [lower, upper] = middleOf(factors);
  return lower === upper ? lower : Math.sqrt(lower * upper);
}

/** The two middle values; of an odd number the one, twice. */
function middleOf(values: readonly number[]): [number, number] {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[sorted.length >> 1] ?? NaN;
  return [sorted.length % 2 === 1 ? upper : (sorted[(sorted.length >> 1) - 1] ?? NaN), upper];
}

function round(value: number, digits: number): number {
  const rounded = Number(value.toFixed(digits));
  return rounded === 0 ? 0 : rounded;
}
