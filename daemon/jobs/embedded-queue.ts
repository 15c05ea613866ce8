import { setTimeout as pause } from 'node:timers/promises';
import type { Job, JobHealth, JobName } from '../../api/ports/jobs.ts';
import { errorCode } from '../../protocols/errors.ts';
import type { JobStore } from './job-store.ts';
import type { JobHandlers, JobQueue } from './job-queue.ts';
import { runHandler } from './job-runner.ts';

/** Of syncs, and of everything else: a peer that answers as slowly as it may holds up no webhook and no expiry of keys. */
const CONCURRENCY = 4;
/** Between tries to write while the disk does not let us. */
const RETRY_MS = 1000;
const STORAGE: ReadonlySet<string> = new Set(['storage-failed', 'disk-full']);

export interface EmbeddedParts {
  readonly store: JobStore;
  readonly onTrouble: (message: string, fields: Record<string, unknown>) => void;
  readonly concurrency?: number;
}

/** The store's jobs, worked on in this process. `names`: those that are left to it; default all that get a handler. */
export function createEmbeddedQueue(parts: EmbeddedParts, names?: readonly JobName[]): JobQueue {
  const { store, onTrouble, concurrency = CONCURRENCY } = parts;
  const stopping = new AbortController();
  const running = new Map<string, Promise<void>>();
  let handlers: JobHandlers = {};
  let lanes: readonly { readonly names: ReadonlySet<JobName>; readonly busy: Set<string> }[] = [];
  let unsubscribe = (): unknown => undefined;

  function pump(): void {
    if (stopping.signal.aborted) return;
    for (const { names, busy } of lanes)
      for (const { id } of store.due(names, concurrency)) {
        if (busy.size >= concurrency) break;
        if (running.has(id)) continue;
        busy.add(id);
        running.set(id, carryOut(id, busy));
      }
  }
  async function carryOut(id: string, busy: Set<string>): Promise<void> {
    try {
      await work(id);
      setImmediate(pump);
    } catch (error) {
      onTrouble('a job could not be noted', { job: id, err: error });
      setTimeout(pump, RETRY_MS).unref();
    } finally {
      running.delete(id);
      busy.delete(id);
    }
  }
  async function work(id: string): Promise<void> {
    const { job, attempt } = await store.claimLocal(id);
    const outcome = await runHandler(
      handlers[job.name],
      job,
      stopping.signal,
      (update) => store.progress(id, attempt, update),
      (error) => onTrouble('a job failed', { job: id, name: job.name, err: error }),
    );
    // While the disk is full or opened again the outcome is kept here; should the process end, the job is done again.
    for (;;) {
      try {
        await settle(job, attempt, outcome);
        return;
      } catch (error) {
        if (stopping.signal.aborted || !STORAGE.has(errorCode(error))) throw error;
        await pause(RETRY_MS, undefined, { ref: false, signal: stopping.signal });
      }
    }
  }
  async function settle(
    { id }: Job,
    attempt: string,
    outcome: Awaited<ReturnType<typeof runHandler>>,
  ): Promise<void> {
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

  return {
    kind: 'embedded',
    ...asked(store),
    health: (): JobHealth => ({ ok: true, detail: 'jobs are done by the daemon itself' }),
    start: async (given) => {
      handlers = given;
      const able = (Object.keys(given) as JobName[]).filter((name) => given[name] !== undefined);
      const mine = names === undefined ? able : able.filter((name) => names.includes(name));
      const isSync = (name: JobName): boolean => name === 'federation-sync';
      lanes = [mine.filter(isSync), mine.filter((name) => !isSync(name))].map((each) => ({
        names: new Set(each),
        busy: new Set(),
      }));
      unsubscribe = store.onDue(pump);
      pump();
    },
    stop: async () => {
      stopping.abort();
      unsubscribe();
      await Promise.all(running.values());
    },
  };
}

/** What both queues answer out of the store. */
export function asked(store: JobStore): Pick<JobQueue, 'add' | 'get' | 'list' | 'retry' | 'counts'> {
  return {
    add: (name, data, options) => store.add(name, data, options),
    get: async (id) => store.get(id),
    list: async (query) => store.list(query),
    retry: (id) => store.retry(id),
    counts: () => store.counts(),
  };
}
