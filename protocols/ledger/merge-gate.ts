import { SerialQueue } from '../serial-queue.ts';
import type { Merges } from '../open-dialog/merger.ts';

/** The merges for one task, and what they have cost: milliseconds of the worker's time, without waiting for it. */
export interface GatedMerges extends Merges {
  readonly ms: number;
}

/** One merge for others at a time: the worker processes requests in order, and no author must be able to fill its queue. */
export class MergeGate {
  readonly #monotonic: () => number;
  readonly #turns = new SerialQueue();

  constructor(monotonic: () => number) {
    this.#monotonic = monotonic;
  }

  for(merges: Merges): GatedMerges {
    let spent = 0;
    const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
      const timed = async (): Promise<T> => {
        const started = this.#monotonic();
        try {
          return await work();
        } finally {
          spent += this.#monotonic() - started;
        }
      };
      return this.#turns.run(timed);
    };
    return {
      merge: (...what) => inTurn(() => merges.merge(...what)),
      get ms() {
        return spent;
      },
    };
  }
}
