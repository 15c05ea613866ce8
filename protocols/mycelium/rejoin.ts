import type { Env } from '../env.ts';
import { AgrinetError } from '../errors.ts';

/**
 * Rejoin: what this node has promised may stand in entries that only its peers still have. Writing never waits for them: every
 * process writes in an epoch of its own. Promises do: a step that takes stock, `settle`, the rotation of a key. After an ordinary
 * start they wait for the first peer's answer, a short while at most; after a loss until every active peer has answered, or the
 * operator forces it. A peer has answered when it has shown its frontier and all it shows of the feeds that hold this node's promises
 * is held here (`owed-feeds.ts`).
 * Not guaranteed: that what no peer ever had comes back.
 */
export const REJOIN_LIMITS = {
  /** How long promises wait for a first answer after an ordinary start: peers that are there have connected by then. */
  ordinaryMs: 30_000,
} as const;

/** What makes a node doubt that it holds all of its own entries. */
export const REJOIN_CAUSES = ['restored', 'repaired', 'tail-lost', 'entries-returned'] as const;
export type RejoinCause = (typeof REJOIN_CAUSES)[number];

/** A loss that is not settled yet; it outlives the process. */
export interface Recovery {
  readonly cause: RejoinCause;
  /** Milliseconds since 1970. */
  readonly since: number;
  /** Peers that have answered since. */
  readonly answered: readonly string[];
}

/** What decides whether promises wait. */
export interface RejoinState {
  readonly startedAt: number;
  /** Peers that have answered this process. */
  readonly answered: ReadonlySet<string>;
  readonly recovery: Recovery | undefined;
  /** Active registered nodes. */
  readonly active: readonly string[];
}

/** Why promises wait: for these peers, and until then at the latest, or without an end. */
export interface Waiting {
  readonly peers: readonly string[];
  readonly until?: number;
}

/** Whether promises wait now; undefined when they do not. */
export function waiting(
  { startedAt, answered, recovery, active }: RejoinState,
  now: number,
): Waiting | undefined {
  const silent = active.filter((peer) => !answered.has(peer));
  if (silent.length === 0) return undefined;
  if (recovery !== undefined) return { peers: silent };
  const until = startedAt + REJOIN_LIMITS.ordinaryMs;
  return silent.length < active.length || now >= until ? undefined : { peers: silent, until };
}

/** How it stands, for the operator. */
export interface RejoinStanding {
  readonly waiting: boolean;
  readonly recovery: Recovery | undefined;
  /** When promises go on without an answer; only after an ordinary start. */
  readonly until?: number;
  readonly peers: readonly { readonly peer: string; readonly answered: boolean }[];
}

export interface RejoinParts {
  readonly env: Pick<Env, 'after'>;
  readonly now: () => number;
  readonly active: () => readonly string[];
  /** A loss that an earlier process has not settled. */
  readonly recovery: Recovery | undefined;
  /** Keeps the loss on disk until it is settled. */
  save(recovery: Recovery | undefined): void;
  /** A loss was noted, or is settled. */
  onChange(recovery: Recovery | undefined): void;
}

export interface Rejoin {
  /** Own entries may be lost here. */
  lost(cause: RejoinCause): void;
  /** All that this peer has of this node's own entries is held. */
  answered(peer: string): void;
  /** Who is active has changed. */
  peersChanged(): void;
  /** The operator's word: promises wait no longer. */
  force(): void;
  /** Resolves when this node may promise something. Throws `rejoining`, at once after a loss; `stopping`. */
  mayPromise(): Promise<void>;
  standing(): RejoinStanding;
  /** Nobody waits any longer. */
  stop(): void;
}

export function createRejoin(parts: RejoinParts): Rejoin {
  const { env, now } = parts;
  const startedAt = now();
  let { recovery } = parts;
  let forced = false;
  let stopped = false;
  const answered = new Set<string>(recovery?.answered);
  const waiters = new Set<() => void>();

  const pending = (): Waiting | undefined =>
    forced ? undefined : waiting({ startedAt, answered, recovery, active: parts.active() }, now());

  function settle(): void {
    if (recovery !== undefined && pending() === undefined) keep(undefined);
    for (const wake of waiters) wake();
  }

  function keep(next: Recovery | undefined): void {
    const changed = recovery?.cause !== next?.cause;
    recovery = next;
    parts.save(next);
    if (changed) parts.onChange(next);
  }

  /** Resolves at the next change, or after so many milliseconds. */
  function changeWithin(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        timer.cancel();
        waiters.delete(wake);
        resolve();
      };
      const timer = env.after(ms, wake);
      waiters.add(wake);
    });
  }

  return {
    lost(cause) {
      // Whoever answered this process has shown all it had: only the others are still to come. Damage is found before anybody
      // answers, and may have taken what an answer to an earlier process had given back.
      const isDamage = cause === 'repaired' || cause === 'tail-lost';
      if (isDamage) answered.clear();
      if (recovery === undefined || isDamage) {
        forced = false;
        keep({ cause, since: now(), answered: [...answered] });
      }
      settle();
    },
    answered(peer) {
      if (answered.has(peer)) return;
      answered.add(peer);
      if (recovery !== undefined) keep({ ...recovery, answered: [...answered] });
      settle();
    },
    peersChanged: settle,
    force() {
      forced = true;
      settle();
    },
    async mayPromise() {
      for (;;) {
        if (stopped) throw new AgrinetError('stopping', 'the node stops');
        const wait = pending();
        if (wait === undefined) return;
        if (wait.until === undefined) throw rejoining(wait.peers.length);
        await changeWithin(wait.until - now());
      }
    },
    standing() {
      const wait = pending();
      const peers = parts.active().map((peer) => ({ peer, answered: answered.has(peer) }));
      const base = { waiting: wait !== undefined, recovery, peers };
      return wait?.until === undefined ? base : { ...base, until: wait.until };
    },
    stop() {
      stopped = true;
      for (const wake of waiters) wake();
    },
  };
}

function rejoining(peers: number): AgrinetError {
  return new AgrinetError(
    'rejoining',
    `this node has lost some of its own entries and may not know all it has promised: it waits until ${peers} more of its nodes ${peers === 1 ? 'has' : 'have'} answered. \`agrinet rejoin\` names them, \`agrinet rejoin --force\` ends the wait`,
  );
}
