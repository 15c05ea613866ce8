import { Worker } from 'node:worker_threads';
import type { MergeRequest } from '../../protocols/open-dialog/merge-questions.ts';
import type { MergeWorker, MergeWorkerEvents } from '../../protocols/open-dialog/merge-thread.ts';
import { startRequestWorker } from '../request-worker.ts';

/** Starts a merging worker on a thread of its own, which a record that is too large for its memory ends and nothing else. */
export function startMergeWorker(events: MergeWorkerEvents): MergeWorker {
  const thread = new Worker(new URL('./merge-worker.ts', import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: 512 },
  });
  return mergeWorkerOf(thread, events);
}

/** A thread that speaks as `merge-worker.ts` does. */
export function mergeWorkerOf(thread: Worker, events: MergeWorkerEvents): MergeWorker {
  return startRequestWorker(thread, events, (request) => ({ message: copied(request) }));
}

/** Of a view the whole entry that it is part of would be sent. */
function copied(request: MergeRequest): MergeRequest {
  if (!('changes' in request)) return request;
  return { id: request.id, changes: request.changes.map((change) => Uint8Array.from(change)) };
}
