import type { Job, JobName } from '../../api/ports/jobs.ts';
import { type Env, pause } from '../../protocols/env.ts';
import { errorCode } from '../../protocols/errors.ts';
import type { JobStore } from './job-store.ts';
import type { JobHandlers, JobQueue } from './job-queue.ts';
import { type Outcome, runHandler } from './job-runner.ts';

/** Of syncs, and of everything else: a peer that answers as slowly as it may holds up no webhook and no expiry of keys. */
const CONCURRENCY = 4;
/** Between tries to write while the disk does not let us. */
const RETRY_MS = 1000;
const STORAGE: ReadonlySet<string> = new Set(['storage-failed', 'disk-full', 'database-damaged']);

export interface EmbeddedParts {
  readonly store: JobStore;
  readonly env: Pick<Env, 'after'>;
  readonly onTrouble: (message: string, fields: Record<string, unknown>) => void;
}

/** The store's jobs, worked on in this process. `names`: those that are left to it; default all that get a handler. */
export function createEmbeddedQueue(parts: EmbeddedParts, names?: readonly JobName[]): JobQueue {
  const worker = new EmbeddedWorker(parts);
  return {
    kind: 'embedded',
    ...storeMethods(parts.store),
    health: () => ({ ok: true, detail: 'jobs are done by the daemon itself' }),
    start: async (handlers) => worker.start(handlers, names),
    stop: () => worker.stop(),
  };
}

/** What both queues answer from the store. */
export function storeMethods(store: JobStore): Pick<JobQueue, 'add' | 'get' | 'list' | 'retry' | 'counts'> {
  return {
    add: (name, data, options) => store.add(name, data, options),
    get: async (id) => store.get(id),
    list: async (query) => store.list(query),
    retry: (id) => store.retry(id),
    counts: () => store.counts(),
  };
}

/** Jobs that share a limit of how many run at once. */
interface Pool {
  readonly names: ReadonlySet<JobName>;
  readonly busy: Set<string>;
}

class EmbeddedWorker {
  readonly #parts: EmbeddedParts;
  readonly #stopping = new AbortController();
  readonly #running = new Map<string, Promise<void>>();
  #handlers: JobHandlers = {};
  #pools: readonly Pool[] = [];
  #unsubscribe = (): unknown => undefined;

  constructor(parts: EmbeddedParts) {
    this.#parts = parts;
  }

  start(handlers: JobHandlers, names?: readonly JobName[]): void {
    this.#handlers = handlers;
    const able = (Object.keys(handlers) as JobName[]).filter((name) => handlers[name] !== undefined);
    const mine = names === undefined ? able : able.filter((name) => names.includes(name));
    const isSync = (name: JobName): boolean => name === 'federation-sync';
    this.#pools = [mine.filter(isSync), mine.filter((name) => !isSync(name))].map((each) => ({
      names: new Set(each),
      busy: new Set(),
    }));
    this.#unsubscribe = this.#parts.store.onDue(() => this.#pump());
    this.#pump();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#unsubscribe();
    await Promise.all(this.#running.values());
  }

  #pump(): void {
    if (this.#stopping.signal.aborted) return;
    for (const { names, busy } of this.#pools)
      for (const { id } of this.#parts.store.due(names, CONCURRENCY)) {
        if (busy.size >= CONCURRENCY) break;
        if (this.#running.has(id)) continue;
        busy.add(id);
        this.#running.set(id, this.#process(id, busy));
      }
  }

  async #process(id: string, busy: Set<string>): Promise<void> {
    const { env, onTrouble } = this.#parts;
    try {
      await this.#run(id);
      env.after(0, () => this.#pump());
    } catch (error) {
      onTrouble('a job could not be noted', { job: id, err: error });
      env.after(RETRY_MS, () => this.#pump());
    } finally {
      this.#running.delete(id);
      busy.delete(id);
    }
  }

  async #run(id: string): Promise<void> {
    const { store, env, onTrouble } = this.#parts;
    const { signal } = this.#stopping;
    const { job, attempt } = await store.claimLocal(id);
    const outcome = await runHandler(this.#handlers[job.name], job, {
      env,
      stop: signal,
      progress: (update) => store.progress(id, attempt, update),
      onInternal: (error) => onTrouble('a job failed', { job: id, name: job.name, err: error }),
    });
    // While the disk is full or opened again the outcome is kept here; should the process end, the job is done again.
    for (;;) {
      try {
        await this.#report(job, attempt, outcome);
        return;
      } catch (error) {
        if (signal.aborted || !STORAGE.has(errorCode(error))) throw error;
        await pause(env, RETRY_MS, signal);
      }
    }
  }

  async #report({ id }: Job, attempt: string, outcome: Outcome): Promise<void> {
    const { store } = this.#parts;
    switch (outcome.kind) {
      case 'completed':
        await store.complete(id, attempt, outcome.result);
        break;
      case 'failed':
        await store.fail(id, attempt, outcome.error);
        break;
      case 'stopped':
        await store.release(id, attempt);
        break;
    }
  }
}
