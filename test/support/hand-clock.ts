import { setImmediate as turn } from 'node:timers/promises';
import type { Env } from '../../protocols/env.ts';
import { chanceFrom, WorldTime } from '../sim/world/time.ts';

/** Turns of the event loop after something fell due: what it sets off in this process is done by then. */
const TURNS = 6;

/** Time that passes only by hand. */
export class HandClock {
  readonly #time = new WorldTime();
  readonly env: Env = this.#time.envFor({ name: 'here', alive: true }, () => 0, chanceFrom(1));

  /** Lets so many milliseconds pass: what falls due until then, that moment included, is called, and what it sets off has its turns. */
  async pass(ms: number): Promise<void> {
    await settle();
    const until = this.#time.now + ms;
    for (let steps = 0; steps !== 1;) {
      steps = 0;
      for (const over = this.#at(until); !over.is; steps++) {
        this.#time.step();
        await settle();
      }
    }
  }

  #at(time: number): { is: boolean } {
    const reached = { is: false };
    this.#time.after(time - this.#time.now, () => (reached.is = true));
    return reached;
  }
}

/** Whatever is under way in this process without waiting for anything. */
export async function settle(): Promise<void> {
  for (let i = 0; i < TURNS; i++) await turn();
}

/** How a piece of work stands now: its result, the code of its error, or that it goes on. */
export function watchEnd(work: Promise<unknown>): () => unknown {
  let end: unknown = 'goes on';
  work.then(
    (value) => (end = value ?? 'done'),
    (error: unknown) => (end = codeOf(error)),
  );
  return () => end;
}

function codeOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'code' in error) return String(error.code);
  return error instanceof Error ? error.name : String(error);
}
