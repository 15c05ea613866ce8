import type { Job, JobName, JobState, JsonObject } from '../../api/ports/jobs.ts';
import type { Env } from '../../protocols/env.ts';
import { hex } from '../../protocols/wire/bytes.ts';

/** A job as it is kept; `waiting` with a later `runAt` is shown as `delayed`. */
export interface JobRow extends Omit<Job, 'state'> {
  readonly state: Exclude<JobState, 'delayed'>;
  /** Token of the latest attempt; kept after the end, so that its report can be repeated. */
  readonly attempt?: string;
  /** Worked on in this very process: over when the process is. */
  readonly local?: boolean;
  /** The wait it was added with, where that is longer than any other; milliseconds. */
  readonly delayMs?: number;
  /** Whether its end was reported. */
  readonly told?: boolean;
}

/** After the process or worker at a job is gone: it waits again, or is dead when that was its last attempt. */
export function afterLoss(row: JobRow, error: { code: string; message: string }, at: number): JobRow {
  return row.attempts >= row.maxAttempts
    ? { ...row, state: 'dead', error, endedAt: at }
    : { ...row, state: 'waiting', error, runAt: at };
}

/** Ids sort by time. */
export function newId(at: number, { bytes }: Pick<Env, 'bytes'>): string {
  return `job-${at.toString(16).padStart(12, '0')}-${hex(bytes(6))}`;
}

/** One sync per source at a time, whoever requests it. */
export function keyOf(name: JobName, data: JsonObject, key: string | undefined): string | undefined {
  const source = sourceOf({ name, data });
  if (source !== '') return `${name}:${source}`;
  return key === undefined ? undefined : `${name}:${key}`;
}

/** The source that a sync is of; '' for other jobs. */
export function sourceOf({ name, data }: Pick<Job, 'name' | 'data'>): string {
  const source = data['source'];
  return name === 'federation-sync' && typeof source === 'string' ? source : '';
}
