import type { Env, Timer } from '../protocols/env.ts';

/** A clock that was set meanwhile is noticed after so long. */
const LONGEST_SLEEP_MS = 30_000;
/** Between two looks at what could not be done: a disk that fails is opened again within that time. */
const RETRY_MS = 2000;

export interface WokenWorkParts {
  readonly env: Pick<Env, 'after'>;
  /** Does what there is to do. */
  readonly look: () => Promise<void>;
  /** Told of a look that failed, unless the work has been stopped. */
  readonly onFailure: (error: unknown) => void;
}

/**
 * Work that is looked for when somebody says that there may be some: one look at a time, another where it was woken meanwhile. After a look
 * that failed the next one comes with a timer, however often it is woken: tries without a turn of the event loop between them would
 * keep the database from ever being opened again.
 */
export class WokenWork {
  readonly #parts: WokenWorkParts;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #again = false;
  #timer: Timer | undefined;

  constructor(parts: WokenWorkParts) {
    this.#parts = parts;
  }

  /** Aborts when the work is stopped. */
  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  /** There may be something to do. Never throws. */
  wake(): void {
    this.#again = true;
    if (this.stopping.aborted || this.#running !== undefined) return;
    this.#timer?.cancel();
    this.#again = false;
    this.#running = Promise.resolve()
      .then(() => this.#parts.look())
      .catch((error: unknown) => {
        this.#again = false;
        if (!this.stopping.aborted) this.#parts.onFailure(error);
        this.sleep(RETRY_MS);
      })
      .finally(() => {
        this.#running = undefined;
        if (this.#again) this.wake();
      });
  }

  /** Wakes it after so long at the latest, instead of when it was last told to. */
  sleep(ms: number): void {
    this.#timer?.cancel();
    if (this.stopping.aborted) return;
    this.#timer = this.#parts.env.after(Math.min(Math.max(ms, 1), LONGEST_SLEEP_MS), () => this.wake());
  }

  /** Resolves when no look is under way and none is asked for. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** No look begins any more; resolves when the last has ended. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#again = false;
    this.#timer?.cancel();
    await this.#running;
    this.#timer?.cancel();
  }
}
