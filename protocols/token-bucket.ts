/** How often something may still be done: so often at once, and once more after each interval. */
export interface TokenBucket {
  left: number;
  /** When it was last refilled, milliseconds. */
  at: number;
}

/** `burst`: as much as it holds; `everyMs`: the interval of one more. */
export function refill(bucket: TokenBucket, burst: number, everyMs: number, now: number): void {
  bucket.left = Math.min(bucket.left + (now - bucket.at) / everyMs, burst);
  bucket.at = now;
}

/** One more, as what was taken proved to be none of it. */
export function giveBack(bucket: TokenBucket, burst: number): void {
  bucket.left = Math.min(bucket.left + 1, burst);
}
