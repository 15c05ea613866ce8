import type { Env, Timer } from '../../../protocols/env.ts';
import { inlineOffload } from '../../support/inline-offload.ts';
import { seededRandom } from '../../support/random.ts';
import { EventHeap } from './heap.ts';

/** When every world begins, milliseconds since 1970: a clock of before the release would be believed by nobody. */
const BEGINNING = Date.UTC(2026, 11, 15, 6);

/** One for all: what it costs to make one is half of what a world costs. */
const TIME_IS_OVER = new DOMException('the time is over', 'TimeoutError');

/** A process in the world: once it is dead, nothing that it waits for ever comes. */
export interface Process {
  readonly name: string;
  alive: boolean;
}

/** Chance from a seed, as the parts of a world draw it. */
export interface Chance {
  (): number;
  below(limit: number): number;
  pick<T>(from: readonly T[]): T;
  bytes(length: number): Uint8Array;
}

export function chanceFrom(seed: number): Chance {
  const next = seededRandom(seed);
  const below = (limit: number): number => Math.floor(next() * limit);
  return Object.assign(() => next(), {
    below,
    pick<T>(from: readonly T[]): T {
      const one = from[below(from.length)];
      if (one === undefined) throw new TypeError('nothing to pick from');
      return one;
    },
    bytes: (length: number) => Uint8Array.from({ length }, () => below(256)),
  });
}

/** The time of a world: it passes only from one event to the next. */
export class WorldTime {
  readonly #heap = new EventHeap();
  #now = 0;

  /** Milliseconds since the world began. */
  get now(): number {
    return this.#now;
  }

  get pending(): number {
    return this.#heap.size;
  }

  /** Calls after so many milliseconds of the world. */
  after(ms: number, call: () => void): Timer {
    const due = this.#heap.add(this.#now + Math.max(0, ms), call);
    return {
      cancel() {
        due.call = undefined;
      },
    };
  }

  /** Lets the next event happen. False when there is none. */
  step(): boolean {
    const due = this.#heap.next();
    if (due === undefined) return false;
    this.#now = Math.max(this.#now, due.at);
    due.call?.();
    return true;
  }

  /** What a process takes for the machine: its clock is `skew()` milliseconds off, its chance is its own. */
  envFor(process: Process, skew: () => number, chance: Chance): Env {
    const after = (ms: number, call: () => void): Timer =>
      this.after(ms, () => {
        if (process.alive) call();
      });
    return {
      now: () => Math.floor(BEGINNING + this.#now + skew()),
      monotonic: () => this.#now,
      cpu: () => 0,
      random: () => chance(),
      bytes: (length) => chance.bytes(length),
      after,
      offload: inlineOffload,
      deadline: (ms) => {
        const controller = new AbortController();
        after(ms, () => controller.abort(TIME_IS_OVER));
        return controller.signal;
      },
    };
  }
}
