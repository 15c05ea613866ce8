import { Redis } from 'ioredis';
import { type Env, pause } from '../../protocols/env.ts';
import { AgrinetError, errorCode, errorMessage } from '../../protocols/errors.ts';
import { dueAt } from '../../protocols/wire/deadlines.ts';
import { createWorkerApi, type WorkerApi } from './http-attempts.ts';
import type { JobHandlers } from './job-queue.ts';
import { createJobWorker } from './job-worker.ts';

/** How often the registered nodes are checked for due syncs. */
const POLL_MS = 2 * 60_000;
/** Between two questions to a daemon that does not answer yet. */
const AWAY_MS = 2000;

export interface WorkerProcessParts {
  readonly env: Pick<Env, 'now' | 'monotonic' | 'random' | 'after' | 'deadline'>;
  readonly redisUrl: string;
  readonly backendUrl: string;
  readonly apiKey: string;
  /** 0: syncs are left to cron. */
  readonly syncIntervalMinutes: number;
  readonly handlers: JobHandlers;
  /** Lines for the operator: what is waited for, what went wrong. */
  readonly say: (line: string) => void;
  readonly prefix?: string;
}

/**
 * Works on jobs until `stop`: waits for Redis and the daemon to be there, then takes what BullMQ hands out. Throws `request-refused`
 * for a key without the scope, `settings-invalid` for a Redis that refuses us.
 */
export async function runWorker(parts: WorkerProcessParts, stop: AbortSignal): Promise<void> {
  const { env, redisUrl, backendUrl, say } = parts;
  // Reports outlive the signal: what is done still has to be reported.
  const patience = new AbortController();
  const api = createWorkerApi({ env, baseUrl: backendUrl, key: parts.apiKey, stop: patience.signal });
  await waitFor(`the daemon at ${backendUrl}`, 'daemon-unreachable', () => api.check(), parts, stop);
  await waitFor('Redis', 'redis-away', () => checkRedis(redisUrl), parts, stop);
  if (stop.aborted) return;
  const worker = createJobWorker({
    env,
    redisUrl,
    attempts: api.attempts,
    handlers: parts.handlers,
    onTrouble: (message, { job, err }) =>
      say(`${message}${typeof job === 'string' ? ` (${job})` : ''}: ${errorMessage(err)}`),
    ...(parts.prefix === undefined ? {} : { prefix: parts.prefix }),
  });
  say(`processing jobs of ${backendUrl}`);
  try {
    await poll(api, parts, stop);
  } finally {
    await worker.stop();
    patience.abort();
  }
}

/** Asks for the syncs that are due, every few minutes until `stop`. */
async function poll(
  api: WorkerApi,
  { env, syncIntervalMinutes, say }: WorkerProcessParts,
  stop: AbortSignal,
): Promise<void> {
  const intervalMs = syncIntervalMinutes * 60_000;
  while (!stop.aborted) {
    try {
      if (intervalMs > 0)
        for (const { id, lastSyncAt } of await api.nodes())
          if (dueAt(lastSyncAt + intervalMs, env.now(), intervalMs) <= env.now()) await api.enqueueSync(id);
    } catch (error) {
      say(`failed to queue due syncs: ${errorMessage(error)}`);
    }
    await pause(env, POLL_MS, stop, { holds: true });
  }
}

/** Tries until it works or `stop`; says once that it waits. Throws any error other than `away`. */
async function waitFor(
  what: string,
  away: string,
  check: () => Promise<void>,
  { env, say }: WorkerProcessParts,
  stop: AbortSignal,
): Promise<void> {
  let said = false;
  while (!stop.aborted) {
    try {
      await check();
      return;
    } catch (error) {
      if (errorCode(error) !== away) throw error;
      if (!said) say(`waiting for ${what}: ${errorMessage(error)}`);
      said = true;
    }
    await pause(env, AWAY_MS, stop, { holds: true });
  }
}

/** Throws `redis-away`, or `settings-invalid` when it is there and refuses us. */
async function checkRedis(url: string): Promise<void> {
  const redis = new Redis(url, {
    lazyConnect: true,
    connectTimeout: 3000,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  });
  let last: unknown;
  redis.on('error', (error) => (last = error));
  try {
    await redis.connect();
    await redis.ping();
  } catch (error) {
    const reason = errorMessage(last ?? error);
    if (/NOAUTH|WRONGPASS|NOPERM/.test(`${reason} ${errorMessage(error)}`))
      throw new AgrinetError('settings-invalid', 'REDIS_URL: Redis refused the password; correct it');
    throw new AgrinetError('redis-away', reason);
  } finally {
    redis.disconnect();
  }
}
