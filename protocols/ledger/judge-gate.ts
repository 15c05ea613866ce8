import type { Judge } from '../open-dialog/merger.ts';

/** The judge for one task, and what it has cost: milliseconds of the worker's time, without waiting for it. */
export interface GatedJudge extends Judge {
  readonly ms: number;
}

/** One judgement for others at a time: the worker takes what it is given in order, and nobody must fill it for the rest. */
export class JudgeGate {
  readonly #wall: () => number;
  #last: Promise<unknown> = Promise.resolve();

  constructor(wall: () => number) {
    this.#wall = wall;
  }

  for(judge: Judge): GatedJudge {
    let spent = 0;
    const judgeNow = async (...record: Parameters<Judge['judge']>): ReturnType<Judge['judge']> => {
      const started = this.#wall();
      try {
        return await judge.judge(...record);
      } finally {
        spent += this.#wall() - started;
      }
    };
    return {
      judge: (...record) => {
        const judged = this.#last.then(() => judgeNow(...record));
        this.#last = judged.catch(() => undefined); // told to whoever asked
        return judged;
      },
      get ms() {
        return spent;
      },
    };
  }
}
