import { Worker } from 'node:worker_threads';
import type { StartWorker } from '../../protocols/request-thread.ts';
import { startRequestWorker, type Posted } from '../request-worker.ts';
import type { NumberedQuestion, PriceReply } from './price-thread.ts';

/** Starts a thread for prices: their reading and counting takes seconds at a million of them. */
export const startPriceWorker: StartWorker<NumberedQuestion, PriceReply> = (events) =>
  startRequestWorker(
    new Worker(new URL('./price-worker.ts', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: 512 },
    }),
    events,
    posted,
  );

/** Rows are transferred: nothing here needs them again. */
function posted(message: NumberedQuestion): Posted {
  const { question } = message;
  return { message, ...('rows' in question ? { given: [question.rows.buffer as ArrayBuffer] } : {}) };
}
