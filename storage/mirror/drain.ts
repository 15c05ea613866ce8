import { AgrinetError, errorCode, errorMessage } from '../../protocols/errors.ts';
import { dueAt } from '../../protocols/wire/deadlines.ts';
import type { Outbox, OutboxRow, Outcome } from '../outbox.ts';
import { KeyedQueue } from '../../protocols/serial-queue.ts';
import { putRow, type PutParts } from './put-row.ts';
import type { MirrorLimits } from './limits.ts';

/** How one pass over the outbox went. */
export interface Pass {
  /** Rows that were dealt with. */
  readonly done: number;
  /** Rows that failed and stay. */
  readonly failed: number;
  /** Why it ended early, or the last failure. */
  readonly error: AgrinetError | undefined;
  /** When the next row is due that only waits; undefined when none does. */
  readonly nextDue: number | undefined;
}

export interface DrainParts extends Omit<PutParts, 'queue'> {
  readonly outbox: Pick<Outbox, 'rows' | 'complete' | 'noteOldest'>;
  readonly limits: Pick<MirrorLimits, 'inFlight' | 'gather' | 'graceMs' | 'itemBytes'>;
  /** Told how many writes are under way. */
  readonly onFlight: (count: number) => void;
}

/** Failures in a row, and nothing done meanwhile, that end a pass: DynamoDB is away, not one item troublesome. */
const GIVE_UP = 16;
/** An error that concerns every row alike ends a pass at once. */
const ENDING = new Set([
  'database-damaged',
  'mirror-displaced',
  'mirror-denied',
  'mirror-table-missing',
  'storage-failed',
  'stopping',
]);

/** Goes once over the outbox and replicates every row that is due; rows that fail stay, and do not hold up the others. */
export function drainOnce(parts: DrainParts, signal: AbortSignal): Promise<Pass> {
  return new Drain(parts).run(signal);
}

class Drain {
  readonly #parts: DrainParts;
  readonly #put: PutParts;
  readonly #started: number;
  readonly #running = new Set<Promise<void>>();
  #outcomes: Outcome[] = [];
  #done = 0;
  #failed = 0;
  #failedInRow = 0;
  #error: AgrinetError | undefined;
  /** Broken off: it has not seen all there is. */
  #ended = false;
  #nextDue: number | undefined;
  #oldest: number | undefined;

  constructor(parts: DrainParts) {
    this.#parts = parts;
    this.#put = { ...parts, queue: new KeyedQueue() };
    this.#started = parts.now();
  }

  async run(signal: AbortSignal): Promise<Pass> {
    try {
      await this.#walk(signal);
    } catch (thrown) {
      this.#error = asFailure(thrown);
    }
    await Promise.all(this.#running);
    try {
      await this.#flush();
    } catch (thrown) {
      this.#error = asFailure(thrown); // they are put again
    }
    if (!this.#ended && this.#error?.code !== 'storage-failed' && this.#error?.code !== 'database-damaged')
      this.#parts.outbox.noteOldest(this.#oldest ?? this.#started);
    return { done: this.#done, failed: this.#failed, error: this.#error, nextDue: this.#nextDue };
  }

  async #walk(signal: AbortSignal): Promise<void> {
    const { outbox, limits } = this.#parts;
    for await (const [key, row] of outbox.rows()) {
      if (signal.aborted) this.#ended = true;
      if (this.#ended) return;
      if (row.refused !== undefined || this.#waits(row)) continue;
      this.#begin(key, row);
      if (this.#running.size >= limits.inFlight) await Promise.race(this.#running);
      if (this.#outcomes.length >= limits.gather) await this.#flush();
    }
  }

  #waits({ due }: OutboxRow): boolean {
    if (due === undefined) return false;
    const at = dueAt(due, this.#started, this.#parts.limits.graceMs);
    if (at <= this.#started) return false;
    this.#noteDue(at);
    return true;
  }

  #begin(key: string, row: OutboxRow): void {
    const { onFlight } = this.#parts;
    const task = this.#one(key, row).finally(() => {
      this.#running.delete(task);
      onFlight(this.#running.size);
    });
    this.#running.add(task);
    onFlight(this.#running.size);
  }

  async #one(key: string, row: OutboxRow): Promise<void> {
    try {
      const next = await putRow(this.#put, key, row);
      this.#outcomes.push({ key, n: row.n, next });
      this.#noteDue(next?.due);
      this.#done++;
      this.#failedInRow = 0;
    } catch (thrown) {
      this.#failed++;
      this.#failedInRow++;
      this.#parts.counts.failures++;
      if (row.due === undefined) this.#oldest = Math.min(this.#oldest ?? Infinity, row.at);
      else this.#noteDue(this.#started);
      this.#error = asFailure(thrown);
      if (this.#failedInRow >= GIVE_UP || ENDING.has(this.#error.code)) this.#ended = true;
    }
  }

  #noteDue(due: number | undefined): void {
    if (due !== undefined) this.#nextDue = Math.min(this.#nextDue ?? Infinity, due);
  }

  async #flush(): Promise<void> {
    const some = this.#outcomes;
    this.#outcomes = [];
    if (some.length > 0) await this.#parts.outbox.complete(some);
  }
}

/** Whatever is not named is a fault of ours or of the disk: the row stays and is tried again. */
function asFailure(thrown: unknown): AgrinetError {
  if (thrown instanceof AgrinetError) return thrown;
  return new AgrinetError(errorCode(thrown), errorMessage(thrown), { cause: thrown });
}
