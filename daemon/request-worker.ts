import type { Transferable, Worker } from 'node:worker_threads';
import type { WorkerReply, WorkerEvents, RequestWorker } from '../protocols/request-thread.ts';

/** The message for a request, and what of it is transferred rather than copied. */
export interface Posted {
  readonly message: unknown;
  readonly given?: readonly Transferable[];
}

/** A thread that reports when it is ready and then answers each request, by its id. It does not keep the process alive. */
export function startRequestWorker<Request, Answer>(
  thread: Worker,
  { answer, gone }: WorkerEvents<Answer>,
  posted: (request: Request) => Posted,
): RequestWorker<Request> {
  thread.unref();
  thread.on('message', (message: WorkerReply<Answer>) => answer(message));
  thread.on('error', (cause) => gone(cause));
  thread.on('exit', () => gone());
  return {
    post(request) {
      const { message, given = [] } = posted(request);
      thread.postMessage(message, given);
    },
    hold: (holds) => (holds ? thread.ref() : thread.unref()),
    async end() {
      await thread.terminate();
    },
  };
}
