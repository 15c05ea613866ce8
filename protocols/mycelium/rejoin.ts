import type { Env } from '../env.ts';
import { AgrinetError } from '../errors.ts';

/**
 * Rejoin: what this node has committed itself to may be in entries that only its peers still have. Writing never waits for them:
 * every process writes in an epoch of its own. Commitments do: a step that takes stock, `settle`, the rotation of a key. After an
 * ordinary start they wait for the first peer's answer, for a short time at most; after a loss until every active peer has answered,
 * or the operator forces it. A peer has answered when it has shown its frontier and everything it shows of the feeds that may
 * contain this node's commitments is held here (`owed-feeds.ts`). Not guaranteed: that what no peer ever had is recovered.
 */
export const REJOIN_LIMITS = {
  /** How long commitments wait for a first answer after an ordinary start: peers that are online have connected by then. */
  ordinaryMs: 30_000,
} as const;

/** What makes a node doubt that it holds all of its own entries. */
export const REJOIN_CAUSES = ['restored', 'repaired', 'tail-lost', 'entries-returned'] as const;
export type RejoinCause = (typeof REJOIN_CAUSES)[number];

/** A loss that peers have not yet made good; it outlives the process. */
export interface Recovery {
  readonly cause: RejoinCause;
  /** Milliseconds since 1970. */
  readonly since: number;
  /** Peers that have answered since. */
  readonly answered: readonly string[];
}

/** What decides whether the recovery fence is up. */
export interface RejoinState {
  readonly startedAt: number;
  /** Peers that have answered this process. */
  readonly answered: ReadonlySet<string>;
  readonly recovery: Recovery | undefined;
  /** Active registered nodes. */
  readonly active: readonly string[];
}

/** Why the fence is up: for these peers, and until then at the latest, or without an end. */
export interface Waiting {
  readonly peers: readonly string[];
  readonly until?: number;
}

/** Whether the fence is up now; undefined when it is not. */
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

/** The state of the recovery fence, for the operator. */
export interface RejoinStatus {
  readonly waiting: boolean;
  readonly recovery: Recovery | undefined;
  /** When commitments are made without an answer; only after an ordinary start. */
  readonly until?: number;
  readonly peers: readonly { readonly peer: string; readonly answered: boolean }[];
}

export interface RejoinParts {
  readonly env: Pick<Env, 'after'>;
  readonly now: () => number;
  readonly active: () => readonly string[];
  /** A loss left over from an earlier process. */
  readonly recovery: Recovery | undefined;
  /** Keeps the loss on disk until it is made good. */
  save(recovery: Recovery | undefined): void;
  /** A loss was noted, or has been made good. */
  onChange(recovery: Recovery | undefined): void;
}

export class Rejoin {
  readonly #parts: RejoinParts;
  readonly #startedAt: number;
  readonly #answered: Set<string>;
  /** Wake those that wait for a change. */
  readonly #waiters = new Set<() => void>();
  #recovery: Recovery | undefined;
  /**
   * What the operator has ended: the short wait of an ordinary start, or that of a loss, which entries that are returned later
   * belong to.
   */
  #forced: 'start' | 'loss' | undefined;
  #stopped = false;

  constructor(parts: RejoinParts) {
    this.#parts = parts;
    this.#startedAt = parts.now();
    this.#recovery = parts.recovery;
    this.#answered = new Set(parts.recovery?.answered);
  }

  /** Own entries may be lost here. */
  lost(cause: RejoinCause): void {
    // Whoever answered this process has shown all it had: only the others are still to come. Damage is found before anybody
    // answers, and may have taken what an answer to an earlier process had given back.
    const isDamage = cause === 'repaired' || cause === 'tail-lost';
    if (isDamage) this.#answered.clear();
    if (isDamage || (this.#recovery === undefined && this.#forced !== 'loss')) {
      this.#forced = undefined;
      this.#keep({ cause, since: this.#parts.now(), answered: [...this.#answered] });
    }
    this.peersChanged();
  }

  /** All that this peer has of this node's own entries is held. */
  answered(peer: string): void {
    if (this.#answered.has(peer)) return;
    this.#answered.add(peer);
    if (this.#recovery !== undefined) this.#keep({ ...this.#recovery, answered: [...this.#answered] });
    this.peersChanged();
  }

  /** The set of active peers has changed. */
  peersChanged(): void {
    if (this.#recovery !== undefined && this.#waiting() === undefined) this.#keep(undefined);
    this.#wakeAll();
  }

  /** The operator's word: the fence comes down. */
  force(): void {
    this.#forced = this.#recovery !== undefined ? 'loss' : (this.#forced ?? 'start');
    this.peersChanged();
  }

  /** Resolves when this node may promise something. Throws `rejoining`, at once after a loss; `stopping`. */
  async awaitFence(): Promise<void> {
    for (;;) {
      if (this.#stopped) throw new AgrinetError('stopping', 'the node is stopping');
      const wait = this.#waiting();
      if (wait === undefined) return;
      if (wait.until === undefined) throw rejoining(wait.peers.length);
      await this.#changeWithin(wait.until - this.#parts.now());
    }
  }

  status(): RejoinStatus {
    const wait = this.#waiting();
    const peers = this.#parts.active().map((peer) => ({ peer, answered: this.#answered.has(peer) }));
    const base = { waiting: wait !== undefined, recovery: this.#recovery, peers };
    return wait?.until === undefined ? base : { ...base, until: wait.until };
  }

  /** Nobody waits any longer. */
  stop(): void {
    this.#stopped = true;
    this.#wakeAll();
  }

  #waiting(): Waiting | undefined {
    if (this.#forced !== undefined) return undefined;
    const state = { startedAt: this.#startedAt, answered: this.#answered, recovery: this.#recovery };
    return waiting({ ...state, active: this.#parts.active() }, this.#parts.now());
  }

  #keep(next: Recovery | undefined): void {
    const changed = this.#recovery?.cause !== next?.cause;
    this.#recovery = next;
    this.#parts.save(next);
    if (changed) this.#parts.onChange(next);
  }

  #wakeAll(): void {
    for (const wake of this.#waiters) wake();
  }

  /** Resolves at the next change, or after so many milliseconds. */
  #changeWithin(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        timer.cancel();
        this.#waiters.delete(wake);
        resolve();
      };
      const timer = this.#parts.env.after(ms, wake);
      this.#waiters.add(wake);
    });
  }
}

function rejoining(peers: number): AgrinetError {
  return new AgrinetError(
    'rejoining',
    `this node has lost some of its own entries and may not know all it has promised: it makes no new commitments until ${peers} more of its nodes ${peers === 1 ? 'has' : 'have'} answered. \`agrinet rejoin\` names them, \`agrinet rejoin --force\` ends the wait`,
  );
}
