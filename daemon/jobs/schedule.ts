import { type Env, every } from '../../protocols/env.ts';

export interface ScheduleParts {
  readonly env: Pick<Env, 'after'>;
  /** SYNC_INTERVAL_MINUTES; 0 leaves syncs to cron. */
  readonly syncMinutes: number;
  readonly syncAll: () => Promise<unknown>;
  readonly expireKeys: () => Promise<unknown>;
  /** Puts the audit log's head into the feed. */
  readonly signAudit: () => Promise<unknown>;
  /** Publishes a trend snapshot when one is due. */
  readonly publishTrends: () => Promise<unknown>;
  /** Publishes what the trades of a week show, once it is closed. */
  readonly publishCells: () => Promise<unknown>;
  /** Makes a checkpoint when one is due, and verifies those of others. */
  readonly lookAtCheckpoints: () => Promise<unknown>;
  readonly onFailure: (error: unknown) => void;
}

const DAY_MS = 24 * 60 * 60_000;
/** Not in the first moments, when everything else begins too. */
const FIRST_EXPIRY_MS = 60_000;
/** Time for the node to catch up with its peers before it checks whether a snapshot is due and whether a week is over. */
const FIRST_TRENDS_MS = 10 * 60_000;
const HOUR_MS = 60 * 60_000;

/** Queues the jobs that come again and again. A failed one is tried at its next time. */
export function startSchedule(parts: ScheduleParts): {
  stop(): void;
} {
  const {
    env,
    syncMinutes,
    syncAll,
    expireKeys,
    signAudit,
    publishTrends,
    publishCells,
    lookAtCheckpoints,
    onFailure,
  } = parts;
  const again =
    (job: () => Promise<unknown>): (() => void) =>
    () =>
      void job().catch(onFailure);
  const timers = [
    ...(syncMinutes > 0 ? [every(env, syncMinutes * 60_000, again(syncAll))] : []),
    env.after(FIRST_EXPIRY_MS, again(expireKeys)),
    every(env, DAY_MS, again(expireKeys)),
    every(env, DAY_MS, again(signAudit)),
    env.after(FIRST_TRENDS_MS, again(publishTrends)),
    every(env, HOUR_MS, again(publishTrends)),
    env.after(FIRST_TRENDS_MS, again(publishCells)),
    every(env, DAY_MS, again(publishCells)),
    every(env, HOUR_MS, again(lookAtCheckpoints)),
  ];
  return {
    stop() {
      for (const timer of timers) timer.cancel();
    },
  };
}
