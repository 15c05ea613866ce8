/** The figures of a whole run: the median by `<part>.<figure>`. */
export type Figures = ReadonlyMap<string, number>;

/** One ratio that a run reports. Targets are aims, not gates. */
export interface Ratio {
  title: string;
  of: string;
  /** What it is divided by; without it the figure stands by itself. */
  to?: string;
  /** At least (`>=`) or at most (`<=`) this; without it there is no target. */
  target?: number;
  sense?: '>=' | '<=';
}

/** Every ratio, in the order of the report. */
export const RATIOS: readonly Ratio[] = [
  {
    title: 'catch-up / raw Automerge load',
    of: 'agrinetd.catchUpPerS',
    to: 'raw automerge.loadPerS',
    sense: '>=',
    target: 1,
  },
  {
    title: 'catch-up / automerge-repo',
    of: 'agrinetd.catchUpPerS',
    to: 'automerge-repo.catchUpPerS',
    sense: '>=',
    target: 20,
  },
  {
    title: 'catch-up / Hypercore',
    of: 'agrinetd.catchUpPerS',
    to: 'hypercore.catchUpPerS',
    sense: '>=',
    target: 2,
  },
  {
    title: 'writes in process / raw fsynced batches of 64',
    of: 'agrinetd.inProcessWritesPerS',
    to: 'raw leveldb.batch64PerS',
    sense: '>=',
    target: 0.1,
  },
  {
    title: 'writes over HTTP / bare hono POST',
    of: 'agrinetd.httpWritesPerS',
    to: 'raw hono.postsPerS',
    sense: '>=',
    target: 0.4,
  },
  {
    title: 'live p99 / Hypercore',
    of: 'agrinetd.liveP99Ms',
    to: 'hypercore.liveP99Ms',
    sense: '<=',
    target: 1.5,
  },
  { title: 'bytes per record on the wire', of: 'agrinetd.wireBytesPerRecord', sense: '<=', target: 100 },
  { title: 'RSS in MB with 50,000 listings', of: 'agrinetd.with50k.rssMB', sense: '<=', target: 300 },
  { title: 'live p50 / raw echo and fsync', of: 'agrinetd.liveP50Ms', to: 'raw echo.echoFsyncP50Ms' },
  { title: 'live p99 / raw echo and fsync', of: 'agrinetd.liveP99Ms', to: 'raw echo.echoFsyncP99Ms' },
  { title: 'burst / Hypercore', of: 'agrinetd.burstPerS', to: 'hypercore.burstPerS' },
  {
    title: 'writes over HTTP / raw fsynced batches of 64',
    of: 'agrinetd.httpWritesPerS',
    to: 'raw leveldb.batch64PerS',
  },
  { title: 'GET /listings / bare hono', of: 'http.getPerS', to: 'http.bareGetPerS' },
  { title: 'POST /listings, fsynced / bare hono', of: 'http.postPerS', to: 'http.barePostPerS' },
  { title: 'export / bare hono', of: 'http.exportMBPerS', to: 'http.bareExportMBPerS' },
  { title: 'GET /listings p99, catching up / quiet', of: 'http.catchingUpGetP99Ms', to: 'http.getP99Ms' },
  { title: 'POST /listings p99, catching up / quiet', of: 'http.catchingUpPostP99Ms', to: 'http.postP99Ms' },
  { title: 'export MB/s, catching up / quiet', of: 'http.catchingUpExportMBPerS', to: 'http.exportMBPerS' },
];

/** The value of a ratio; undefined when a figure of it is missing. */
export function valueOf(ratio: Ratio, figures: Figures): number | undefined {
  const of = figures.get(ratio.of);
  const to = ratio.to === undefined ? 1 : figures.get(ratio.to);
  return of === undefined || to === undefined ? undefined : of / to;
}

/** Whether the target is met; undefined without a target or a value. */
export function isMet(ratio: Ratio, value: number | undefined): boolean | undefined {
  if (ratio.target === undefined || value === undefined) return undefined;
  return ratio.sense === '<=' ? value <= ratio.target : value >= ratio.target;
}
