import { type Env, pause } from '../env.ts';

/** CPU that one piece of work takes of the main thread before timers and sockets have their turn, milliseconds. */
const TURN_MS = 8;

/**
 * Lets work on what others have sent give way by the CPU time it has used: promises alone starve timers and sockets, and a pause
 * for every item would cost more than most items.
 */
export class CpuTurn {
  readonly #env: Pick<Env, 'cpu' | 'after'>;
  #since: number;

  constructor(env: Pick<Env, 'cpu' | 'after'>) {
    this.#env = env;
    this.#since = env.cpu();
  }

  /** Waits for a turn of the event loop when this one has been used up; otherwise costs next to nothing. */
  async pause(): Promise<void> {
    if (this.#env.cpu() - this.#since < TURN_MS) return;
    await pause(this.#env, 0);
    this.#since = this.#env.cpu();
  }
}
