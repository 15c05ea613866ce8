/** What bounds the mirror. */
export const MIRROR_LIMITS = {
  /** Writes under way at once, one for each item. */
  inFlight: 32,
  /** Rows that are read ahead of them; dealt with together they are taken out in one batch. */
  gather: 256,
  /** How long one request may take, from the connection to the end of its answer. */
  requestMs: 5_000,
  /** Attempts of the SDK for one request; the mirror's own backoff stands around them. */
  attempts: 2,
  /** The longest pause after failures, with full jitter; the first is below a second. */
  backoffMs: 30_000,
  /** The holder is renewed so often. */
  renewMs: 30_000,
  /** A holder that was not renewed for so long is gone. */
  leaseMs: 120_000,
  /** How often tables that are missing, or held by another, are looked at again. */
  retryMs: 15_000,
  /** AWS refuses a signed request older than 15 minutes; with one to spare, nothing older than a tombstone can come after it. */
  graceMs: 16 * 60_000,
  /** DynamoDB's largest item, in bytes of names and values. */
  itemBytes: 400 * 1024,
  /** Rows of a fill put into the outbox at once. */
  fillChunk: 500,
  /** A fill waits while so many rows are pending: the outbox need not hold the whole database. */
  fillAhead: 5_000,
  /** Items of one page of a scan. */
  scanPage: 250,
  /** Refused rows named in the status. */
  shown: 20,
} as const;

/** As `MIRROR_LIMITS`; a test sets shorter times. */
export type MirrorLimits = { readonly [K in keyof typeof MIRROR_LIMITS]: number };
