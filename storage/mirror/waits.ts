import type { Env } from '../../protocols/env.ts';
import type { AgrinetError } from '../../protocols/errors.ts';

/** A pause that can be ended early. */
export class Pause {
  readonly #env: Pick<Env, 'after'>;
  #end: (() => void) | undefined;
  #skip = false;

  constructor(env: Pick<Env, 'after'>) {
    this.#env = env;
  }

  /** At most so many milliseconds. A call of `end` before it counts too. */
  async wait(ms: number): Promise<void> {
    if (!this.#skip)
      await new Promise<void>((resolve) => {
        const timer = this.#env.after(ms, resolve, { holds: true });
        this.#end = () => {
          timer.cancel();
          resolve();
        };
      });
    this.#end = undefined;
    this.#skip = false;
  }

  end(): void {
    this.#skip = true;
    this.#end?.();
  }
}

/** Rounds of the same work, and callers that wait for one that began after their call. */
export class Rounds {
  readonly #env: Pick<Env, 'after'>;
  #begun = 0;
  readonly #waiting = new Set<{ readonly after: number; readonly tell: (error?: AgrinetError) => void }>();

  constructor(env: Pick<Env, 'after'>) {
    this.#env = env;
  }

  begin(): number {
    return ++this.#begun;
  }

  /** The round went well. */
  done(round: number): void {
    for (const one of this.#waiting) if (one.after < round) one.tell();
  }

  /** Nobody shall wait any longer. */
  fail(error: AgrinetError): void {
    for (const one of this.#waiting) one.tell(error);
  }

  /** Resolves when a round that begins from now on went well. Rejects with `late` after so many milliseconds. */
  next(ms: number, late: AgrinetError): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = this.#env.after(ms, () => one.tell(late));
      const one = {
        after: this.#begun,
        tell: (error?: AgrinetError): void => {
          timer.cancel();
          this.#waiting.delete(one);
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      this.#waiting.add(one);
    });
  }
}
