import { RequestThread, type WorkerEvents, type RequestWorker, type StartWorker } from '../request-thread.ts';
import { type Env, pause } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import type { MergeQuestion, MergeRequest } from './merge-questions.ts';
import type { Values } from './record.ts';

/** What a merging worker answers to a question. */
export type MergeReply = { readonly merged: Values } | { readonly error: string };

/** A merger on another thread than the one that asks. */
export type MergeWorker = RequestWorker<MergeRequest>;
export type MergeWorkerEvents = WorkerEvents<MergeReply>;
/** Starts a worker that keeps nothing alive yet. The real one is `daemon/merging/start-merge-worker.ts`. */
export type StartMergeWorker = StartWorker<MergeRequest, MergeReply>;

/** After this many merges a worker is replaced, so that its wasm memory goes back to the system. */
const MERGES_PER_WORKER = 20_000;
/** Bytes of changes in one message: copying them is work of the main thread, which does other things in between. */
const PIECE_BYTES = 256 * 1024;
const PIECE_CHANGES = 500;

type MergeThreadEnv = Pick<Env, 'after'>;

/**
 * One worker at a time, started when it is needed. `ask` rejects with `merge-deadline` when the answer takes longer (milliseconds,
 * from the moment that the worker is there), and with `merge-failed` when the worker dies or fails; either way the next question
 * finds a fresh one.
 */
export class MergeThread {
  readonly #env: MergeThreadEnv;
  readonly #thread: RequestThread<MergeRequest, MergeReply>;
  #spent = 0;

  constructor(env: MergeThreadEnv, start: StartMergeWorker) {
    this.#env = env;
    this.#thread = new RequestThread({
      env,
      start: (events) => {
        this.#spent = 0;
        return start(events);
      },
      failed: (how, cause) => new AgrinetError('merge-failed', `the merging worker ${how}`, { cause }),
    });
  }

  async ask(question: MergeQuestion, changes: readonly Uint8Array[], deadline: number): Promise<Values> {
    if (this.#spent++ >= MERGES_PER_WORKER && this.#thread.isIdle) await this.stop();
    const told = await this.#thread.ask(
      deadline,
      () => new AgrinetError('merge-deadline', 'merging took too long'),
      (post, id, isOpen) => this.#send(post, { id, question }, changes, isOpen),
    );
    if ('error' in told) throw new AgrinetError('merge-failed', told.error);
    return told.merged;
  }

  stop(): Promise<void> {
    return this.#thread.end(new AgrinetError('merge-failed', 'the merging worker ended'));
  }

  /** In pieces, as long as the question is open. */
  async #send(
    post: (request: MergeRequest) => void,
    { id, question }: { readonly id: number; readonly question: MergeQuestion },
    changes: readonly Uint8Array[],
    isOpen: () => boolean,
  ): Promise<void> {
    post({ id, question });
    let piece: Uint8Array[] = [];
    let bytes = 0;
    for (const change of changes) {
      piece.push(change);
      bytes += change.length;
      if (bytes < PIECE_BYTES && piece.length < PIECE_CHANGES) continue;
      post({ id, changes: piece });
      piece = [];
      bytes = 0;
      await pause(this.#env, 0);
      if (!isOpen()) return;
    }
    post({ id, changes: piece });
    post({ id, end: true });
  }
}
