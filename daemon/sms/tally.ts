/** Keys that are counted at a time; in a window with more of them none has anything left. */
const KEYS_MAX = 10_000;

/** Counts by key in windows of time. */
export class Tally {
  readonly #most: number;
  readonly #windowMs: number;
  readonly #now: () => number;
  #began = -Infinity;
  #counts = new Map<string, number>();

  /** At most this many of each key in a window; `now` in milliseconds of a clock that nobody sets. */
  constructor(most: number, windowMs: number, now: () => number) {
    this.#most = most;
    this.#windowMs = windowMs;
    this.#now = now;
  }

  /** Whether a key has nothing left in this window. */
  isOver(key: string): boolean {
    this.#turn();
    return (this.#counts.get(key) ?? (this.#counts.size >= KEYS_MAX ? this.#most : 0)) >= this.#most;
  }

  add(key: string): void {
    this.#turn();
    if (this.#counts.has(key) || this.#counts.size < KEYS_MAX)
      this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  #turn(): void {
    if (this.#now() - this.#began < this.#windowMs) return;
    this.#began = this.#now();
    this.#counts = new Map();
  }
}
