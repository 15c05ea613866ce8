import type { Env } from './env.ts';

/** What a thread has used, what time has passed, and how the event loop goes round. */
export type TurnEnv = Pick<Env, 'cpu' | 'monotonic' | 'after'>;

/**
 * Tells when a thread has used an amount of CPU. Asking the kernel costs microseconds, so the clock decides when to ask: no thread uses
 * more CPU than time passes.
 */
export class CpuSlice {
  readonly #env: Pick<TurnEnv, 'cpu' | 'monotonic'>;
  readonly #ms: number;
  #since = 0;
  #earliest = 0;

  /** `ms` of CPU, from now on. */
  constructor(env: Pick<TurnEnv, 'cpu' | 'monotonic'>, ms: number) {
    this.#env = env;
    this.#ms = ms;
    this.begin();
  }

  begin(): void {
    this.#since = this.#env.cpu();
    this.#earliest = this.#env.monotonic() + this.#ms;
  }

  /** Cheap enough to be asked for every op: 0.2 µs until it can be over. */
  isOver(): boolean {
    const now = this.#env.monotonic();
    if (now < this.#earliest) return false;
    const left = this.#ms - (this.#env.cpu() - this.#since);
    if (left <= 0) return true;
    this.#earliest = now + left;
    return false;
  }
}
