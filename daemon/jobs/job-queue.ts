import type { Job, JobHealth, JobName, JobQuery, JobState, JsonObject } from '../../api/ports/jobs.ts';

/** How a handler reports progress, and is told to stop. */
export interface JobRun {
  /** Aborted when the process stops, the attempt was given to another, or time is up. */
  readonly signal: AbortSignal;
  readonly progress: (update: JsonObject) => Promise<void>;
}

/**
 * Runs one job; resolves to its result. It may run again after a crash in the middle, so its effect must be the same when done
 * twice. An error whose code says that a retry is useless (protocols/error-codes.ts) ends the job.
 */
export type JobHandler = (job: Job, run: JobRun) => Promise<JsonObject>;
export type JobHandlers = Partial<Record<JobName, JobHandler>>;

export interface AddOptions {
  /** One waiting or active job per key; default: the source of a sync, else the job itself. */
  readonly key?: string;
  readonly delayMs?: number;
  readonly maxAttempts?: number;
  /** A fixed id: where such a job is or was, it is returned and nothing added. */
  readonly id?: string;
}

/** Jobs that survive a restart. Results are on disk. */
export interface JobQueue {
  readonly kind: 'embedded' | 'bullmq';
  /** Returns the job that waits or runs under the same key, if there is one. Throws `jobs-full`, `storage-failed`, `disk-full`. */
  add(name: JobName, data: JsonObject, options?: AddOptions): Promise<Job>;
  get(id: string): Promise<Job | undefined>;
  list(query: JobQuery): Promise<{ readonly jobs: readonly Job[]; readonly cursor?: string }>;
  /** Restarts a dead job; throws `not-found`, `job-not-dead`. */
  retry(id: string): Promise<Job>;
  counts(): Readonly<Record<JobState, number>>;
  health(): JobHealth;
  /** Begins to work. Jobs without a handler here wait. */
  start(handlers: JobHandlers): Promise<void>;
  /** Stops working; jobs in progress are told to end, and run again at the next start. */
  stop(): Promise<void>;
}

/** A text field of a job's data. */
export function textOf(job: Job, name: string): string | undefined {
  const value = job.data[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}
