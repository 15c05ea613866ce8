import { setTimeout as pause } from 'node:timers/promises';
import { Worker } from 'bullmq';
import { type JobAttempts, JOB_NAMES } from '../../api/ports/jobs.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import type { JobHandlers } from './job-queue.ts';
import { runHandler } from './job-runner.ts';
import { QUEUE_NAME, redisConnection } from './redis.ts';

export interface JobWorkerParts {
  readonly redisUrl: string;
  readonly prefix?: string | undefined;
  /** The node whose jobs these are: its store in this process, or behind its API. */
  readonly attempts: JobAttempts;
  readonly handlers: JobHandlers;
  readonly onTrouble: (message: string, fields: Record<string, unknown>) => void;
  readonly concurrency?: number;
}

export interface JobWorker {
  /** Resolves when Redis answers. */
  ready(): Promise<void>;
  /** Takes no more; what is under way is told to end and given back. */
  stop(): Promise<void>;
}

/** Codes of a claim that say: not for you, and the node sees to it. */
const NOT_OURS: ReadonlySet<string> = new Set(['not-found', 'job-ended', 'job-claimed', 'job-not-due']);
const CONCURRENCY = 4;
/** What runs may end by itself for so long; then it is dropped, and its lease brings it back. */
const STOP_MS = 10_000;

/**
 * Takes ids from Redis, claims each job at the node and does it. Redis only carries the message: the node gives one live attempt out at
 * a time and takes the report of that one alone, so a message that comes twice, or never, changes nothing of the outcome.
 */
export function createJobWorker(parts: JobWorkerParts): JobWorker {
  const { attempts, handlers, onTrouble } = parts;
  const stopping = new AbortController();

  async function work(id: string): Promise<void> {
    let claimed: Awaited<ReturnType<JobAttempts['claim']>>;
    try {
      claimed = await attempts.claim(id);
    } catch (error) {
      if (NOT_OURS.has(errorCode(error))) return;
      throw error;
    }
    const { job, attempt, leaseMs } = claimed;
    const over = new AbortController();
    const stop = AbortSignal.any([stopping.signal, over.signal]);
    const beats = beat(id, attempt, leaseMs / 3, over);
    const outcome = await runHandler(
      handlers[job.name],
      job,
      stop,
      (update) => attempts.progress(id, attempt, update),
      (error) => onTrouble('a job failed', { job: id, name: job.name, err: error }),
    );
    try {
      if (outcome.kind === 'completed') await attempts.complete(id, attempt, outcome.result);
      else if (outcome.kind === 'failed') await attempts.fail(id, attempt, outcome.error);
      else if (!over.signal.aborted) await attempts.release(id, attempt);
    } catch (error) {
      // Somebody else has it: whatever comes of that counts.
      if (errorCode(error) !== 'attempt-over' && errorCode(error) !== 'not-found') throw error;
    } finally {
      over.abort();
      await beats;
    }
  }
  /** Signs of life until it is over; ends it when the node says that it was given to another. */
  async function beat(id: string, attempt: string, everyMs: number, over: AbortController): Promise<void> {
    for (;;) {
      try {
        await pause(everyMs, undefined, { signal: over.signal });
      } catch {
        return; // over
      }
      try {
        await attempts.progress(id, attempt);
      } catch (error) {
        // An unreachable node comes back, or the report will say so.
        if (errorCode(error) === 'attempt-over') {
          over.abort(error);
          return;
        }
      }
    }
  }

  const worker = new Worker(
    QUEUE_NAME,
    async (message) => {
      const { data } = message as { data: unknown };
      const id = typeof data === 'object' && data !== null && 'id' in data ? data.id : undefined;
      const known = (JOB_NAMES as readonly string[]).includes(message.name);
      if (typeof id !== 'string' || !known)
        throw new AgrinetError('job-malformed', 'a job in the queue is not of an agrinetd');
      await work(id).catch((error: unknown) => {
        onTrouble('a job could not be reported', { job: id, err: error });
        throw error;
      });
    },
    {
      connection: redisConnection(parts.redisUrl),
      ...(parts.prefix === undefined ? {} : { prefix: parts.prefix }),
      concurrency: parts.concurrency ?? CONCURRENCY,
      // The node's lease decides; Redis may notice a death a little later.
      lockDuration: 30_000,
      stalledInterval: 30_000,
    },
  );
  let away = false;
  worker.on('ready', () => (away = false));
  worker.on('error', (error) => {
    if (!away) onTrouble('Redis is away; trying again', { err: error });
    away = true;
  });

  return {
    async ready() {
      await worker.waitUntilReady();
    },
    async stop() {
      stopping.abort(new AgrinetError('stopping', 'the worker was told to stop'));
      // Its polite end waits for Redis, which may be away.
      const late = new AbortController();
      const closed = worker.close().finally(() => late.abort());
      const timeout = pause(STOP_MS, undefined, { signal: late.signal }).then(
        () => worker.close(true),
        () => undefined, // closed in time
      );
      await Promise.race([closed, timeout]).catch((error: unknown) =>
        onTrouble('Redis did not let go cleanly', { err: error }),
      );
    },
  };
}
