/** Times, each with its reason. Milliseconds. */
export const CHECKPOINT_TIMES = {
  /** How far a checkpoint lags behind the newest signed time: changes made without knowing of one another are nearly always joined by then. */
  lagMs: 7 * 24 * 60 * 60_000,
  /** Between two verifications of one author at the least. */
  verifyMs: 6 * 60 * 60_000,
} as const;
export type CheckpointTimes = Readonly<Record<keyof typeof CHECKPOINT_TIMES, number>>;

/** Whoever costs much to verify is verified so much less often: a share of 4 % of a core at most. */
export const VERIFY_COST = 25;

export const SNAPSHOT_FETCH_LIMITS = {
  /** Snapshots that are fetched at once, each of another author. */
  fetching: 3,
  /** Nodes asked for an author’s checkpoints before one is begun with; the author’s own first. */
  asked: 8,
  /** How long each of them may take, milliseconds. */
  askMs: 20_000,
} as const;
