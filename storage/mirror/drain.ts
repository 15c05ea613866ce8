import { AgrinetError, errorCode, errorMessage } from '../../protocols/errors.ts';
import { dueAt } from '../../protocols/wire/deadlines.ts';
import type { Outbox, OutboxRow, Outcome } from '../outbox.ts';
import { bring, type BringParts } from './bring.ts';
import type { MirrorLimits } from './limits.ts';

/** How one pass over the outbox went. */
export interface Pass {
  /** Rows that were dealt with. */
  readonly done: number;
  /** Rows that failed and stay. */
  readonly failed: number;
  /** What ended it before its end, or the last failure. */
  readonly error: AgrinetError | undefined;
  /** When the next row is due that only waits; undefined when none does. */
  readonly nextDue: number | undefined;
}

export interface DrainParts extends Omit<BringParts, 'alone'> {
  readonly outbox: Pick<Outbox, 'rows' | 'complete' | 'noteOldest'>;
  readonly limits: Pick<MirrorLimits, 'inFlight' | 'gather' | 'graceMs' | 'itemBytes'>;
  /** Told how many writes are under way. */
  readonly onFlight: (count: number) => void;
}

/** Failures in a row, and nothing done meanwhile, that end a pass: DynamoDB is away, not one item troublesome. */
const GIVE_UP = 16;
/** What concerns every row alike ends a pass at once. */
const ENDING = new Set([
  'mirror-displaced',
  'mirror-denied',
  'mirror-table-missing',
  'storage-failed',
  'stopping',
]);

/** Goes once over the outbox and brings out every row that is to be; rows that fail stay, and do not hold up the others. */
export async function drainOnce(parts: DrainParts, signal: AbortSignal): Promise<Pass> {
  const { outbox, limits, now, onFlight } = parts;
  const started = now();
  const running = new Set<Promise<void>>();
  const lanes = new Map<string, Promise<unknown>>();
  let outcomes: Outcome[] = [];
  let done = 0;
  let failed = 0;
  let inRow = 0;
  let error: AgrinetError | undefined;
  let ended = false;
  let nextDue: number | undefined;
  let oldest: number | undefined;
  const noteDue = (due: number | undefined): void => {
    if (due !== undefined) nextDue = Math.min(nextDue ?? Infinity, due);
  };

  function alone<T>(item: string, work: () => Promise<T>): Promise<T> {
    const result = (lanes.get(item) ?? Promise.resolve()).then(work);
    const settled = result.catch(() => undefined); // told to whoever asked
    lanes.set(item, settled);
    void settled.then(() => {
      if (lanes.get(item) === settled) lanes.delete(item);
    });
    return result;
  }

  async function one(key: string, row: OutboxRow): Promise<void> {
    try {
      const next = await bring({ ...parts, alone }, key, row);
      outcomes.push({ key, n: row.n, next });
      noteDue(next?.due);
      done++;
      inRow = 0;
    } catch (thrown) {
      failed++;
      inRow++;
      parts.counts.failures++;
      if (row.due === undefined) oldest = Math.min(oldest ?? Infinity, row.at);
      else noteDue(started);
      error = asFailure(thrown);
      if (inRow >= GIVE_UP || ENDING.has(error.code)) ended = true;
    }
  }

  async function flush(): Promise<void> {
    const some = outcomes;
    outcomes = [];
    if (some.length > 0) await outbox.complete(some);
  }

  try {
    for await (const [key, row] of outbox.rows()) {
      if (signal.aborted) ended = true;
      if (ended) break;
      if (row.refused !== undefined) continue;
      const due = row.due === undefined ? undefined : dueAt(row.due, started, limits.graceMs);
      if (due !== undefined && due > started) {
        noteDue(due);
        continue;
      }
      const task = one(key, row).finally(() => {
        running.delete(task);
        onFlight(running.size);
      });
      running.add(task);
      onFlight(running.size);
      if (running.size >= limits.inFlight) await Promise.race(running);
      if (outcomes.length >= limits.gather) await flush();
    }
  } catch (thrown) {
    error = asFailure(thrown);
  }
  await Promise.all(running);
  try {
    await flush();
  } catch (thrown) {
    error = asFailure(thrown); // they are brought out again
  }
  // A pass that was broken off has not seen all there is.
  if (!ended && error?.code !== 'storage-failed') outbox.noteOldest(oldest ?? started);
  return { done, failed, error, nextDue };
}

/** Whatever is not named is a fault of ours or of the disk: the row stays and is tried again. */
function asFailure(thrown: unknown): AgrinetError {
  if (thrown instanceof AgrinetError) return thrown;
  return new AgrinetError(errorCode(thrown), errorMessage(thrown), { cause: thrown });
}
