import { type Env, every } from '../../protocols/env.ts';

/** Free space at one moment. */
export interface DiskSample {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly freeBytes: number;
}

const HOUR_MS = 60 * 60_000;
export const TREND_LIMITS = {
  /** Between two samples: 144 of them are a day. */
  everyMs: 10 * 60_000,
  /** A day, so that it covers what happens once a day, such as a backup. */
  samples: 144,
  /** A shorter time means nothing: an import of an hour is not a trend. */
  leastMs: 6 * HOUR_MS,
} as const;

/**
 * Days until free space is down to the reserve, at the mean pace of the samples (least squares); undefined when it does not
 * shrink, or too little is known.
 */
export function daysLeft(samples: readonly DiskSample[], reserveBytes: number): number | undefined {
  const [first] = samples;
  const last = samples.at(-1);
  if (first === undefined || last === undefined || last.at - first.at < TREND_LIMITS.leastMs)
    return undefined;
  const meanAt = samples.reduce((sum, { at }) => sum + (at - first.at), 0) / samples.length;
  const meanFree = samples.reduce((sum, { freeBytes }) => sum + freeBytes, 0) / samples.length;
  let [over, under] = [0, 0];
  for (const { at, freeBytes } of samples) {
    const x = at - first.at - meanAt;
    over += x * (freeBytes - meanFree);
    under += x * x;
  }
  const bytesPerMs = over / under;
  if (!(bytesPerMs < 0)) return undefined;
  return Math.max(0, last.freeBytes - reserveBytes) / -bytesPerMs / (24 * HOUR_MS);
}

/** Takes samples regularly and keeps those of the last day. */
export function startDiskTrend(
  freeBytes: () => Promise<number>,
  env: Pick<Env, 'after'>,
  now: () => number,
): { samples(): readonly DiskSample[]; stop(): void } {
  const kept: DiskSample[] = [];
  const take = (): void => {
    freeBytes().then(
      (free) => {
        kept.push({ at: now(), freeBytes: free });
        if (kept.length > TREND_LIMITS.samples) kept.shift();
      },
      () => undefined, // the check of the disk itself tells that it cannot be asked
    );
  };
  take();
  const timer = every(env, TREND_LIMITS.everyMs, take);
  return { samples: () => kept, stop: () => timer.cancel() };
}
