import { giveBack, refill, type TokenBucket } from '../token-bucket.ts';

/**
 * What peers say of others: that somebody who is absent here is there. Such a peer is dialled before others, so whoever says it of peers that
 * are not there would keep those from their redials. Each peer is believed so often and no oftener, all of them together for half of the
 * redials; what proves true costs nobody anything.
 */
export const HEARSAY_LIMITS = {
  /** One peer is believed so often at once: a quarter of the records of one peer exchange. */
  burst: 8,
  /** And again after this time, milliseconds: many tell of one that is back, and few of many. */
  everyMs: 10_000,
  /** All together so often at once: half of the redials that may come at once. */
  totalBurst: 8,
  /** And again after this time, milliseconds: half of the redials that are sustained. */
  totalEveryMs: 2_000,
  /** Peers whose words are counted; the one that spoke longest ago is forgotten. */
  tellers: 256,
} as const;

/** What may still be believed; changed only by the functions below. */
export interface Hearsay {
  readonly total: TokenBucket;
  readonly tellers: Map<string, TokenBucket>;
}

export function emptyHearsay(): Hearsay {
  return { total: { left: HEARSAY_LIMITS.totalBurst, at: -Infinity }, tellers: new Map() };
}

/** Whether this peer is believed once more, which counts. */
export function isBelieved(hearsay: Hearsay, teller: string, now: number): boolean {
  const { burst, everyMs, totalBurst, totalEveryMs } = HEARSAY_LIMITS;
  const own = bucketOf(hearsay, teller);
  refill(own, burst, everyMs, now);
  refill(hearsay.total, totalBurst, totalEveryMs, now);
  if (own.left < 1 || hearsay.total.left < 1) return false;
  own.left--;
  hearsay.total.left--;
  return true;
}

/** What it said was so. */
export function provedTrue(hearsay: Hearsay, teller: string): void {
  giveBack(bucketOf(hearsay, teller), HEARSAY_LIMITS.burst);
  giveBack(hearsay.total, HEARSAY_LIMITS.totalBurst);
}

/** The one used last stands last. */
function bucketOf({ tellers }: Hearsay, teller: string): TokenBucket {
  const known = tellers.get(teller) ?? { left: HEARSAY_LIMITS.burst, at: -Infinity };
  tellers.delete(teller);
  tellers.set(teller, known);
  const [oldest] = tellers.keys();
  if (tellers.size > HEARSAY_LIMITS.tellers && oldest !== undefined) tellers.delete(oldest);
  return known;
}
