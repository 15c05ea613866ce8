import type { Env, Timer } from '../protocols/env.ts';

/** A clock that was set meanwhile is noticed after so long. */
const LONGEST_SLEEP_MS = 30_000;
/** Between two looks at what could not be done: a disk that fails is opened again within that time. */
const RETRY_MS = 2000;

/**
 * Work that is done when woken: one run at a time, and another where it was woken meanwhile. After a failed run the next one is
 * started by a timer, however often it is woken: attempts without a turn of the event loop between them would keep the database from
 * ever being reopened.
 */
export abstract class WokenWork {
  readonly #env: Pick<Env, 'after'>;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #again = false;
  #timer: Timer | undefined;

  constructor(env: Pick<Env, 'after'>) {
    this.#env = env;
  }

  /** Does what there is to do. */
  protected abstract look(): Promise<void>;
  /** Called for a failed run, unless the work has been stopped. */
  protected abstract failed(error: unknown): void;

  /** Aborts when the work is stopped. */
  protected get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  /** There may be something to do. Never throws. */
  wake(): void {
    this.#again = true;
    if (this.stopping.aborted || this.#running !== undefined) return;
    this.#timer?.cancel();
    this.#again = false;
    this.#running = Promise.resolve()
      .then(() => this.look())
      .catch((error: unknown) => {
        this.#again = false;
        if (!this.stopping.aborted) this.failed(error);
        this.sleep(RETRY_MS);
      })
      .finally(() => {
        this.#running = undefined;
        if (this.#again) this.wake();
      });
  }

  /** Wakes it after this long at the latest, instead of after the previous value. */
  protected sleep(ms: number): void {
    this.#timer?.cancel();
    if (this.stopping.aborted) return;
    this.#timer = this.#env.after(Math.min(Math.max(ms, 1), LONGEST_SLEEP_MS), () => this.wake());
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
