import type { Transferable, Worker } from 'node:worker_threads';
import type { AskedAnswer, AskedEvents, AskedWorker } from '../protocols/asked-thread.ts';

/** What is posted of a request, and what of it is given away rather than copied. */
export interface Posted {
  readonly message: unknown;
  readonly given?: readonly Transferable[];
}

/** A thread that says that it is there and then answers each request, under its id. It keeps nothing alive yet. */
export function askedWorker<Request, Answer>(
  thread: Worker,
  { answer, gone }: AskedEvents<Answer>,
  posted: (request: Request) => Posted,
): AskedWorker<Request> {
  thread.unref();
  thread.on('message', (message: AskedAnswer<Answer>) => answer(message));
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
