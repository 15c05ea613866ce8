export const DIFF_LIMITS = {
  /** All of it; the command line waits a minute. */
  totalMs: 45_000,
  /** One question. */
  askMs: 15_000,
  /** Questions to the peer: a thousand scattered differences take about so many. */
  requests: 1500,
  /** Bytes of all answers: a frontier of a large federation, and the digests. */
  bytes: 32 * 1024 * 1024,
  /** Of one answer about a prefix: 16 branches or 32 records are below 8 KiB. */
  answerBytes: 64 * 1024,
  /** Questions under way. */
  parallel: 4,
  /** Records named of one owner and collection; what is more is said to be more. */
  named: 200,
} as const;
