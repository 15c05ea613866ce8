import { Worker } from 'node:worker_threads';
import { AgrinetError } from '../errors.ts';
import type { MergeAnswer, Merged, MergeQuestion, MergeRequest } from './merge-worker.ts';

/** How a worker is started; a test keeps hold of it to end it at the worst moment. */
export type StartWorker = () => Worker;

export const startWorker: StartWorker = () =>
  new Worker(new URL('./merge-worker.ts', import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: 512 },
  });

/** After this many merges a worker is replaced, so that its wasm memory goes back to the system. */
const MERGES_PER_WORKER = 20_000;
/** To start: Automerge has to be loaded and compiled, on a machine that may be busy. */
const START_MS = 60_000;
/** Bytes of changes in one message: copying them is work of the main thread, which does other things in between. */
const PIECE_BYTES = 256 * 1024;
const PIECE_CHANGES = 500;

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
  readonly #start: StartWorker;
  readonly #open = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #ready: Promise<void> = Promise.resolve();
  #spent = 0;
  #nextId = 1;

  constructor(start: StartWorker) {
    this.#start = start;
  }

  async ask(question: MergeQuestion, changes: readonly Uint8Array[], deadline: number): Promise<Merged> {
    const worker = await this.#current();
    const id = this.#nextId++;
    // A worker with nothing to do must not keep the process alive, one with work must.
    worker.ref();
    const answer = new Promise<Merged>((resolve, reject) => {
      this.#open.set(id, { resolve, reject });
    });
    // It may be rejected before anybody waits for it.
    answer.catch(() => undefined);
    let timer: NodeJS.Timeout | undefined;
    try {
      await this.#within(worker, START_MS, this.#ready);
      await send(worker, id, question, changes, () => this.#open.has(id));
      timer = setTimeout(
        () => this.#end(worker, new AgrinetError('merge-deadline', 'merging took too long')),
        deadline,
      );
      return await answer;
    } finally {
      clearTimeout(timer);
      this.#open.delete(id);
      if (this.#open.size === 0) worker.unref();
    }
  }

  async stop(): Promise<void> {
    await this.#worker?.terminate();
  }

  async #current(): Promise<Worker> {
    if (this.#worker !== undefined && ++this.#spent > MERGES_PER_WORKER && this.#open.size === 0) {
      const old = this.#worker;
      this.#worker = undefined;
      await old.terminate();
    }
    return (this.#worker ??= this.#begin());
  }

  #begin(): Worker {
    const fresh = this.#start();
    fresh.unref();
    this.#spent = 1;
    this.#ready = new Promise((resolve, reject) => {
      fresh.on('message', (message: MergeAnswer) => {
        if ('ready' in message) resolve();
        else this.#take(message);
      });
      const gone = (error: Error): void => {
        reject(error);
        this.#gone(fresh, error);
      };
      fresh.on('error', (cause) =>
        gone(new AgrinetError('merge-failed', 'the merging worker failed', { cause })),
      );
      fresh.on('exit', () => gone(new AgrinetError('merge-failed', 'the merging worker ended')));
    });
    this.#ready.catch(() => undefined); // whoever waits for it is told
    return fresh;
  }

  #take(message: Exclude<MergeAnswer, { ready: true }>): void {
    const waiting = this.#open.get(message.id);
    if (waiting === undefined) return;
    if ('error' in message) waiting.reject(new AgrinetError('merge-failed', message.error));
    else waiting.resolve(message.merged);
  }

  /** All that were asked of a worker that is gone are told; who asks next gets another. */
  #gone(worker: Worker, error: Error): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    for (const waiting of this.#open.values()) waiting.reject(error);
    this.#open.clear();
  }

  #end(worker: Worker, error: Error): void {
    this.#gone(worker, error);
    void worker.terminate();
  }

  async #within(worker: Worker, ms: number, what: Promise<void>): Promise<void> {
    const timer = setTimeout(
      () => this.#end(worker, new AgrinetError('merge-failed', 'the merging worker did not start')),
      ms,
    );
    try {
      await what;
    } finally {
      clearTimeout(timer);
    }
  }
}

async function send(
  worker: Worker,
  id: number,
  question: MergeQuestion,
  changes: readonly Uint8Array[],
  isOpen: () => boolean,
): Promise<void> {
  const post = (message: MergeRequest): void => worker.postMessage(message);
  post({ id, question });
  let piece: Uint8Array[] = [];
  let bytes = 0;
  for (const change of changes) {
    // Alone: of a view the whole entry that it is part of would be copied.
    piece.push(Uint8Array.from(change));
    bytes += change.length;
    if (bytes < PIECE_BYTES && piece.length < PIECE_CHANGES) continue;
    post({ id, changes: piece });
    piece = [];
    bytes = 0;
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (!isOpen()) return;
  }
  post({ id, changes: piece });
  post({ id, end: true });
}
