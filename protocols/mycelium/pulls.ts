import type { Env, Timer } from '../env.ts';
import { OpenWork } from '../open-work.ts';
import { CatchUpPlan, type Need } from './catch-up.ts';

export interface PullsParts {
  readonly env: Pick<Env, 'after'>;
  readonly now: () => number;
  /** Whether a peer can be asked now. */
  readonly reachable: (peer: string) => boolean;
  /** Pulls one feed from one peer; undefined when it failed. Never rejects. */
  readonly pull: (peer: string, need: Need) => Promise<number | undefined>;
  /** Whether something that this peer has shown of a feed is still missing after a pull. */
  readonly isBehind: (peer: string, feed: Need['group']) => boolean;
  /** A pull has ended; how many entries were new, undefined when it failed. */
  readonly onEnded: (peer: string, need: Need, received: number | undefined) => void;
}

/** Executes the catch-up plan: begins pulls, tells it how they ended, and wakes when one may be retried. */
export class Pulls {
  readonly #parts: PullsParts;
  readonly #plan: CatchUpPlan;
  readonly #waiters: (() => void)[] = [];
  #retry: Timer | undefined;
  readonly #running = new OpenWork();

  constructor(parts: PullsParts, plan: CatchUpPlan = new CatchUpPlan()) {
    this.#parts = parts;
    this.#plan = plan;
  }

  /** A peer has something of this feed that is missing here; pulled at the next `begin`. False when there is no room to record it. */
  want(peer: string, feed: Need['group']): boolean {
    return this.#plan.want(peer, feed);
  }

  /** A peer has reconnected. */
  reconnected(peer: string): void {
    this.#plan.reconnected(peer);
    this.begin();
  }

  /** True when somebody besides this peer has shown the feed. */
  hasOthers(peer: string, need: Need): boolean {
    return this.#plan.hasOthers(peer, need);
  }

  /** Begins all pulls that may begin now. */
  readonly begin = (): void => {
    if (this.#running.isClosed) return;
    const { env, now, reachable } = this.#parts;
    for (const { peer, need } of this.#plan.next(now(), reachable))
      void this.#running.note(this.#pull(peer, need));
    const wake = this.#plan.wakeAt(now());
    this.#retry?.cancel();
    if (wake !== undefined) this.#retry = env.after(Math.max(10, wake - now()), this.begin);
    if (this.pending === 0) for (const resolve of this.#waiters.splice(0)) resolve();
  };

  /** Begins, and resolves when nothing is wanted any more. */
  async idle(): Promise<void> {
    const done = new Promise<void>((resolve) => this.#waiters.push(resolve));
    this.begin();
    await done;
  }

  /** Feeds that are wanted. */
  get pending(): number {
    return this.#plan.pending;
  }

  /** Begins none any more; resolves when those under way have ended. */
  async stop(): Promise<void> {
    this.#retry?.cancel();
    await this.#running.close();
  }

  async #pull(peer: string, need: Need): Promise<void> {
    const { now, pull, isBehind, onEnded } = this.#parts;
    const received = await pull(peer, need);
    this.#plan.ended(peer, need, received !== undefined, isBehind(peer, need.group), now());
    onEnded(peer, need, received);
    this.begin();
  }
}
