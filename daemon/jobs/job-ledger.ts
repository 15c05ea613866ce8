import { randomBytes } from 'node:crypto';
import {
  type Job,
  type JobAttempts,
  type JobName,
  type JobQuery,
  type JobState,
  type JsonObject,
} from '../../api/ports/jobs.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { JobTable } from '../../storage/job-table.ts';
import { dueAt } from '../../protocols/wire/deadlines.ts';
import { backoffMs, MOST_BACKOFF_MS } from './backoff.ts';
import { breakerAfter, type BreakerState, CLOSED, MOST_COOL_DOWN_MS } from './breaker.ts';
import type { AddOptions } from './job-queue.ts';
import { afterLoss, type JobRow, keyOf, newId, sourceOf } from './job-row.ts';

export type { JobRow };

export interface LedgerLimits {
  /** Waiting, delayed and active together. */
  readonly live: number;
  /** Kept to be looked at; the oldest go. */
  readonly completed: number;
  /** Kept until they are retried; the oldest go. */
  readonly dead: number;
  /** A worker that gives no sign of life for so long has lost the job. */
  readonly leaseMs: number;
}

export const LEDGER_LIMITS: LedgerLimits = { live: 10_000, completed: 1000, dead: 1000, leaseMs: 15_000 };
const MAX_ATTEMPTS = 5;
const LONGEST_SLEEP_MS = 30_000;
/** No job waits longer on its own account: a backoff, or a source’s breaker. */
const LONGEST_WAIT_MS = Math.max(MOST_BACKOFF_MS, MOST_COOL_DOWN_MS);

export interface LedgerParts {
  readonly table: JobTable<JobRow>;
  readonly now: () => number;
  /** A clock that nobody sets, for what lives in this process only: leases and breakers. Milliseconds; default `now`. */
  readonly steady?: () => number;
  readonly random: () => number;
  /** First news of a job, and its end, each at least once. Must be idempotent. */
  readonly tell: (job: Job, what: 'progress' | 'ended') => Promise<void>;
  /** What went wrong without anybody to tell it to. */
  readonly onTrouble: (message: string, fields: Record<string, unknown>) => void;
  readonly limits?: Partial<LedgerLimits>;
}

/** Every job there is, in LevelDB, and the one place where a job changes its state. Who works on it, and where, is not its matter. */
export interface JobLedger extends JobAttempts {
  add(name: JobName, data: JsonObject, options?: AddOptions): Promise<Job>;
  get(id: string): Job | undefined;
  list(query: JobQuery): { readonly jobs: readonly Job[]; readonly cursor?: string };
  retry(id: string): Promise<Job>;
  counts(): Record<JobState, number>;
  /** As `claim`, for this process: such an attempt needs no signs of life, and ends with the process. */
  claimLocal(id: string): Promise<{ readonly job: Job; readonly attempt: string }>;
  /** Jobs of these names that may be begun now, oldest first. */
  due(names: ReadonlySet<JobName>, limit: number): Job[];
  /** Calls back whenever a job may have become due; returns how to end that. */
  onDue(listener: () => void): () => void;
  stop(): Promise<void>;
}

