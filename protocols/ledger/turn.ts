import { CpuSlice, type TurnEnv } from '../cpu-slice.ts';
import type { Env } from '../env.ts';

/** CPU that a task may use before it yields to others and to the event loop, milliseconds. */
export const SLICE_MS = 8;

/** A task's hold on the main thread. Whoever works in a loop asks `isOver` and awaits `next` when it is. */
export interface Turn {
  isOver(): boolean;
  /** CPU that the task has used so far, milliseconds. */
  usedMs(): number;
  /** Lets the event loop go round and others have their turn. */
  next(): Promise<void>;
  /** Waits for another thread; others have their turn meanwhile. */
  away<T>(wait: () => Promise<T>): Promise<T>;
  /** Work that no other task of the ledger may interrupt; the event loop still runs. */
  undivided<T>(work: () => Promise<T>): Promise<T>;
}

/** A turn of work that has the database for itself, as a rebuild has: it yields to the event loop alone. */
export function soleTurn(env: TurnEnv): Turn {
  const slice = new CpuSlice(env, SLICE_MS);
  const started = env.cpu();
  return {
    isOver: () => slice.isOver(),
    usedMs: () => env.cpu() - started,
    async next() {
      await loopTurn(env);
      slice.begin();
    },
    away: (wait) => wait(),
    undivided: (work) => work(),
  };
}

/** Runs work that yields after each small piece, and yields whenever the slice is over. */
export async function sliced<T>(work: Generator<void, T>, turn: Turn): Promise<T> {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    if (turn.isOver()) await turn.next();
  }
}

/** The same at once, for work that is known to be short. */
export function atOnce<T>(work: Generator<void, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

/** Resolves when the event loop has gone round: timers and sockets had their turn, which promises alone would never give them. */
export function loopTurn(env: Pick<Env, 'after'>): Promise<void> {
  return new Promise<void>((resolve) => void env.after(0, resolve));
}
