import type { JobAttempts } from '../../api/ports/jobs.ts';
import { type Env, pause } from '../../protocols/env.ts';
import { errorCode } from '../../protocols/errors.ts';
import type { JobHandlers } from './job-queue.ts';
import { type Outcome, runHandler } from './job-runner.ts';

/** Codes of a claim that say: not for you, and the node sees to it. */
const NOT_OURS: ReadonlySet<string> = new Set(['not-found', 'job-ended', 'job-claimed', 'job-not-due']);

export interface AttemptParts {
  readonly env: Pick<Env, 'after'>;
  /** The node whose jobs these are: its store in this process, or behind its API. */
  readonly attempts: JobAttempts;
  readonly handlers: JobHandlers;
  readonly onTrouble: (message: string, fields: Record<string, unknown>) => void;
}

/** Claims jobs at the node and does them, with signs of life while it is at them. */
export class AttemptRunner {
  readonly #parts: AttemptParts;
  readonly #stopping: AbortSignal;

  /** `stopping`: jobs in progress are told to end and returned. */
  constructor(parts: AttemptParts, stopping: AbortSignal) {
    this.#parts = parts;
    this.#stopping = stopping;
  }

  /** Resolves when the attempt is reported, or the job is not for us. */
  async run(id: string): Promise<void> {
    const { env, attempts, handlers, onTrouble } = this.#parts;
    let claimed: Awaited<ReturnType<JobAttempts['claim']>>;
    try {
      claimed = await attempts.claim(id);
    } catch (error) {
      if (NOT_OURS.has(errorCode(error))) return;
      throw error;
    }
    const { job, attempt, leaseMs } = claimed;
    const over = new AbortController();
    const heartbeats = this.#heartbeats(id, attempt, leaseMs / 3, over);
    const outcome = await runHandler(handlers[job.name], job, {
      env,
      stop: AbortSignal.any([this.#stopping, over.signal]),
      progress: (update) => attempts.progress(id, attempt, update),
      onInternal: (error) => onTrouble('a job failed', { job: id, name: job.name, err: error }),
    });
    try {
      await this.#report(id, attempt, outcome, over.signal);
    } finally {
      over.abort();
      await heartbeats;
    }
  }

  async #report(id: string, attempt: string, outcome: Outcome, over: AbortSignal): Promise<void> {
    const { attempts } = this.#parts;
    try {
      if (outcome.kind === 'completed') await attempts.complete(id, attempt, outcome.result);
      else if (outcome.kind === 'failed') await attempts.fail(id, attempt, outcome.error);
      else if (!over.aborted) await attempts.release(id, attempt);
    } catch (error) {
      // Somebody else has it: whatever comes of that counts.
      if (errorCode(error) !== 'attempt-over' && errorCode(error) !== 'not-found') throw error;
    }
  }

  /** Extends the lease until it is over; ends it when the node says that it was given to another. */
  async #heartbeats(id: string, attempt: string, everyMs: number, over: AbortController): Promise<void> {
    const { env, attempts } = this.#parts;
    for (;;) {
      await pause(env, everyMs, over.signal, { holds: true });
      if (over.signal.aborted) return;
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
}