/** Opens the ledger: what was active in the process that ended waits again; workers elsewhere get a new lease. */
export async function openJobLedger(parts: LedgerParts): Promise<JobLedger> {
  const { table, now, random, onTrouble } = parts;
  const steady = parts.steady ?? now;
  /** When a waiting job may be begun, whatever the clock said that set it. */
  const dueTime = ({ runAt, delayMs = 0 }: JobRow): number =>
    dueAt(runAt, now(), Math.max(LONGEST_WAIT_MS, delayMs));
  const limits = { ...LEDGER_LIMITS, ...parts.limits };
  const rows = new Map<string, JobRow>();
  /** Ids by state; the ended ones in the order of their end. */
  const ids = {
    waiting: new Set<string>(),
    active: new Set<string>(),
    completed: new Set<string>(),
    dead: new Set<string>(),
  };
  const byKey = new Map<string, string>();
  const leases = new Map<string, number>();
  const breakers = new Map<string, BreakerState>();
  const listeners = new Set<() => void>();
  const telling = new Set<Promise<void>>();
  let timer: NodeJS.Timeout | undefined;
  let wakeAt = Infinity;
  let calling = false;
  let stopped = false;

  const shown = (row: JobRow): Job => {
    const { attempt: _attempt, local: _local, told: _told, delayMs: _delay, state, ...job } = row;
    const runAt = state === 'waiting' ? dueTime(row) : row.runAt;
    return { ...job, runAt, state: state === 'waiting' && runAt > now() ? 'delayed' : state };
  };
  const isLive = (row: JobRow): boolean => row.state === 'waiting' || row.state === 'active';

  function put(row: JobRow): void {
    const before = rows.get(row.id);
    if (before !== undefined) ids[before.state].delete(row.id);
    rows.set(row.id, row);
    ids[row.state].add(row.id);
    if (isLive(row)) byKey.set(row.key, row.id);
    else if (byKey.get(row.key) === row.id) byKey.delete(row.key);
    if (row.state !== 'active') leases.delete(row.id);
  }
  function drop(id: string): void {
    const row = rows.get(id);
    if (row === undefined) return;
    rows.delete(id);
    ids[row.state].delete(id);
    leases.delete(id);
    if (byKey.get(row.key) === id) byKey.delete(row.key);
  }
  /** The oldest of what has ended, beyond what is kept. */
  function excess(): string[] {
    const out: string[] = [];
    for (const state of ['completed', 'dead'] as const)
      for (const id of ids[state]) {
        if (ids[state].size <= limits[state]) break;
        drop(id);
        out.push(id);
      }
    return out;
  }
  /** Changes a job in memory and on disk; a write that fails leaves it as it was. */
  async function save(row: JobRow, sync: boolean): Promise<JobRow> {
    const before = rows.get(row.id);
    put(row);
    try {
      await table.save([row], excess(), sync);
    } catch (error) {
      if (rows.get(row.id) === row) {
        if (before === undefined) drop(row.id);
        else put(before);
      }
      throw error;
    }
    return row;
  }

  function wake(inMs: number): void {
    const at = steady() + Math.max(0, inMs);
    if (stopped || at >= wakeAt) return;
    wakeAt = at;
    clearTimeout(timer);
    timer = setTimeout(onTimer, Math.min(LONGEST_SLEEP_MS, Math.max(0, inMs)));
    timer.unref();
  }
  function onTimer(): void {
    wakeAt = Infinity;
    const [at, turn] = [now(), steady()];
    for (const [id, until] of leases) {
      if (until <= turn) lost(id);
      else wake(until - turn);
    }
    for (const id of ids.waiting) {
      const row = rows.get(id);
      const runAt = row === undefined ? 0 : dueTime(row);
      if (runAt > at) wake(runAt - at);
    }
    callSoon();
  }
  /** Many that become due together are one call. */
  function callSoon(): void {
    if (calling || stopped) return;
    calling = true;
    setImmediate(() => {
      calling = false;
      for (const listener of listeners) listener();
    });
  }
  function changed(row: JobRow): void {
    if (row.state !== 'waiting') return;
    const inMs = dueTime(row) - now();
    if (inMs <= 0) callSoon();
    else wake(inMs);
  }
  /** A worker died, or cannot reach this node: somebody else is to do it. */
  function lost(id: string): void {
    const row = rows.get(id);
    if (row?.state !== 'active') return;
    leases.delete(id);
    const error = { code: 'worker-lost', message: 'the worker gave no sign of life' };
    void save(afterLoss(row, error, now()), true).then(
      (kept) => {
        if (kept.state === 'dead') tellEnd(kept);
        changed(kept);
      },
      (failure: unknown) => {
        onTrouble('a job that lost its worker could not be saved', { job: id, err: failure });
        leases.set(id, steady() + limits.leaseMs);
        wake(limits.leaseMs);
      },
    );
  }
  function tellEnd(row: JobRow): void {
    const told = parts
      .tell(shown(row), 'ended')
      .then(() => {
        const current = rows.get(row.id);
        return current?.attempt === row.attempt && current?.state === row.state
          ? save({ ...current, told: true }, false)
          : undefined;
      })
      .then(
        () => undefined,
        (error: unknown) => onTrouble('the end of a job could not be told', { job: row.id, err: error }),
      )
      .finally(() => telling.delete(told));
    telling.add(told);
  }

  function found(id: string): JobRow {
    const row = rows.get(id);
    if (row === undefined) throw new AgrinetError('not-found', 'there is no such job');
    return row;
  }
  /** The row of an attempt that is still in force. */
  function running(id: string, attempt: string): JobRow {
    const row = found(id);
    if (row.state !== 'active' || row.attempt !== attempt)
      throw new AgrinetError('attempt-over', 'this attempt has ended, or the job was given to another');
    return row;
  }
  async function begin(id: string, local: boolean): Promise<{ job: Job; attempt: string }> {
    const row = found(id);
    if (row.state === 'active') throw new AgrinetError('job-claimed', 'another worker is at this job');
    if (row.state !== 'waiting') throw new AgrinetError('job-ended', `this job is ${row.state}`);
    if (dueTime(row) > now()) throw new AgrinetError('job-not-due', 'this job is to be done later');
    const attempt = randomBytes(16).toString('hex');
    const { progress: _progress, ...rest } = row;
    const next = { ...rest, state: 'active' as const, attempts: row.attempts + 1, attempt, local };
    // Not fsynced: should it be lost with the machine, the job is simply done again.
    const kept = await save(next, false);
    if (!local) {
      leases.set(id, steady() + limits.leaseMs);
      wake(limits.leaseMs);
    }
    return { job: shown(kept), attempt };
  }

  for (const row of await table.load((key) => onTrouble('a job is damaged and left out', { key }))) {
    put(row);
    if (row.state === 'active') {
      if (row.local === true) {
        const error = { code: 'process-lost', message: 'the node ended while it worked on this' };
        await save(afterLoss(row, error, now()), false);
      } else {
        leases.set(row.id, steady() + limits.leaseMs);
        wake(limits.leaseMs);
      }
    }
  }
  for (const state of ['completed', 'dead'] as const) {
    const ended = [...ids[state]].sort((a, b) => (rows.get(a)?.endedAt ?? 0) - (rows.get(b)?.endedAt ?? 0));
    ids[state] = new Set(ended);
    for (const id of ended) {
      const row = rows.get(id);
      if (row !== undefined && row.told !== true) tellEnd(row);
    }
  }
  wake(0);

  return {
    async add(name, data, options = {}) {
      const id = options.id ?? newId(now());
      const key = keyOf(name, data, options.key) ?? id;
      const same = rows.get(id) ?? rows.get(byKey.get(key) ?? '');
      if (same !== undefined) {
        // A sync that rebuilds does all that a plain one does, so the one that waits becomes it.
        const upgraded = same.state === 'waiting' && data['force'] === true && same.data['force'] !== true;
        // Saved again: the one who added it may still be waiting for the disk.
        return shown(await save(upgraded ? { ...same, data } : same, true));
      }
      if (ids.waiting.size + ids.active.size >= limits.live)
        throw new AgrinetError(
          'jobs-full',
          'too many jobs wait already; see agrinet jobs, and try again later',
        );
      const at = now();
      const { delayMs = 0 } = options;
      const openMs = (breakers.get(sourceOf({ name, data }))?.openUntil ?? 0) - steady();
      const row = await save(
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
      changed(row);
      return shown(row);
    },
    get: (id) => {
      const row = rows.get(id);
      return row && shown(row);
    },
    list({ state, limit, cursor }) {
      const at = now();
      const fits = (row: JobRow): boolean =>
        (cursor === undefined || row.id < cursor) &&
        (state === undefined ||
          state === (row.state === 'waiting' && dueTime(row) > at ? 'delayed' : row.state));
      const all = [...rows.values()].filter(fits).sort((a, b) => (a.id < b.id ? 1 : -1));
      const jobs = all.slice(0, limit).map(shown);
      const last = jobs.at(-1);
      return all.length > limit && last !== undefined ? { jobs, cursor: last.id } : { jobs };
    },
    async retry(id) {
      const row = found(id);
      if (row.state !== 'dead')
        throw new AgrinetError('job-not-dead', 'only a dead job can be tried again; this one is not');
      const other = byKey.get(row.key);
      if (other !== undefined)
        throw new AgrinetError('job-not-dead', 'another job for the same thing is waiting or running');
      const { endedAt: _endedAt, attempt: _attempt, told: _told, ...rest } = row;
      const kept = await save({ ...rest, state: 'waiting', attempts: 0, runAt: now() }, true);
      changed(kept);
      return shown(kept);
    },
    counts() {
      let delayed = 0;
      const at = now();
      for (const id of ids.waiting) {
        const row = rows.get(id);
        if (row !== undefined && dueTime(row) > at) delayed++;
      }
      return {
        waiting: ids.waiting.size - delayed,
        delayed,
        active: ids.active.size,
        completed: ids.completed.size,
        dead: ids.dead.size,
      };
    },
    async claim(id) {
      return { ...(await begin(id, false)), leaseMs: limits.leaseMs };
    },
    claimLocal: (id) => begin(id, true),
    async progress(id, attempt, update) {
      const row = running(id, attempt);
      if (leases.has(id)) leases.set(id, steady() + limits.leaseMs);
      if (update === undefined) return;
      const kept = await save({ ...row, progress: update }, false);
      if (row.progress === undefined)
        await parts
          .tell(shown(kept), 'progress')
          .catch((error: unknown) => onTrouble('progress could not be told', { job: id, err: error }));
    },
    async complete(id, attempt, result) {
      const row = found(id);
      if (row.state === 'completed' && row.attempt === attempt) return shown(await save(row, true));
      const { error: _error, ...rest } = running(id, attempt);
      const source = sourceOf(row);
      if (source !== '') breakers.delete(source);
      const kept = await save({ ...rest, state: 'completed', result, endedAt: now() }, true);
      tellEnd(kept);
      return shown(kept);
    },
    async fail(id, attempt, { code, message, final }) {
      const before = found(id);
      if (before.state !== 'active' && before.attempt === attempt && before.error?.code === code)
        return shown(await save(before, true));
      const row = running(id, attempt);
      const at = now();
      const source = sourceOf(row);
      const breaker =
        source === '' ? CLOSED : breakerAfter(breakers.get(source) ?? CLOSED, 'failed', steady());
      if (source !== '') breakers.set(source, breaker);
      const error = { code, message };
      const last = final === true || row.attempts >= row.maxAttempts;
      const kept = await save(
        last
          ? { ...row, state: 'dead', error, endedAt: at }
          : {
              ...row,
              state: 'waiting',
              error,
              runAt: at + Math.max(backoffMs(row.attempts, random()), breaker.openUntil - steady()),
            },
        true,
      );
      if (last) tellEnd(kept);
      changed(kept);
      return shown(kept);
    },
    async release(id, attempt) {
      const row = running(id, attempt);
      // The token goes, so that a report that comes late counts for nothing.
      changed(await save({ ...row, state: 'waiting', attempts: row.attempts - 1, runAt: now() }, true));
    },
    due(names, limit) {
      const at = now();
      const found: Job[] = [];
      for (const id of ids.waiting) {
        if (found.length >= limit) break;
        const row = rows.get(id);
        if (row !== undefined && dueTime(row) <= at && names.has(row.name)) found.push(shown(row));
      }
      return found;
    },
    onDue(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async stop() {
      stopped = true;
      clearTimeout(timer);
      listeners.clear();
      await Promise.all(telling);
    },
  };
}
