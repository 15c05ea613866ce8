import type { Job, JobName, JobsPort } from '../../api/ports/jobs.ts';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { JobTable } from '../../storage/job-table.ts';
import { createEmbeddedQueue, storeMethods } from './embedded-queue.ts';
import { type JobRow, type JobLimits, JobStore } from './job-store.ts';
import type { JobQueue } from './job-queue.ts';

/** Jobs that `agrinet worker` runs when REDIS_URL is set; the daemon runs all others. */
export const WORKER_JOBS = ['federation-sync', 'sms'] as const satisfies readonly JobName[];
const OWN_JOBS = ['key-expiry', 'notification', 'webhook'] as const satisfies readonly JobName[];

export interface JobsParts {
  readonly settings: { readonly redisUrl: string | undefined };
  readonly table: JobTable<JobRow>;
  readonly logger: {
    error(fields: Record<string, unknown>, message: string): void;
    warn(fields: Record<string, unknown>, message: string): void;
  };
  /** `tellSync` of the notifications. */
  readonly notify: (job: Job, what: 'progress' | 'ended') => Promise<void>;
  /** Whether a node can be synced with; asked before a worker's wish is queued. */
  readonly knowsSource: (id: string) => Promise<boolean> | boolean;
  readonly env: Pick<Env, 'now' | 'monotonic' | 'random' | 'bytes' | 'after'>;
  readonly limits?: Partial<JobLimits>;
  /** When this node last lost data, milliseconds since 1970. */
  readonly lostAt?: number | undefined;
  /** BullMQ's key prefix; default its own. */
  readonly prefix?: string;
}

export interface Jobs {
  readonly queue: JobQueue;
  /** For the routes. */
  readonly port: JobsPort;
}

/** The jobs of a node: one store; without REDIS_URL all done here, with it those of workers handed over through Redis. */
export async function createJobs(parts: JobsParts): Promise<Jobs> {
  const { settings, table, env, logger, notify: tell, knowsSource, limits, lostAt, prefix } = parts;
  const onTrouble = (message: string, fields: Record<string, unknown>): void => logger.warn(fields, message);
  const store = await JobStore.open({
    table,
    env,
    notify: tell,
    onTrouble,
    lostAt,
    ...(limits === undefined ? {} : { limits }),
  });
  const { redisUrl } = settings;
  const remote =
    redisUrl === undefined
      ? undefined
      : (await import('./bullmq-queue.ts')).createBullmqQueue(
          { store, redisUrl, onTrouble, env, ...(prefix === undefined ? {} : { prefix }) },
          WORKER_JOBS,
        );
  const local = createEmbeddedQueue({ store, env, onTrouble }, remote === undefined ? undefined : OWN_JOBS);
  const queue: JobQueue = {
    kind: remote?.kind ?? local.kind,
    ...storeMethods(store),
    health: () => (remote ?? local).health(),
    async start(handlers) {
      await local.start(handlers);
      await remote?.start({});
    },
    async stop() {
      await Promise.all([local.stop(), remote?.stop()]);
      await store.stop();
    },
  };
  const port: JobsPort = {
    ...queue,
    async enqueueSync(source) {
      if (!(await knowsSource(source)))
        throw new AgrinetError('source-unknown', 'source is not an active registered node with a URL');
      return queue.add('federation-sync', { source, force: false });
    },
    attempts: store,
  };
  return { queue, port };
}
