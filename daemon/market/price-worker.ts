import { parentPort } from 'node:worker_threads';
import type { WorkerReply } from '../../protocols/request-thread.ts';
import { errorMessage } from '../../protocols/errors.ts';
import { PriceQuestions } from './price-questions.ts';
import type { NumberedQuestion, PriceReply } from './price-thread.ts';

/** The thread that holds prices in columns, computes their trends, and counts listings. */
const questions = new PriceQuestions();

function tell(told: WorkerReply<PriceReply>): void {
  parentPort?.postMessage(told);
}

parentPort?.on('message', ({ id, question }: NumberedQuestion) => {
  try {
    tell({ id, answer: questions.answer(question) });
  } catch (error) {
    tell({ id, failed: errorMessage(error) });
  }
});
tell({ ready: true });
