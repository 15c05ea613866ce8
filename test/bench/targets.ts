/** The figures of a whole run: the median by `<part>.<figure>`. */
export type Figures = ReadonlyMap<string, number>;

/** One ratio that a run reports. Targets are aims, not gates. */
export interface Ratio {
  title: string;
  /** A figure, as `<part>.<figure>`. */
  of: string;
  /** What it is divided by; without it the figure stands by itself. */
  to?: string;
  /** At least (`>=`) or at most (`<=`) this; without it there is no target. */
  target?: number;
  sense?: '>=' | '<=';
}

const row = (title: string, of: string, sense?: '>=' | '<=', target?: number): Ratio => {
  const [figure = '', to] = of.split(' / ');
  return {
    title,
    of: figure,
    ...(to === undefined ? {} : { to }),
    ...(target === undefined || sense === undefined ? {} : { sense, target }),
  };
};

/** Every ratio, in the order of the report. */
export const RATIOS: readonly Ratio[] = [
  row('catch-up / Hypercore, a block a record', 'agrinetd.catchUpPerS / hypercore.catchUpPerS', '>=', 2),
  row('catch-up / Hypercore, 64 a block', 'agrinetd.catchUpPerS / hypercore 64.catchUpPerS'),
  row('catch-up / automerge-repo', 'agrinetd.catchUpPerS / automerge-repo.catchUpPerS', '>=', 50),
  row('catch-up / Yjs', 'agrinetd.catchUpPerS / yjs.catchUpPerS'),
  row('catch-up / raw Automerge load', 'agrinetd.catchUpPerS / raw automerge.loadPerS'),
  row('catch-up / its own codec alone', 'agrinetd.catchUpPerS / raw codec.readPerS'),
  row('catch-up: main-thread CPU, us a record', 'agrinetd.catchUpCpuUsPerRecord', '<=', 40),
  row('catch-up: bytes a record on the wire', 'agrinetd.wireBytesPerRecord', '<=', 100),
  row('POST /listings / bare hono', 'http.postPerS / http.barePostPerS', '>=', 0.35),
  row('POST /listings: main-thread CPU, us', 'http.postCpuUs', '<=', 120),
  row('writes in process / its own codec alone', 'agrinetd.inProcessWritesPerS / raw codec.writePerS'),
  row(
    'writes in process / LevelDB, the same rows',
    'agrinetd.inProcessWritesPerS / raw leveldb.productRowsPerS',
  ),
  row(
    'writes in process / LevelDB, 300 bytes',
    'agrinetd.inProcessWritesPerS / raw leveldb.batch64PerS',
    '>=',
    0.1,
  ),
  row('writes in process: main-thread CPU, us', 'agrinetd.inProcessWritesCpuUs', '<=', 50),
  row('live p50 / Hypercore', 'agrinetd.liveP50Ms / hypercore.liveP50Ms', '<=', 1),
  row('live p99 / Hypercore', 'agrinetd.liveP99Ms / hypercore.liveP99Ms', '<=', 1),
  row('live p50 / raw echo and fsync', 'agrinetd.liveP50Ms / raw echo.echoFsyncP50Ms'),
  row('live p99 / raw echo and fsync', 'agrinetd.liveP99Ms / raw echo.echoFsyncP99Ms'),
  row('burst to one listing / Hypercore', 'agrinetd.burstPerS / hypercore.burstPerS', '>=', 1),
  row('disk, bytes a listing', 'agrinetd.diskBytesPerRecord', '<=', 350),
  row('written to disk, bytes a listing', 'agrinetd.writtenBytesPerRecord', '<=', 1300),
  row('RSS idle, MB', 'agrinetd.rssIdleMB', '<=', 150),
  row('RSS with 200,000 listings, MB', 'agrinetd.with200k.rssWriterMB', '<=', 250),
  row('RSS of a joiner of 200,000, MB', 'agrinetd.with200k.rssReaderMB', '<=', 280),
  row('start, CPU seconds', 'agrinetd.startCpuS', '<=', 0.75),
  row('start with 200,000 listings, CPU seconds', 'agrinetd.with200k.startCpuS', '<=', 0.85),
  row('within 50 km of 200,000: main ms', 'agrinetd.with200k.nearCpuMs', '<=', 5),
  row('no match in 200,000: main ms', 'agrinetd.with200k.noMatchCpuMs', '<=', 5),
  row('GET /listings / bare hono', 'http.getPerS / http.bareGetPerS'),
  row('export / bare hono', 'http.exportMBPerS / http.bareExportMBPerS', '>=', 0.7),
  row('GET /listings p99, catching up / quiet', 'http.catchingUpGetP99Ms / http.getP99Ms'),
  row('POST /listings p99, catching up / quiet', 'http.catchingUpPostP99Ms / http.postP99Ms'),
  row('export MB/s, catching up / quiet', 'http.catchingUpExportMBPerS / http.exportMBPerS'),
  row('1,000,000 prices: rate at the end / start', 'million.lastPerS / million.firstPerS', '>=', 0.9),
  row('1,000,000 prices: RSS, MB', 'million.rssMB', '<=', 260),
  row('1,000,000 prices: /trends first, ms', 'million.trendsFirstMs', '<=', 100),
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
