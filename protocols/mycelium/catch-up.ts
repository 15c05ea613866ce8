import type { FrontierGroup } from './frontier-page.ts';

/** One thing to fetch: an author's feeds in one channel. */
export interface Need {
  readonly id: string;
  readonly group: Pick<FrontierGroup, 'author' | 'channel'>;
}

export const CATCH_UP_LIMITS = {
  /** Pulls under way: authors run in parallel. */
  pulls: 8,
  /** Of one peer: a tarpit holds at most so many places. */
  pullsPerPeer: 3,
  /** A peer whose pull failed is asked again for the same feeds after this, if nobody else has them. */
  retryMs: 3000,
  /** Feeds wanted at once; the next frontier exchange finds what did not fit. */
  wanted: 10_000,
} as const;

interface Wanted extends Need {
  /** Peers known to have it. */
  readonly holders: Set<string>;
  running: boolean;
  /** Shown again while a pull was running: run once more. */
  again: boolean;
}

/**
 * Decides which feed to pull from whom: pure but for its own memory. Every feed is pulled by one peer at a time, from any
 * peer that showed it; a peer that fails steps back and the next holder is asked at once.
 */
export class CatchUpPlan {
  readonly #wanted = new Map<string, Wanted>();
  readonly #busy = new Map<string, number>();
  readonly #pausedUntil = new Map<string, number>();
  #running = 0;

  /** A peer has something of this feed that is lacking here. */
  want(peer: string, group: Pick<FrontierGroup, 'author' | 'channel'>): void {
    const id = `${group.author}|${group.channel}`;
    const known = this.#wanted.get(id);
    if (known !== undefined) {
      known.holders.add(peer);
      known.again = known.running;
    } else if (this.#wanted.size < CATCH_UP_LIMITS.wanted) {
      this.#wanted.set(id, {
        id,
        group: { author: group.author, channel: group.channel },
        holders: new Set([peer]),
        running: false,
        again: false,
      });
    }
  }

  /** Pulls to start now. `reachable` says who is connected. */
  next(now: number, reachable: (peer: string) => boolean): { peer: string; need: Need }[] {
    const starts: { peer: string; need: Need }[] = [];
    for (const wanted of this.#wanted.values()) {
      if (this.#running >= CATCH_UP_LIMITS.pulls) break;
      if (wanted.running) continue;
      const peer = this.#pick(wanted, now, reachable);
      if (peer === undefined) continue;
      wanted.running = true;
      wanted.again = false;
      this.#running++;
      this.#busy.set(peer, (this.#busy.get(peer) ?? 0) + 1);
      starts.push({ peer, need: wanted });
    }
    return starts;
  }

  #pick(wanted: Wanted, now: number, reachable: (peer: string) => boolean): string | undefined {
    let best: string | undefined;
    for (const peer of wanted.holders) {
      if (!reachable(peer)) {
        wanted.holders.delete(peer);
        continue;
      }
      if ((this.#pausedUntil.get(`${peer}|${wanted.id}`) ?? 0) > now) continue;
      const load = this.#busy.get(peer) ?? 0;
      if (load < CATCH_UP_LIMITS.pullsPerPeer && (best === undefined || load < (this.#busy.get(best) ?? 0)))
        best = peer;
    }
    if (wanted.holders.size === 0) this.#wanted.delete(wanted.id);
    return best;
  }

  /** A pull has ended; `behind` says whether something that was shown is still lacking. */
  ended(peer: string, need: Need, ok: boolean, behind: boolean, now: number): void {
    this.#running--;
    const load = (this.#busy.get(peer) ?? 1) - 1;
    if (load === 0) this.#busy.delete(peer);
    else this.#busy.set(peer, load);
    const wanted = this.#wanted.get(need.id);
    if (wanted === undefined) return;
    wanted.running = false;
    if (ok && !behind && !wanted.again) {
      this.#wanted.delete(need.id);
      return;
    }
    if (!wanted.again) {
      if (this.#pausedUntil.size > CATCH_UP_LIMITS.wanted) this.#pausedUntil.clear();
      // What it has was taken or could not be: the others first, then it again after a pause.
      if (ok && behind) wanted.holders.delete(peer);
      else this.#pausedUntil.set(`${peer}|${need.id}`, now + CATCH_UP_LIMITS.retryMs);
      if (wanted.holders.size === 0) this.#wanted.delete(need.id);
    }
  }

  /** When the next paused pull may start, or undefined. */
  wakeAt(now: number): number | undefined {
    let soonest: number | undefined;
    for (const [key, until] of this.#pausedUntil) {
      if (until <= now) this.#pausedUntil.delete(key);
      else soonest = soonest === undefined ? until : Math.min(soonest, until);
    }
    return soonest;
  }

  get pending(): number {
    return this.#wanted.size;
  }
}
