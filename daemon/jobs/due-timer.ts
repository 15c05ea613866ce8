import type { Env, Timer } from '../../protocols/env.ts';

/** How soon the node notices that the clock was set in the meantime. */
const LONGEST_SLEEP_MS = 30_000;

/** One timer for the earliest of many times, and listeners that are called once for all that became due together. */
export class DueTimer {
  readonly #env: Pick<Env, 'after' | 'monotonic'>;
  /** Checks what is due, and asks to be woken for the rest. */
  readonly #look: () => void;
  readonly #listeners = new Set<() => void>();
  #timer: Timer | undefined;
  #wakeAt = Infinity;
  #calling = false;
  #stopped = false;

  constructor(env: Pick<Env, 'after' | 'monotonic'>, look: () => void) {
    this.#env = env;
    this.#look = look;
  }

  /** Looks again in so many milliseconds, or sooner. */
  wake(inMs: number): void {
    const at = this.#env.monotonic() + Math.max(0, inMs);
    if (this.#stopped || at >= this.#wakeAt) return;
    this.#wakeAt = at;
    this.#timer?.cancel();
    this.#timer = this.#env.after(Math.min(LONGEST_SLEEP_MS, Math.max(0, inMs)), () => {
      this.#wakeAt = Infinity;
      this.#look();
      this.call();
    });
  }

  /** Calls the listeners, once for all calls of this turn. */
  call(): void {
    if (this.#calling || this.#stopped) return;
    this.#calling = true;
    this.#env.after(0, () => {
      this.#calling = false;
      for (const listener of this.#listeners) listener();
    });
  }

  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#listeners.clear();
  }
}
