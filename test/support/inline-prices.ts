import { PriceQuestions } from '../../daemon/market/price-questions.ts';
import type { StartPriceWorker } from '../../daemon/market/price-thread.ts';
import type { Env } from '../../protocols/env.ts';

/** What stands in for the thread of prices in a world: it answers on the thread that asks, by the environment's time. */
export function inlinePriceWorker(env: Pick<Env, 'after'>): StartPriceWorker {
  return ({ answer }) => {
    const questions = new PriceQuestions();
    answer({ ready: true });
    return {
      post: ({ id, question }) =>
        void env.after(0, () => answer({ id, answer: questions.answer(question) }), { holds: true }),
      hold: () => undefined,
      end: () => Promise.resolve(),
    };
  };
}
