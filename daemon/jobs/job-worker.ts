import { Worker } from 'bullmq';
import { JOB_NAMES } from '../../api/ports/jobs.ts';
import { pause } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { type AttemptParts, AttemptRunner } from './attempt-runner.ts';
import { QUEUE_NAME, redisConnection } from './redis.ts';

export interface JobWorkerParts extends AttemptParts {
  readonly redisUrl: string;
  readonly prefix?: string | undefined;
}

export interface JobWorker {
  /** Resolves when Redis answers. */
  ready(): Promise<void>;
  /** Takes no more jobs; those in progress are told to end and returned. */
  stop(): Promise<void>;
}

const CONCURRENCY = 4;
/** How long running jobs may take to finish; after that they are dropped, and run again when their lease expires. */
const STOP_MS = 10_000;

/**
 * Takes ids from Redis, claims each job at the node and runs it. Redis only carries the message: the node allows one live attempt at
 * a time and accepts only its report, so a message that arrives twice, or never, does not change the outcome.
 */
export function createJobWorker(parts: JobWorkerParts): JobWorker {
  const { env, onTrouble } = parts;
  const stopping = new AbortController();
  const runner = new AttemptRunner(parts, stopping.signal);
  const worker = new Worker(
    QUEUE_NAME,
    async (message) => {
      const { data } = message as { data: unknown };
      const id = typeof data === 'object' && data !== null && 'id' in data ? data.id : undefined;
      const known = (JOB_NAMES as readonly string[]).includes(message.name);
      if (typeof id !== 'string' || !known)
        throw new AgrinetError('job-malformed', 'the queue contains a job that no agrinetd created');
      await runner.run(id).catch((error: unknown) => {
        onTrouble('a job could not be reported', { job: id, err: error });
        throw error;
      });
    },
    {
      connection: redisConnection(parts.redisUrl),
      ...(parts.prefix === undefined ? {} : { prefix: parts.prefix }),
      concurrency: CONCURRENCY,
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
      const timeout = pause(env, STOP_MS, late.signal, { holds: true }).then(() =>
        late.signal.aborted ? undefined : worker.close(true),
      );
      await Promise.race([closed, timeout]).catch((error: unknown) =>
        onTrouble('Redis did not let go cleanly', { err: error }),
      );
    },
  };
}
