import type { Env } from '../../protocols/env.ts';
import { MergeQuestions, type MergeRequest } from '../../protocols/open-dialog/merge-questions.ts';
import type { StartMergeWorker, MergeReply } from '../../protocols/open-dialog/merge-thread.ts';
import { createMerger, type MergeAlarm, type Merger } from '../../protocols/open-dialog/merger.ts';
import { inlineWorker } from './inline-worker.ts';

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

/** A merging worker on the thread that starts it. */
export function inlineMergeWorker(env: Pick<Env, 'after'>, delay: MergeDelay): StartMergeWorker {
  return inlineWorker<MergeRequest, MergeReply>(
    env,
    () => {
      const questions = new MergeQuestions();
      return (request) => questions.take(request);
    },
    delay,
  );
}
