/** A clock that was set meanwhile is noticed after so long. */
const LONGEST_SLEEP_MS = 30_000;

/** One timer for the earliest of many times, and listeners that are called once for all that became due together. */
export class DueTimer {
  readonly #steady: () => number;
  /** Looks at what is due, and asks to be woken for the rest. */
  readonly #look: () => void;
  readonly #listeners = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;
  #wakeAt = Infinity;
  #calling = false;
  #stopped = false;

  constructor(steady: () => number, look: () => void) {
    this.#steady = steady;
    this.#look = look;
  }

  /** Looks again in so many milliseconds, or sooner. */
  wake(inMs: number): void {
    const at = this.#steady() + Math.max(0, inMs);
    if (this.#stopped || at >= this.#wakeAt) return;
    this.#wakeAt = at;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => {
        this.#wakeAt = Infinity;
        this.#look();
        this.call();
      },
      Math.min(LONGEST_SLEEP_MS, Math.max(0, inMs)),
    );
    this.#timer.unref();
  }

  /** Calls the listeners, once for all calls of this turn. */
  call(): void {
    if (this.#calling || this.#stopped) return;
    this.#calling = true;
    setImmediate(() => {
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
    clearTimeout(this.#timer);
    this.#listeners.clear();
  }
}
