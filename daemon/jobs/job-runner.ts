import type { Job, JsonObject } from '../../api/ports/jobs.ts';
import { mayRetry } from '../../protocols/error-codes.ts';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import type { JobHandler } from './job-queue.ts';

/** Longest that one attempt may take. */
const JOB_MS = 30 * 60_000;

/** How an attempt ended. */
export type Outcome =
  | { readonly kind: 'completed'; readonly result: JsonObject }
  | { readonly kind: 'stopped' }
  | {
      readonly kind: 'failed';
      readonly error: { readonly code: string; readonly message: string; readonly final?: boolean };
    };

/** What one run of a handler needs. */
export interface RunParts {
  readonly env: Pick<Env, 'after'>;
  /** The process is told to end. */
  readonly stop: AbortSignal;
  readonly progress: (update: JsonObject) => Promise<void>;
  /** The only place where the message of an internal error goes. */
  readonly onInternal: (error: unknown) => void;
}

/** Runs a handler once; never throws. */
export async function runHandler(
  handler: JobHandler | undefined,
  job: Job,
  { env, stop, progress, onInternal }: RunParts,
): Promise<Outcome> {
  const timeout = new AbortController();
  const timer = env.after(JOB_MS, () =>
    timeout.abort(new AgrinetError('job-timeout', `the job took longer than ${JOB_MS / 60_000} minutes`)),
  );
  try {
    if (handler === undefined)
      throw new AgrinetError(
        'job-unhandled',
        `this node cannot run ${job.name} jobs; a setting may be missing`,
      );
    const result = await handler(job, {
      signal: AbortSignal.any([stop, timeout.signal]),
      // Progress that cannot be reported now is no reason to fail; an attempt that is over is.
      progress: (update) =>
        progress(update).catch((error: unknown) => {
          if (errorCode(error) === 'attempt-over') throw error;
        }),
    });
    return { kind: 'completed', result };
  } catch (error) {
    if (stop.aborted) return { kind: 'stopped' };
    const reason: unknown = timeout.signal.aborted ? timeout.signal.reason : error;
    if (!(reason instanceof AgrinetError)) onInternal(reason);
    // Only our own messages: other servers' responses, or a phone number, must not end up in a list of jobs.
    const message =
      reason instanceof AgrinetError
        ? reason.message.slice(0, 500)
        : 'internal error; the log has the details';
    const code = errorCode(reason);
    return { kind: 'failed', error: { code, message, ...(mayRetry(code) ? {} : { final: true }) } };
  } finally {
    timer.cancel();
  }
}
