import { parentPort } from 'node:worker_threads';
import {
  type MergeAnswer,
  MergeQuestions,
  type MergeRequest,
} from '../../protocols/open-dialog/merge-questions.ts';

/** The thread of a merging worker: it loads Automerge, reports that it is ready, and answers. */
const questions = new MergeQuestions();

function tell(answer: MergeAnswer): void {
  parentPort?.postMessage(answer);
}

parentPort?.on('message', (request: MergeRequest) => {
  const answer = questions.take(request);
  if (answer !== undefined) tell(answer);
});
tell({ ready: true });
