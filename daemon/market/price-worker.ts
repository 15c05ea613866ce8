import { parentPort } from 'node:worker_threads';
import { errorMessage } from '../../protocols/errors.ts';
import { PriceQuestions } from './price-questions.ts';
import type { NumberedAnswer, NumberedQuestion } from './price-thread.ts';

/** The thread that holds prices in columns and tells what trends they show. */
const questions = new PriceQuestions();

parentPort?.on('message', ({ no, question }: NumberedQuestion) => {
  let told: NumberedAnswer;
  try {
    told = { no, answer: questions.answer(question) };
  } catch (error) {
    told = { no, failed: errorMessage(error) };
  }
  parentPort?.postMessage(told);
});
