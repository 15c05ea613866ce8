import type { Env } from '../../protocols/env.ts';
import { type MergeAnswer, MergeQuestions } from '../../protocols/open-dialog/merge-questions.ts';
import type { MergeWorkerEvents, StartMergeWorker } from '../../protocols/open-dialog/merge-thread.ts';
import { createMerger, type MergeAlarm, type Merger } from '../../protocols/open-dialog/merger.ts';

/** How an inline worker takes its time: milliseconds of the environment's clock for each answer. */
export type MergeDelay = () => number;

/**
 * A merger without threads, for a world: the same deadlines, tries and pauses as the daemon's, all by the environment's time, and the
 * same seed gives the same answers at the same moments. A delay beyond its deadlines makes merges come late or not at all.
 */
export function createInlineMerges(
  env: Pick<Env, 'monotonic' | 'after'>,
  {
    onAlarm = () => undefined,
    delay = () => 0,
  }: { onAlarm?: (alarm: MergeAlarm) => void; delay?: MergeDelay } = {},
): Merger {
  return createMerger({ env, start: inlineMergeWorker(env, delay), onAlarm });
}

/** A merging worker on the thread that starts it. It answers one question after another, as a thread does. */
export function inlineMergeWorker(env: Pick<Env, 'after'>, delay: MergeDelay): StartMergeWorker {
  return ({ answer, gone }: MergeWorkerEvents) => {
    const questions = new MergeQuestions();
    const told: MergeAnswer[] = [];
    let isEnded = false;
    const next = (): void => {
      env.after(delay(), () => {
        const first = told.shift();
        if (isEnded || first === undefined) return;
        answer(first);
        if (told.length > 0) next();
      });
    };
    const tell = (message: MergeAnswer): void => {
      if (told.push(message) === 1) next();
    };
    tell({ ready: true });
    return {
      post(request) {
        const message = isEnded ? undefined : questions.take(request);
        if (message !== undefined) tell(message);
      },
      hold: () => undefined,
      end: () => {
        if (!isEnded) env.after(0, () => gone());
        isEnded = true;
        return Promise.resolve();
      },
    };
  };
}
