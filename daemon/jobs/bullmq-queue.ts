import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import type { Job, JobHealth, JobName } from '../../api/ports/jobs.ts';
import { type Env, every, type Timer } from '../../protocols/env.ts';
import { AgrinetError, errorMessage } from '../../protocols/errors.ts';
import { storeMethods } from './embedded-queue.ts';
import type { JobStore } from './job-store.ts';
import type { JobHandlers, JobQueue } from './job-queue.ts';
import { createJobWorker, type JobWorker } from './job-worker.ts';
import { QUEUE_NAME, redisConnection } from './redis.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';

/** BullMQ's commands wait for ever while Redis is away. */
const REDIS_MS = 3000;
/** A job that was handed to Redis is handed over again after this; Redis ignores one that it still has. */
const AGAIN_MS = 60_000;
/** How often the node checks for jobs that were not handed over; jobs that become due trigger this themselves. */
const ROUND_MS = 5000;
const BATCH = 200;
/** Jobs handed over before any of them is begun; the others wait in LevelDB. */
const HANDED_MOST = 2000;

export interface BullmqParts {
  readonly store: JobStore;
  readonly redisUrl: string;
  readonly onTrouble: (message: string, fields: Record<string, unknown>) => void;
  readonly env: Pick<Env, 'now' | 'monotonic' | 'after'>;
  /** BullMQ's key prefix; default its own. */
  readonly prefix?: string;
}

/**
 * Passes the store's jobs to workers through Redis. LevelDB remains the source of truth: Redis only carries ids, and what it loses
 * is passed again until the store says that the job ended. Without Redis, jobs wait, `health` says so, and nothing fails.
 */
export function createBullmqQueue(parts: BullmqParts, names: readonly JobName[]): JobQueue {
  const handover = new RedisHandover(parts, names);
  return {
    kind: 'bullmq',
    ...storeMethods(parts.store),
    health: () => handover.health(),
    /** Handlers given here are run by a worker in this process. */
    start: async (handlers) => handover.start(handlers),
    stop: () => handover.stop(),
  };
}

class RedisHandover {
  readonly #parts: BullmqParts;
  readonly #names: ReadonlySet<JobName>;
  /** When each message was handed over, by the monotonic clock. */
  readonly #handed = new Map<string, number>();
  #queue: Queue | undefined;
  #connection: Redis | undefined;
  #worker: JobWorker | undefined;
  #awaySince: number | undefined;
  #reason = 'not connected yet';
  #timer: Timer | undefined;
  #round: Promise<void> | undefined;
  #again = false;
  #stopped = false;
  #unsubscribe = (): unknown => undefined;

  constructor(parts: BullmqParts, names: readonly JobName[]) {
    this.#parts = parts;
    this.#names = new Set(names);
    this.#awaySince = parts.env.now();
  }

  start(handlers: JobHandlers): void {
    const { store, env, redisUrl, prefix, onTrouble } = this.#parts;
    const { url, ...options } = redisConnection(redisUrl);
    const connection = new Redis(url, { ...options, enableOfflineQueue: false });
    const away = (error: unknown): void => this.#away(error);
    connection.on('error', away);
    connection.on('ready', () => {
      // A Redis that was away may have forgotten everything.
      this.#handed.clear();
      this.#pump();
    });
    this.#connection = connection;
    this.#queue = new Queue(QUEUE_NAME, { connection, ...(prefix === undefined ? {} : { prefix }) });
    this.#queue.on('error', away);
    this.#unsubscribe = store.onDue(() => this.#pump());
    this.#timer = every(env, ROUND_MS, () => this.#pump());
    if ([...this.#names].some((name) => handlers[name] !== undefined))
      this.#worker = createJobWorker({ env, redisUrl, prefix, attempts: store, handlers, onTrouble });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#unsubscribe();
    await this.#worker?.stop();
    await this.#round;
    // Its polite end waits for Redis, which may be away.
    if (this.#queue !== undefined && this.#awaySince === undefined)
      await this.#within(this.#queue.close()).catch((error: unknown) => this.#away(error));
    this.#connection?.disconnect();
  }

  health(): JobHealth {
    if (this.#awaySince === undefined) return { ok: true, detail: 'jobs go to workers through Redis' };
    const since = isoTime(this.#awaySince);
    return {
      ok: false,
      // Everybody may read it in /ready: where Redis is, and why it does not answer, is in the log alone; how many wait is the operator's.
      detail: `Redis is away since ${since}; jobs wait on disk and go on when it is back`,
    };
  }

  #away(error: unknown): void {
    this.#reason = errorMessage(error) || 'no connection';
    if (this.#awaySince !== undefined) return;
    this.#awaySince = this.#parts.env.now();
    this.#parts.onTrouble('Redis is away; jobs wait in LevelDB', { err: error });
  }

  /** Passes on what is due; one round at a time, and one more when something became due meanwhile. */
  #pump(): void {
    if (this.#stopped || this.#queue === undefined) return;
    if (this.#round !== undefined) {
      this.#again = true;
      return;
    }
    this.#again = false;
    this.#round = this.#handOver(this.#queue)
      .then(
        () => (this.#awaySince = undefined),
        (error: unknown) => this.#away(error),
      )
      .then(() => {
        this.#round = undefined;
        if (this.#again && this.#awaySince === undefined) this.#pump();
      });
  }

  async #handOver(queue: Queue): Promise<void> {
    // A command to a Redis that is away would be kept by the client and pile up.
    if (this.#connection?.status !== 'ready') throw new AgrinetError('redis-away', this.#reason);
    const at = this.#parts.env.monotonic();
    const lacking = this.#lacking(at);
    if (lacking.length === 0) {
      await this.#within(queue.getJobCountByTypes('waiting')); // a look whether Redis is there
      return;
    }
    for (let from = 0; from < lacking.length; from += BATCH) {
      const batch = lacking.slice(from, from + BATCH);
      // The data stays here: Redis need not be trusted with a phone number. A worker gets it with its claim.
      await this.#within(
        queue.addBulk(
          batch.map(({ job, jobId }) => ({
            name: job.name,
            data: { id: job.id },
            opts: { jobId, removeOnComplete: true, removeOnFail: true },
          })),
        ),
      );
      for (const { jobId } of batch) this.#handed.set(jobId, at);
    }
  }

  /** What is due and was not passed on, or so long ago that Redis may have lost it. */
  #lacking(at: number): { readonly job: Job; readonly jobId: string }[] {
    // Each time that a job becomes due it is another message: one that was given back is not taken for the one before.
    const due = this.#parts.store
      .due(this.#names, HANDED_MOST)
      .map((job) => ({ job, jobId: `${job.id}.${job.runAt}` }));
    const current = new Set(due.map(({ jobId }) => jobId));
    for (const jobId of this.#handed.keys()) if (!current.has(jobId)) this.#handed.delete(jobId);
    return due.filter(({ jobId }) => (this.#handed.get(jobId) ?? -Infinity) <= at - AGAIN_MS);
  }

  /** Throws `redis-away` when Redis does not answer in time; a command that arrives late does no harm, its job is known by its id. */
  async #within<T>(work: Promise<T>): Promise<T> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const timer = this.#parts.env.after(
      REDIS_MS,
      () => reject(new AgrinetError('redis-away', 'Redis does not answer')),
      { holds: true },
    );
    try {
      return await Promise.race([work, late]);
    } finally {
      timer.cancel();
      work.catch(() => undefined); // told by the timeout
    }
  }
}
