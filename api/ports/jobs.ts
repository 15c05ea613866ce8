import type { Json } from '../../protocols/wire/json.ts';

/** JSON as it is kept with a job. */
export type JsonObject = Readonly<Record<string, Json>>;

export const JOB_NAMES = ['federation-sync', 'key-expiry', 'notification', 'sms', 'webhook'] as const;
export type JobName = (typeof JOB_NAMES)[number];
export const JOB_STATES = ['waiting', 'delayed', 'active', 'completed', 'dead'] as const;
export type JobState = (typeof JOB_STATES)[number];

/** A piece of work. Times are milliseconds since 1970. */
export interface Job {
  readonly id: string;
  readonly name: JobName;
  readonly data: JsonObject;
  /** At most one job of a key is waiting, delayed or active. */
  readonly key: string;
  readonly state: JobState;
  /** How often it was begun. */
  readonly attempts: number;
  readonly maxAttempts: number;
  readonly createdAt: number;
  /** Not begun before. */
  readonly runAt: number;
  readonly endedAt?: number;
  readonly progress?: JsonObject;
  readonly result?: JsonObject;
  /** Of the last attempt that failed. */
  readonly error?: { readonly code: string; readonly message: string };
}

export interface JobQuery {
  readonly state?: JobState | undefined;
  readonly limit: number;
  /** The last id of the page before. */
  readonly cursor?: string | undefined;
}

export interface JobHealth {
  readonly ok: boolean;
  readonly detail: string;
}

/** What an attempt needs to report. */
export interface ClaimedJob {
  readonly job: Job;
  /** The token of this attempt. */
  readonly attempt: string;
  /** A sign of life (`progress`) must come within so many ms, or the job is given to another. */
  readonly leaseMs: number;
}

/** Attempts at jobs, by any worker. What was superseded or has ended otherwise throws `attempt-over`. */
export interface JobAttempts {
  /** Throws `not-found`, `job-ended`, `job-claimed`, `job-not-due`. */
  claim(id: string): Promise<ClaimedJob>;
  /** A sign of life, with news when there are some. */
  progress(id: string, attempt: string, update?: JsonObject): Promise<void>;
  /** Ends it; again with the same attempt is the same answer. */
  complete(id: string, attempt: string, result: JsonObject): Promise<Job>;
  /** Ends the attempt; the job waits for its next one, or is dead after the last or a `final` one. */
  fail(
    id: string,
    attempt: string,
    error: { readonly code: string; readonly message: string; readonly final?: boolean | undefined },
  ): Promise<Job>;
  /** Returns it undone, as when a worker is told to stop; the attempt does not count. */
  release(id: string, attempt: string): Promise<void>;
}

/** What the job routes need of the node. */
export interface JobsPort {
  get(id: string): Promise<Job | undefined>;
  /** Newest first. */
  list(query: JobQuery): Promise<{ readonly jobs: readonly Job[]; readonly cursor?: string }>;
  /** Restarts a dead job; throws `not-found`, `job-not-dead`. */
  retry(id: string): Promise<Job>;
  counts(): Readonly<Record<JobState, number>>;
  health(): JobHealth;
  /** Queues a sync of a registered node; throws `source-unknown`, `jobs-full`. */
  enqueueSync(source: string): Promise<Job>;
  readonly attempts: JobAttempts;
}

/** A line for a user or the operator. */
export interface Notification {
  readonly userId: string;
  readonly notificationId: string;
  readonly message: string;
  readonly read: boolean;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly jobId?: string;
  readonly kind?: string;
  readonly about?: Readonly<Record<string, string>>;
  readonly language?: string;
  readonly unreviewed?: true;
  readonly sms?: string;
  readonly possibleRepeat?: true;
}

/** Whose notifications those of the node itself are. */
export const OPERATOR_USER = 'operator';

/** A language that notices are written in. */
export interface NoticeLanguage {
  /** BCP 47. */
  readonly tag: string;
  /** The name of the language in itself. */
  readonly name: string;
  /** Whether a speaker has signed the texts. */
  readonly reviewed: boolean;
}

/** What the notification routes need of the node. */
export interface NotificationsPort {
  /** Newest first. */
  list(
    userId: string,
    limit: number,
    cursor?: string,
  ): Promise<{ readonly notifications: readonly Notification[]; readonly cursor?: string }>;
  /** Languages that notices are written in. */
  languages(): readonly NoticeLanguage[];
  /** Throws `not-found`. */
  markRead(userId: string, notificationId: string): Promise<Notification>;
}
