import { CpuSlice, type TurnEnv } from '../cpu-slice.ts';

/** CPU that work on received data may take on the main thread before it yields to timers and sockets, milliseconds. */
const TURN_MS = 8;

/** Tasks that wait for a turn of one event loop. Each turn goes to one of them: what four peers send at once is four turns' work. */
class Waiting {
  readonly #env: TurnEnv;
  readonly #queue: (() => void)[] = [];
  readonly #slice: CpuSlice;

  constructor(env: TurnEnv) {
    this.#env = env;
    this.#slice = new CpuSlice(env, TURN_MS);
  }

  isUsedUp(): boolean {
    return this.#queue.length > 0 || this.#slice.isOver();
  }

  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#queue.push(resolve);
      if (this.#queue.length === 1) this.#env.after(0, this.#letOneGoOn);
    });
  }

  readonly #letOneGoOn = (): void => {
    this.#slice.begin();
    const first = this.#queue.shift();
    if (this.#queue.length > 0) this.#env.after(0, this.#letOneGoOn);
    first?.();
  };
}

/** By environment, because that is what has an event loop. */
const waitingIn = new WeakMap<TurnEnv, Waiting>();

/**
 * Makes work on received data yield by the CPU time that all of it has used: promises alone starve timers and sockets, and a pause
 * for every item would cost more than most items.
 */
export class CpuTurn {
  readonly #waiting: Waiting;

  constructor(env: TurnEnv) {
    this.#waiting = waitingIn.get(env) ?? new Waiting(env);
    waitingIn.set(env, this.#waiting);
  }

  /** Waits for a turn of the event loop when this one has been used up or others wait; otherwise costs next to nothing. */
  async pause(): Promise<void> {
    if (this.#waiting.isUsedUp()) await this.#waiting.next();
  }
}
