import { Worker } from 'node:worker_threads';
import type { NumberedAnswer, PriceWorker, PriceWorkerEvents } from './price-thread.ts';

/** Starts a thread for prices: their reading and counting takes seconds at a million of them. */
export function startPriceWorker({ answer, gone }: PriceWorkerEvents): PriceWorker {
  const thread = new Worker(new URL('./price-worker.ts', import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: 512 },
  });
  thread.unref();
  thread.on('message', (message: NumberedAnswer) => answer(message));
  thread.on('error', (cause) => gone(cause));
  thread.on('exit', () => gone());
  return {
    post(numbered) {
      const { question } = numbered;
      thread.postMessage(numbered, question.ask === 'take' ? [question.rows.buffer as ArrayBuffer] : []);
    },
    async end() {
      await thread.terminate();
    },
  };
}
