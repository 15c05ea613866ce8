import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import type { JobHealth, JobName } from '../../api/ports/jobs.ts';
import { AgrinetError, errorMessage } from '../../protocols/errors.ts';
import { asked } from './embedded-queue.ts';
import type { JobStore } from './job-store.ts';
import type { JobHandlers, JobQueue } from './job-queue.ts';
import { createJobWorker, type JobWorker } from './job-worker.ts';
import { QUEUE_NAME, redisConnection } from './redis.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';

/** BullMQ's commands wait for ever while Redis is away. */
const REDIS_MS = 3000;
/** What was handed over is handed over again after so long: what Redis still has, it does not take twice. */
const AGAIN_MS = 60_000;
/** How often it is looked for jobs that were not handed over: jobs that become due call by themselves. */
const ROUND_MS = 5000;
const BATCH = 200;
/** Jobs handed over before any of them is begun; the others wait in LevelDB. */
const HANDED_MOST = 2000;

export interface BullmqParts {
  readonly store: JobStore;
  readonly redisUrl: string;
  readonly onTrouble: (message: string, fields: Record<string, unknown>) => void;
  readonly now: () => number;
  /** A clock that nobody sets, milliseconds; default `now`. */
  readonly steady?: () => number;
  /** BullMQ's key prefix; default its own. */
  readonly prefix?: string;
}

/**
 * The store's jobs, handed to workers through Redis. LevelDB stays the truth: Redis only carries ids, and what it loses is handed
 * over again until the store says that it ended. Redis away: jobs wait, `health` says so, nothing fails.
 */
export function createBullmqQueue(parts: BullmqParts, names: readonly JobName[]): JobQueue {
  const { store, redisUrl, onTrouble, now, steady = now, prefix } = parts;
  const mine: ReadonlySet<JobName> = new Set(names);
  const handed = new Map<string, number>();
  let queue: Queue | undefined;
  let connection: Redis | undefined;
  let worker: JobWorker | undefined;
  let awaySince: number | undefined = now();
  let reason = 'not connected yet';
  let timer: NodeJS.Timeout | undefined;
  let round: Promise<void> | undefined;
  let again = false;
  let stopped = false;
  let unsubscribe = (): unknown => undefined;

  function away(error: unknown): void {
    reason = errorMessage(error) || 'no connection';
    if (awaySince !== undefined) return;
    awaySince = now();
    onTrouble('Redis is away; jobs wait in LevelDB', { err: error });
  }
  /** Hands over what is due; one round at a time, and one more when something became due meanwhile. */
  function pump(): void {
    if (stopped || queue === undefined) return;
    if (round !== undefined) {
      again = true;
      return;
    }
    again = false;
    round = handOver(queue)
      .then(() => (awaySince = undefined), away)
      .then(() => {
        round = undefined;
        if (again && awaySince === undefined) pump();
      });
  }
  async function handOver(to: Queue): Promise<void> {
    // A command to a Redis that is away would be kept by the client and pile up.
    if (connection?.status !== 'ready') throw new AgrinetError('redis-away', reason);
    const at = steady();
    // Each time that a job becomes due it is another message: one that was given back is not taken for the one before.
    const due = store.due(mine, HANDED_MOST).map((job) => ({ job, jobId: `${job.id}.${job.runAt}` }));
    const current = new Set(due.map(({ jobId }) => jobId));
    for (const jobId of handed.keys()) if (!current.has(jobId)) handed.delete(jobId);
    const lacking = due.filter(({ jobId }) => (handed.get(jobId) ?? -Infinity) <= at - AGAIN_MS);
    if (lacking.length === 0) {
      await within(to.getJobCountByTypes('waiting')); // a look whether Redis is there
      return;
    }
    for (let from = 0; from < lacking.length; from += BATCH) {
      const batch = lacking.slice(from, from + BATCH);
      // The data stays here: Redis need not be trusted with a phone number. A worker is told at its claim.
      await within(
        to.addBulk(
          batch.map(({ job, jobId }) => ({
            name: job.name,
            data: { id: job.id },
            opts: { jobId, removeOnComplete: true, removeOnFail: true },
          })),
        ),
      );
      for (const { jobId } of batch) handed.set(jobId, at);
    }
  }

  return {
    kind: 'bullmq',
    ...asked(store),
    health(): JobHealth {
      if (awaySince === undefined) return { ok: true, detail: 'jobs go to workers through Redis' };
      const since = isoTime(awaySince);
      return {
        ok: false,
        // Everybody may read it in /ready: where Redis is, and why it does not answer, is in the log alone; how many wait is the operator's.
        detail: `Redis is away since ${since}; jobs wait on disk and go on when it is back`,
      };
    },
    /** Handlers given here are run by a worker in this process. */
    start: async (handlers: JobHandlers) => {
      const { url, ...options } = redisConnection(redisUrl);
      connection = new Redis(url, { ...options, enableOfflineQueue: false });
      connection.on('error', away);
      connection.on('ready', () => {
        // A Redis that was away may have forgotten everything.
        handed.clear();
        pump();
      });
      queue = new Queue(QUEUE_NAME, { connection, ...(prefix === undefined ? {} : { prefix }) });
      queue.on('error', away);
      unsubscribe = store.onDue(pump);
      timer = setInterval(pump, ROUND_MS);
      timer.unref();
      if (names.some((name) => handlers[name] !== undefined))
        worker = createJobWorker({ redisUrl, prefix, attempts: store, handlers, onTrouble });
    },
    stop: async () => {
      stopped = true;
      clearInterval(timer);
      unsubscribe();
      await worker?.stop();
      await round;
      // Its polite end waits for Redis, which may be away.
      if (queue !== undefined && awaySince === undefined) await within(queue.close()).catch(away);
      connection?.disconnect();
    },
  };
}

/** Throws `redis-away` when Redis does not answer in time; a command that arrives late does no harm, its job is known by its id. */
async function within<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new AgrinetError('redis-away', 'Redis does not answer')), REDIS_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
    work.catch(() => undefined); // told by the timeout
  }
}
