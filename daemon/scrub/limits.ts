/** Times and bounds, each with its reason. Milliseconds. */
export const SCRUB_LIMITS = {
  /** Time from the start of one pass to the start of the next. */
  everyMs: 24 * 60 * 60_000,
  /** After a start the node has other things to do. */
  firstMs: 60_000,
  /** Rows between two pauses: some milliseconds of work. */
  chunk: 32,
  /** Of one core, whatever the pace of the machine: it works, then it pauses for the rest. */
  share: 0.04,
  /** However slow a chunk was, because others worked too: 200,000 records stay within the day. */
  pauseMaxMs: 1500,
  /** If one pause could not make up for a slow chunk, the next ones do, up to this much. */
  owedMaxMs: 15_000,
  /** How often its position is stored, in chunks. */
  noteEvery: 64,
  /**
   * Ops of one record that are derived again: about 4 KiB of memory each. For a longer one only the checksums of its rows are
   * verified.
   */
  opsOfRecord: 50_000,
  /** Rows that are named in the log, of each pass. */
  named: 50,
} as const;
