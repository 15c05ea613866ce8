import {
  type Job,
  type JobAttempts,
  type JobName,
  type JobQuery,
  type JobState,
  type JsonObject,
} from '../../api/ports/jobs.ts';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { JobTable } from '../../storage/job-table.ts';
import { hex } from '../../protocols/wire/bytes.ts';
import { dueAt } from '../../protocols/wire/deadlines.ts';
import { backoffMs, MOST_BACKOFF_MS } from './backoff.ts';
import { breakerAfter, type BreakerState, CLOSED, MOST_COOL_DOWN_MS } from './breaker.ts';
import type { AddOptions } from './job-queue.ts';
import { DueTimer } from './due-timer.ts';
import { afterLoss, type JobRow, keyOf, newId, sourceOf } from './job-row.ts';
import { JobRows } from './job-rows.ts';

export type { JobRow };

export interface JobLimits {
  /** Waiting, delayed and active together. */
  readonly live: number;
  /** Completed jobs kept for the operator; the oldest are dropped. */
  readonly completed: number;
  /** Dead jobs kept until they are retried; the oldest are dropped. */
  readonly dead: number;
  /** A worker that sends no sign of life for this long loses the job. */
  readonly leaseMs: number;
}

export const JOB_LIMITS: JobLimits = { live: 10_000, completed: 1000, dead: 1000, leaseMs: 15_000 };
const MAX_ATTEMPTS = 5;
/** No job waits longer on its own account: a backoff, or a source’s breaker. */
const LONGEST_WAIT_MS = Math.max(MOST_BACKOFF_MS, MOST_COOL_DOWN_MS);

export interface JobStoreParts {
  readonly table: JobTable<JobRow>;
  /** Its `monotonic` is for what lives in this process only: leases and breakers. */
  readonly env: Pick<Env, 'now' | 'monotonic' | 'random' | 'bytes' | 'after'>;
  /** First news of a job, and its end, each at least once. Must be idempotent. */
  readonly notify: (job: Job, what: 'progress' | 'ended') => Promise<void>;
  /** Errors that no caller can be told of. */
  readonly onTrouble: (message: string, fields: Record<string, unknown>) => void;
  readonly limits?: Partial<JobLimits>;
  /** When this node last lost data, milliseconds since 1970. */
  readonly lostAt?: number | undefined;
}

/** Every job, in LevelDB, and the only place where a job changes its state. It does not know which process runs it. */
export class JobStore implements JobAttempts {
  readonly #parts: JobStoreParts;
  readonly #env: JobStoreParts['env'];
  readonly #limits: JobLimits;
  readonly #rows: JobRows;
  readonly #timer: DueTimer;
  /** Until when each attempt elsewhere is believed to live. */
  readonly #leases = new Map<string, number>();
  readonly #breakers = new Map<string, BreakerState>();
  readonly #telling = new Set<Promise<void>>();

  /** Opens it: what was active in the process that ended waits again; workers elsewhere get a new lease. */
  static async open(parts: JobStoreParts): Promise<JobStore> {
    const store = new JobStore(parts);
    await store.#open();
    return store;
  }

  private constructor(parts: JobStoreParts) {
    this.#parts = parts;
    this.#env = parts.env;
    this.#limits = { ...JOB_LIMITS, ...parts.limits };
    this.#rows = new JobRows(parts.table, this.#limits);
    this.#timer = new DueTimer(parts.env, () => this.#look());
  }

