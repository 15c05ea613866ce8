/** The limits of the mirror. */
export const MIRROR_LIMITS = {
  /** Writes in flight, one per item. */
  inFlight: 32,
  /** Rows read ahead; those written together are removed from the outbox in one batch. */
  gather: 256,
  /** How long one request may take, from the connection to the end of its answer. */
  requestMs: 5_000,
  /** Attempts of the SDK for one request; the mirror's own backoff comes on top. */
  attempts: 2,
  /** The longest pause after failures, with full jitter; the first one is less than a second. */
  backoffMs: 30_000,
  /** How often the lease on the tables is renewed. */
  renewMs: 30_000,
  /** A holder whose lease has not been renewed for this long is gone. */
  leaseMs: 120_000,
  /** How often missing tables, or tables held by another node, are checked again. */
  retryMs: 15_000,
  /** How long a tombstone is kept: AWS refuses signed requests older than 15 minutes, so with one minute to spare, no older write can arrive after it. */
  graceMs: 16 * 60_000,
  /** DynamoDB's largest item, in bytes of names and values. */
  itemBytes: 400 * 1024,
  /** Rows that a full copy puts into the outbox at a time. */
  fillChunk: 500,
  /** A full copy waits while this many rows are pending, so that the outbox need not hold the whole database. */
  fillAhead: 5_000,
  /** Items per page of a scan. */
  scanPage: 250,
  /** Refused rows listed in the status. */
  shown: 20,
} as const;

/** As `MIRROR_LIMITS`; a test sets shorter times. */
export type MirrorLimits = { readonly [K in keyof typeof MIRROR_LIMITS]: number };
