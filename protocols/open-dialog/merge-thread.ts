import { type Env, pause, type Timer } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import type { MergeAnswer, Merged, MergeQuestion, MergeRequest } from './merge-questions.ts';

/** Somebody who merges elsewhere than on the thread that asks. */
export interface MergeWorker {
  post(request: MergeRequest): void;
  /** Whether it keeps the process alive: with nothing to do it must not, with work it must. */
  hold(holds: boolean): void;
  /** Ends it, whatever it is at. */
  end(): Promise<void>;
}

/** What a worker says, never before it is started: its answers, and that it is gone, by itself or ended. */
export interface MergeWorkerEvents {
  readonly answer: (answer: MergeAnswer) => void;
  readonly gone: (cause?: unknown) => void;
}

/** Starts a worker that keeps nothing alive yet. The real one is `daemon/merging/start-merge-worker.ts`. */
export type StartMergeWorker = (events: MergeWorkerEvents) => MergeWorker;

/** After this many merges a worker is replaced, so that its wasm memory goes back to the system. */
const MERGES_PER_WORKER = 20_000;
/** To start: Automerge has to be loaded and compiled, on a machine that may be busy. */
const START_MS = 60_000;
/** Bytes of changes in one message: copying them is work of the main thread, which does other things in between. */
const PIECE_BYTES = 256 * 1024;
const PIECE_CHANGES = 500;

/** Somebody waits for what is under way. */
const HOLDS = { holds: true };

type MergeThreadEnv = Pick<Env, 'after'>;

interface Waiting {
  resolve(merged: Merged): void;
  reject(error: Error): void;
}

/**
 * One worker at a time, started when it is needed. `ask` rejects with `merge-deadline` when the answer takes longer (milliseconds,
 * from the moment that the worker is there), and with `merge-failed` when the worker dies or fails; either way the next question
 * finds a fresh one.
 */
export class MergeThread {
  readonly #env: MergeThreadEnv;
  readonly #start: StartMergeWorker;
  readonly #open = new Map<number, Waiting>();
  #worker: MergeWorker | undefined;
  #ready: Promise<void> = Promise.resolve();
  #spent = 0;
  #nextId = 1;

  constructor(env: MergeThreadEnv, start: StartMergeWorker) {
    this.#env = env;
    this.#start = start;
  }

  async ask(question: MergeQuestion, changes: readonly Uint8Array[], deadline: number): Promise<Merged> {
    const worker = await this.#current();
    const id = this.#nextId++;
    worker.hold(true);
    const answer = new Promise<Merged>((resolve, reject) => {
      this.#open.set(id, { resolve, reject });
    });
    // It may be rejected before anybody waits for it.
    answer.catch(() => undefined);
    let timer: Timer | undefined;
    try {
      await this.#within(worker, START_MS, this.#ready);
      await this.#send(worker, id, question, changes);
      timer = this.#env.after(
        deadline,
        () => this.#end(worker, new AgrinetError('merge-deadline', 'merging took too long')),
        HOLDS,
      );
      return await answer;
    } finally {
      timer?.cancel();
      this.#open.delete(id);
      if (this.#open.size === 0) worker.hold(false);
    }
  }

  async stop(): Promise<void> {
    await this.#worker?.end();
  }

  async #current(): Promise<MergeWorker> {
    if (this.#worker !== undefined && ++this.#spent > MERGES_PER_WORKER && this.#open.size === 0) {
      const old = this.#worker;
      this.#worker = undefined;
      await old.end();
    }
    return (this.#worker ??= this.#begin());
  }

  #begin(): MergeWorker {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    promise.catch(() => undefined); // whoever waits for it is told
    const fresh = this.#start({
      answer: (message) => ('ready' in message ? resolve() : this.#take(message)),
      gone: (cause) => {
        const how = cause === undefined ? 'ended' : 'failed';
        const error = new AgrinetError('merge-failed', `the merging worker ${how}`, { cause });
        reject(error);
        this.#gone(fresh, error);
      },
    });
    this.#spent = 1;
    this.#ready = promise;
    return fresh;
  }

  #take(message: Exclude<MergeAnswer, { ready: true }>): void {
    const waiting = this.#open.get(message.id);
    if (waiting === undefined) return;
    if ('error' in message) waiting.reject(new AgrinetError('merge-failed', message.error));
    else waiting.resolve(message.merged);
  }

  /** All that were asked of a worker that is gone are told; who asks next gets another. */
  #gone(worker: MergeWorker, error: Error): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    for (const waiting of this.#open.values()) waiting.reject(error);
    this.#open.clear();
  }

  #end(worker: MergeWorker, error: Error): void {
    this.#gone(worker, error);
    void worker.end();
  }

  async #within(worker: MergeWorker, ms: number, what: Promise<void>): Promise<void> {
    const timer = this.#env.after(
      ms,
      () => this.#end(worker, new AgrinetError('merge-failed', 'the merging worker did not start')),
      HOLDS,
    );
    try {
      await what;
    } finally {
      timer.cancel();
    }
  }

  /** In pieces, as long as the question is open. */
  async #send(
    worker: MergeWorker,
    id: number,
    question: MergeQuestion,
    changes: readonly Uint8Array[],
  ): Promise<void> {
    worker.post({ id, question });
    let piece: Uint8Array[] = [];
    let bytes = 0;
    for (const change of changes) {
      piece.push(change);
      bytes += change.length;
      if (bytes < PIECE_BYTES && piece.length < PIECE_CHANGES) continue;
      worker.post({ id, changes: piece });
      piece = [];
      bytes = 0;
      await pause(this.#env, 0);
      if (!this.#open.has(id)) return;
    }
    worker.post({ id, changes: piece });
    worker.post({ id, end: true });
  }
}
