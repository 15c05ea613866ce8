import { readFileSync } from 'node:fs';

/** Milliseconds between two looks that cost nothing, at first. */
const PAUSE_MS = 20;
/** The pause after a look is so many times as long as the look took, so that looking leaves the processor to what is waited for. */
const REST = 4;
/** What was waited for so long is not there the next moment: the pause becomes this share of the wait until then. */
const OF_THE_WAIT = 0.1;
const LONGEST_PAUSE_MS = 250;

/** An answer that is no success; `waitFor` looks again after one that says "not yet". */
export class UnexpectedStatus extends Error {
  readonly status: number;

  constructor(asked: string, status: number, body: string) {
    super(`${asked}: ${status} ${body}`);
    this.status = status;
  }
}

/** What a record answers that has not come, or not whole, and a node that is not ready. */
const NOT_YET: readonly number[] = [404, 409, 503];

/** No wait is made longer than this by a busy machine: a test's own timeout, of a minute, would not say what was waited for. */
const BUSY_BOUND_MS = 45_000;

/** How long a wait may take, when tasks of the machine waited for a processor for `queuedMs` of it. All in milliseconds. */
export const boundOf = (ms: number, queuedMs: number): number =>
  Math.max(ms, Math.min(ms + queuedMs, BUSY_BOUND_MS));

/** Milliseconds since the boot in which some task waited for a processor; 0 where the kernel does not count them. */
function queuedMs(): number {
  try {
    return Number(/^some .*total=(\d+)/.exec(readFileSync('/proc/pressure/cpu', 'utf8'))?.[1] ?? 0) / 1000;
  } catch {
    return 0;
  }
}

/**
 * Polls until the check gives a value; fails with the message after the bound. The wait between looks is short and bounded. A check that throws
 * ends the wait, but for an answer that says "not yet": the last of these is the cause of the failure. Time in which tasks of the machine
 * queued for a processor does not count, up to `BUSY_BOUND_MS`: on an idle machine the bound is exact, on a busy one it does not measure others.
 */
export async function waitFor<T>(
  what: string,
  check: () => Promise<T | undefined | false> | T | undefined | false,
  ms = 10_000,
): Promise<T> {
  const [start, queued] = [performance.now(), queuedMs()];
  let cause: UnexpectedStatus | undefined;
  for (;;) {
    const began = performance.now();
    try {
      const value = await check();
      if (value !== undefined && value !== false) return value;
      cause = undefined;
    } catch (error) {
      if (!(error instanceof UnexpectedStatus) || !NOT_YET.includes(error.status)) throw error;
      cause = error;
    }
    const looked = performance.now();
    if (looked > start + ms && looked > start + boundOf(ms, queuedMs() - queued))
      throw new Error(`waited ${Math.round(looked - start)} ms in vain for ${what}`, { cause });
    const rest = Math.max(PAUSE_MS, (looked - began) * REST, (looked - start) * OF_THE_WAIT);
    await new Promise<void>((next) => setTimeout(next, Math.min(rest, LONGEST_PAUSE_MS)));
  }
}
