import type { FrontierGroup } from './frontier-page.ts';
import { feedId } from './gathered-groups.ts';
import { Counts } from '../counts.ts';

/** One thing to fetch: an author's feeds in one channel. */
export interface Need {
  readonly id: string;
  readonly group: Pick<FrontierGroup, 'author' | 'channel'>;
}

export const CATCH_UP_LIMITS = {
  /** Pulls under way: authors run in parallel. */
  pulls: 8,
  /** Pulls from one peer at a time: a tarpit occupies at most this many. */
  pullsPerPeer: 3,
  /** Beyond the first of each peer, of all peers together: four that trickle do not hold all of them. */
  further: 3,
  /** Of all peers whose last pull failed, each of which has one place: however many trickle, the others go on. */
  pullsOfFailing: 4,
  /** A peer whose pull failed is asked again for the same feeds after this, if nobody else has them. */
  retryMs: 3000,
  /** Failures one after another until a peer no longer counts as holder; its next frontier makes it one again. */
  tries: 5,
  /** Consecutive failures, of any feed, after which a peer counts as holding nothing: false claims of thousands of feeds cost at most this many pulls. */
  patience: 20,
  /** Feeds wanted at once; the next frontier exchange finds what did not fit. */
  wanted: 10_000,
  /** Of them those that one peer was the first to show: a liar leaves room for what the others have. */
  wantedPerPeer: 2500,
} as const;

/** Where another measure holds than that of many peers which may have the same feeds. */
export interface CatchUpOptions {
  /** Failures one after another until a peer no longer counts as holder of a feed. */
  readonly tries?: number;
  /** The same, of any feed, until it counts as holder of nothing. */
  readonly patience?: number;
  /** Pulls under way of a peer whose last one failed. */
  readonly pullsWhileFailing?: number;
}

interface Wanted extends Need {
  /** The peer that showed it first. */
  readonly shownBy: string;
  /** Peers known to have it. */
  readonly holders: Set<string>;
  /** Pulls that failed, by peer. */
  readonly failed: Map<string, number>;
  running: boolean;
  /** The pull under way is of a peer that had failed before. */
  onProbation: boolean;
  /** Shown again while a pull was running: run once more. */
  again: boolean;
}

/**
 * Decides which feed to pull from whom: pure but for its own memory. Every feed is pulled by one peer at a time, from any
 * peer that showed it; a peer that fails steps back and the next holder is asked at once.
 */
export class CatchUpPlan {
  readonly #wanted = new Map<string, Wanted>();
  /** Failures of each peer since its last success. */
  readonly #fails = new Map<string, number>();
  /** How many each peer was the first to show. */
  readonly #first = new Counts<string>();
  readonly #busy = new Counts<string>();
  /** Pulls under way from peers that had failed before. */
  #failing = 0;
  readonly #pausedUntil = new Map<string, number>();
  #running = 0;
  readonly #tries: number;
  readonly #patience: number;
  readonly #pullsWhileFailing: number;

  constructor(options: CatchUpOptions = {}) {
    this.#tries = options.tries ?? CATCH_UP_LIMITS.tries;
    this.#patience = options.patience ?? CATCH_UP_LIMITS.patience;
    this.#pullsWhileFailing = options.pullsWhileFailing ?? 1;
  }

