export const DIFF_LIMITS = {
  /** The whole comparison; the command line waits a minute. */
  totalMs: 45_000,
  /** One request. */
  askMs: 15_000,
  /** Requests to the peer: a thousand scattered differences take about as many. */
  requests: 1500,
  /** All answers together: the frontier of a large federation, and the digests. */
  bytes: 32 * 1024 * 1024,
  /** One answer about a prefix: 16 branches or 32 records take less than 8 KiB. */
  answerBytes: 64 * 1024,
  /** Requests in flight. */
  parallel: 4,
  /** Records named for each owner and collection; beyond that the report only says that there are more. */
  named: 200,
} as const;