  async #open(): Promise<void> {
    const { onTrouble } = this.#parts;
    await this.#rows.load((key) => onTrouble('a job is damaged and left out', { key }));
    for (const row of this.#rows.in('active')) {
      if (row.local === true) {
        const error = { code: 'process-lost', message: 'the node ended while it worked on this' };
        await this.#save(afterLoss(row, error, this.#env.now()), false);
      } else this.#lease(row.id);
    }
    // What waited when the data were lost, or the backup was made, may have been done since: an SMS is looked for before it is sent.
    for (const row of this.#rows.in('waiting'))
      if (row.attempts === 0 && row.createdAt <= (this.#parts.lostAt ?? -Infinity))
        await this.#save({ ...row, attempts: 1 }, false);
    for (const state of ['completed', 'dead'] as const)
      for (const row of this.#rows.in(state)) if (row.told !== true) this.#tellEnd(row);
    this.#timer.wake(0);
  }

  async add(name: JobName, data: JsonObject, options: AddOptions = {}): Promise<Job> {
    const at = this.#env.now();
    const id = options.id ?? newId(at, this.#env);
    const key = keyOf(name, data, options.key) ?? id;
    const same = this.#rows.get(id) ?? this.#rows.live(key);
    if (same !== undefined) {
      // A sync that rebuilds does all that a plain one does, so the one that waits becomes it.
      const upgraded = same.state === 'waiting' && data['force'] === true && same.data['force'] !== true;
      // Saved again: the caller that added it may still be waiting for the disk.
      return this.#shown(await this.#save(upgraded ? { ...same, data } : same, true));
    }
    if (this.#rows.count('waiting') + this.#rows.count('active') >= this.#limits.live)
      throw new AgrinetError('jobs-full', 'too many jobs are queued; see agrinet jobs, and try again later');
    const { delayMs = 0 } = options;
    const openMs = (this.#breakers.get(sourceOf({ name, data }))?.openUntil ?? 0) - this.#env.monotonic();
    const row = await this.#save(
      {
        id,
        name,
        data,
        key,
        state: 'waiting',
        attempts: 0,
        maxAttempts: Math.max(1, options.maxAttempts ?? MAX_ATTEMPTS),
        createdAt: at,
        runAt: at + Math.max(delayMs, openMs, 0),
        ...(delayMs > LONGEST_WAIT_MS ? { delayMs } : {}),
      },
      true,
    );
    this.#changed(row);
    return this.#shown(row);
  }

  get(id: string): Job | undefined {
    const row = this.#rows.get(id);
    return row && this.#shown(row);
  }

  list({ state, limit, cursor }: JobQuery): { jobs: Job[]; cursor?: string } {
    const fits = (row: JobRow): boolean =>
      (cursor === undefined || row.id < cursor) && (state === undefined || state === this.#stateOf(row));
    const all = [...this.#rows.all()].filter(fits).sort((a, b) => (a.id < b.id ? 1 : -1));
    const jobs = all.slice(0, limit).map((row) => this.#shown(row));
    const last = jobs.at(-1);
    return all.length > limit && last !== undefined ? { jobs, cursor: last.id } : { jobs };
  }

  async retry(id: string): Promise<Job> {
    const row = this.#found(id);
    if (row.state !== 'dead')
      throw new AgrinetError('job-not-dead', 'only a dead job can be retried, and this one is not dead');
    if (this.#rows.live(row.key) !== undefined)
      throw new AgrinetError('job-not-dead', 'another job for the same thing is waiting or running');
    const { endedAt: _endedAt, attempt: _attempt, told: _told, ...rest } = row;
    const kept = await this.#save({ ...rest, state: 'waiting', attempts: 0, runAt: this.#env.now() }, true);
    this.#changed(kept);
    return this.#shown(kept);
  }

  counts(): Record<JobState, number> {
    const counts = { waiting: 0, delayed: 0, active: 0, completed: 0, dead: 0 };
    for (const row of this.#rows.in('waiting')) counts[this.#stateOf(row)]++;
    for (const state of ['active', 'completed', 'dead'] as const) counts[state] = this.#rows.count(state);
    return counts;
  }

  async claim(id: string): Promise<{ job: Job; attempt: string; leaseMs: number }> {
    return { ...(await this.#begin(id, false)), leaseMs: this.#limits.leaseMs };
  }

  /** As `claim`, for this process: such an attempt needs no signs of life, and ends with the process. */
  claimLocal(id: string): Promise<{ job: Job; attempt: string }> {
    return this.#begin(id, true);
  }

  async progress(id: string, attempt: string, update?: JsonObject): Promise<void> {
    const row = this.#running(id, attempt);
    if (this.#leases.has(id)) this.#leases.set(id, this.#env.monotonic() + this.#limits.leaseMs);
    if (update === undefined) return;
    const kept = await this.#save({ ...row, progress: update }, false);
    if (row.progress !== undefined) return;
    await this.#parts
      .notify(this.#shown(kept), 'progress')
      .catch((error: unknown) =>
        this.#parts.onTrouble('progress could not be told', { job: id, err: error }),
      );
  }

  async complete(id: string, attempt: string, result: JsonObject): Promise<Job> {
    const row = this.#found(id);
    if (row.state === 'completed' && row.attempt === attempt) return this.#shown(await this.#save(row, true));
    const { error: _error, ...rest } = this.#running(id, attempt);
    this.#breakers.delete(sourceOf(row));
    const endedAt = this.#env.now();
    const kept = await this.#save({ ...rest, state: 'completed', result, endedAt }, true);
    this.#tellEnd(kept);
    return this.#shown(kept);
  }

  async fail(id: string, attempt: string, failure: Parameters<JobAttempts['fail']>[2]): Promise<Job> {
    const { code, message, final } = failure;
    const before = this.#found(id);
    if (before.state !== 'active' && before.attempt === attempt && before.error?.code === code)
      return this.#shown(await this.#save(before, true));
    const row = this.#running(id, attempt);
    const at = this.#env.now();
    const openMs = this.#failedAgain(sourceOf(row)) - this.#env.monotonic();
    const error = { code, message };
    const last = final === true || row.attempts >= row.maxAttempts;
    const runAt = at + Math.max(backoffMs(row.attempts, this.#env.random()), openMs);
    const kept = await this.#save(
      last ? { ...row, state: 'dead', error, endedAt: at } : { ...row, state: 'waiting', error, runAt },
      true,
    );
    if (last) this.#tellEnd(kept);
    this.#changed(kept);
    return this.#shown(kept);
  }

  async release(id: string, attempt: string): Promise<void> {
    const row = this.#running(id, attempt);
    const attempts = row.attempts - 1;
    // The token goes, so that a report that comes late counts for nothing.
    this.#changed(await this.#save({ ...row, state: 'waiting', attempts, runAt: this.#env.now() }, true));
  }

  /** Jobs of these names that may be begun now, oldest first. */
  due(names: ReadonlySet<JobName>, limit: number): Job[] {
    const at = this.#env.now();
    const found: Job[] = [];
    for (const row of this.#rows.in('waiting')) {
      if (found.length >= limit) break;
      if (this.#dueTime(row) <= at && names.has(row.name)) found.push(this.#shown(row));
    }
    return found;
  }

  /** Calls back whenever a job may have become due; returns how to end that. */
  onDue(listener: () => void): () => void {
    return this.#timer.listen(listener);
  }

  async stop(): Promise<void> {
    this.#timer.stop();
    await Promise.all(this.#telling);
  }

  async #begin(id: string, local: boolean): Promise<{ job: Job; attempt: string }> {
    const row = this.#found(id);
    if (row.state === 'active') throw new AgrinetError('job-claimed', 'another worker is running this job');
    if (row.state !== 'waiting') throw new AgrinetError('job-ended', `this job is ${row.state}`);
    if (this.#dueTime(row) > this.#env.now())
      throw new AgrinetError('job-not-due', 'this job is not due yet');
    const attempt = hex(this.#env.bytes(16));
    const { progress: _progress, ...rest } = row;
    // Not fsynced: should it be lost with the machine, the job is simply done again.
    const next = { ...rest, state: 'active' as const, attempts: row.attempts + 1, attempt, local };
    const kept = await this.#save(next, false);
    if (!local) this.#lease(id);
    return { job: this.#shown(kept), attempt };
  }

  #found(id: string): JobRow {
    const row = this.#rows.get(id);
    if (row === undefined) throw new AgrinetError('not-found', 'there is no such job');
    return row;
  }

  /** The row of an attempt that is still in force. */
  #running(id: string, attempt: string): JobRow {
    const row = this.#found(id);
    if (row.state !== 'active' || row.attempt !== attempt)
      throw new AgrinetError('attempt-over', 'this attempt has ended, or another worker has taken the job');
    return row;
  }

  async #save(row: JobRow, sync: boolean): Promise<JobRow> {
    const kept = await this.#rows.save(row, sync);
    if (kept.state !== 'active') this.#leases.delete(row.id);
    return kept;
  }

  /** When a waiting job may be started, whatever clock set that time. */
  #dueTime({ runAt, delayMs = 0 }: JobRow): number {
    return dueAt(runAt, this.#env.now(), Math.max(LONGEST_WAIT_MS, delayMs));
  }

  #stateOf(row: JobRow): JobState {
    return row.state === 'waiting' && this.#dueTime(row) > this.#env.now() ? 'delayed' : row.state;
  }

  #shown(row: JobRow): Job {
    const { attempt: _attempt, local: _local, told: _told, delayMs: _delay, ...job } = row;
    const runAt = row.state === 'waiting' ? this.#dueTime(row) : row.runAt;
    return { ...job, runAt, state: this.#stateOf(row) };
  }

  /** Checks what is due, and asks to be woken for the rest. */
  #look(): void {
    const turn = this.#env.monotonic();
    for (const [id, until] of this.#leases) {
      if (until <= turn) this.#lost(id);
      else this.#timer.wake(until - turn);
    }
    for (const row of this.#rows.in('waiting')) {
      const inMs = this.#dueTime(row) - this.#env.now();
      if (inMs > 0) this.#timer.wake(inMs);
    }
  }

  #changed(row: JobRow): void {
    if (row.state !== 'waiting') return;
    const inMs = this.#dueTime(row) - this.#env.now();
    if (inMs <= 0) this.#timer.call();
    else this.#timer.wake(inMs);
  }

  #lease(id: string): void {
    this.#leases.set(id, this.#env.monotonic() + this.#limits.leaseMs);
    this.#timer.wake(this.#limits.leaseMs);
  }

  /** A worker died, or cannot reach this node: somebody else is to do it. */
  #lost(id: string): void {
    this.#leases.delete(id);
    const row = this.#rows.get(id);
    if (row?.state !== 'active') return;
    const error = { code: 'worker-lost', message: 'the worker gave no sign of life' };
    void this.#save(afterLoss(row, error, this.#env.now()), true).then(
      (kept) => {
        if (kept.state === 'dead') this.#tellEnd(kept);
        this.#changed(kept);
      },
      (failure: unknown) => {
        this.#parts.onTrouble('a job that lost its worker could not be saved', { job: id, err: failure });
        this.#lease(id);
      },
    );
  }

  /** When the source may be asked again after this failure; 0 for jobs without one. */
  #failedAgain(source: string): number {
    if (source === '') return CLOSED.openUntil;
    const breaker = breakerAfter(this.#breakers.get(source) ?? CLOSED, 'failed', this.#env.monotonic());
    this.#breakers.set(source, breaker);
    return breaker.openUntil;
  }

  #tellEnd(row: JobRow): void {
    const told = this.#parts
      .notify(this.#shown(row), 'ended')
      .then(async () => {
        const current = this.#rows.get(row.id);
        if (current?.attempt === row.attempt && current?.state === row.state)
          await this.#save({ ...current, told: true }, false);
      })
      .catch((error: unknown) =>
        this.#parts.onTrouble('the end of a job could not be told', { job: row.id, err: error }),
      )
      .finally(() => this.#telling.delete(told));
    this.#telling.add(told);
  }
}