  /** A peer has entries of this feed that are missing here. False when there is no room to record it. */
  want(peer: string, group: Pick<FrontierGroup, 'author' | 'channel'>): boolean {
    const id = feedId(group);
    const known = this.#wanted.get(id);
    if (known !== undefined) {
      known.holders.add(peer);
      known.again = known.running;
    } else {
      const { wanted, wantedPerPeer } = CATCH_UP_LIMITS;
      if (this.#wanted.size >= wanted || this.#first.of(peer) >= wantedPerPeer) return false;
      this.#first.add(peer);
      this.#wanted.set(id, {
        id,
        group: { author: group.author, channel: group.channel },
        shownBy: peer,
        holders: new Set([peer]),
        failed: new Map(),
        running: false,
        onProbation: false,
        again: false,
      });
    }
    return true;
  }

  #forget(peer: string): void {
    for (const { id, holders, running } of this.#wanted.values()) {
      holders.delete(peer);
      if (holders.size === 0 && !running) this.#drop(id);
    }
  }

  #drop(id: string): void {
    const peer = this.#wanted.get(id)?.shownBy;
    this.#wanted.delete(id);
    if (peer !== undefined) this.#first.add(peer, -1);
  }

  /** A peer has reconnected: failures over the previous connection say nothing about this one. */
  reconnected(peer: string): void {
    this.#fails.delete(peer);
    for (const key of this.#pausedUntil.keys()) if (key.startsWith(`${peer}|`)) this.#pausedUntil.delete(key);
  }

  /** Pulls to start now. `reachable` says which peers are connected. */
  next(now: number, reachable: (peer: string) => boolean): { peer: string; need: Need }[] {
    const starts: { peer: string; need: Need }[] = [];
    for (const wanted of this.#wanted.values()) {
      if (this.#running >= CATCH_UP_LIMITS.pulls) break;
      if (wanted.running) continue;
      const peer = this.#pick(wanted, now, reachable);
      if (peer === undefined) continue;
      wanted.running = true;
      wanted.onProbation = this.#fails.has(peer);
      if (wanted.onProbation) this.#failing++;
      wanted.again = false;
      this.#running++;
      this.#busy.add(peer);
      starts.push({ peer, need: wanted });
    }
    return starts;
  }

  #pick(wanted: Wanted, now: number, reachable: (peer: string) => boolean): string | undefined {
    let best: string | undefined;
    let least = Infinity;
    for (const peer of wanted.holders) {
      if (!reachable(peer)) {
        wanted.holders.delete(peer);
        continue;
      }
      const load = this.#busy.of(peer);
      const failing = this.#fails.has(peer);
      if (load >= (failing ? this.#pullsWhileFailing : CATCH_UP_LIMITS.pullsPerPeer)) continue;
      if ((this.#pausedUntil.get(`${peer}|${wanted.id}`) ?? 0) > now) continue;
      if (load > 0 && this.#running - this.#busy.size >= CATCH_UP_LIMITS.further) continue;
      if (failing && this.#failing >= CATCH_UP_LIMITS.pullsOfFailing) continue;
      // The peer that failed last comes last, even if it shows the feed repeatedly.
      const cost = (wanted.failed.get(peer) ?? 0) * CATCH_UP_LIMITS.pullsPerPeer + load;
      if (cost < least) {
        best = peer;
        least = cost;
      }
    }
    if (wanted.holders.size === 0) this.#drop(wanted.id);
    return best;
  }

  /** True when somebody besides this peer has shown the feed. */
  hasOthers(peer: string, need: Need): boolean {
    const holders = this.#wanted.get(need.id)?.holders;
    return holders !== undefined && holders.size > (holders.has(peer) ? 1 : 0);
  }

  /** A pull has ended; `behind` says whether something that was shown is still missing. */
  ended(peer: string, need: Need, ok: boolean, behind: boolean, now: number): void {
    this.#running--;
    this.#busy.add(peer, -1);
    const fails = ok ? 0 : (this.#fails.get(peer) ?? 0) + 1;
    if (fails === 0 || fails >= this.#patience) this.#fails.delete(peer);
    else this.#fails.set(peer, fails);
    const wanted = this.#wanted.get(need.id);
    if (wanted === undefined) return;
    wanted.running = false;
    if (wanted.onProbation) this.#failing--;
    wanted.onProbation = false;
    if (fails >= this.#patience) return this.#forget(peer);
    if (ok && !behind && !wanted.again) {
      this.#drop(need.id);
      return;
    }
    const failed = ok ? 0 : (wanted.failed.get(peer) ?? 0) + 1;
    wanted.failed.set(peer, failed);
    if (!wanted.again) {
      if (this.#pausedUntil.size > CATCH_UP_LIMITS.wanted) this.#pausedUntil.clear();
      // What it has was received or could not be: other peers first, then it again after a pause.
      if ((ok && behind) || failed >= this.#tries) wanted.holders.delete(peer);
      else this.#pausedUntil.set(`${peer}|${need.id}`, now + CATCH_UP_LIMITS.retryMs);
      if (wanted.holders.size === 0) this.#drop(need.id);
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
