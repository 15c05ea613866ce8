import type { Database } from './database.ts';
import { type BatchOp, fullKey, innerKey, range } from './keyspace.ts';
import { type KeptLimits, KeptRows } from './kept-rows.ts';
import { jsonWithChecksum, soundJson } from './values.ts';
import { GroupedWrites } from './grouped-writes.ts';

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

interface Row {
  readonly bodyHash: string;
  /** When it began, in milliseconds since 1970. */
  readonly at: number;
  readonly answer?: Answer;
}

type Begun =
  | { readonly kind: 'begun' | 'busy' | 'mismatch' }
  | { readonly kind: 'answered'; readonly answer: Answer };

export interface IdempotencyLimits extends KeptLimits {
  /** How long keys are remembered: a client that repeats a request does so within a day. */
  readonly keptMs: number;
  /** Keys remembered; the time and size of each are kept in memory. */
  readonly rows: number;
  /** All rows together; the oldest are dropped. */
  readonly bytes: number;
  /** Rows of one caller: a caller that floods the table displaces only its own. */
  readonly rowsPerCaller: number;
  /** Bytes of one caller's rows. */
  readonly bytesPerCaller: number;
}

export const IDEMPOTENCY_LIMITS: IdempotencyLimits = {
  keptMs: 24 * 3_600_000,
  rows: 100_000,
  bytes: 64 * 1024 * 1024,
  rowsPerCaller: 20_000,
  bytesPerCaller: 8 * 1024 * 1024,
};
/** The size of a row besides its answer. */
const ROW_BYTES = 200;

/** Reads the stored rows; ignores damaged ones. */
export async function openIdempotencyTable(
  db: Database,
  now: () => number,
  limits: IdempotencyLimits = IDEMPOTENCY_LIMITS,
): Promise<IdempotencyTable> {
  const found: { id: string; at: number; bytes: number }[] = [];
  for await (const [key, value] of db.level.iterator(range('idempotency'))) {
    // A damaged row is forgotten like an old one: at 0 it goes with the next write.
    // One of a clock that was ahead is as old as this process.
    const at = Math.min(soundJson<Row>(key, value)?.at ?? 0, now());
    found.push({ id: innerKey(key), at, bytes: value.length + ROW_BYTES });
  }
  const rows = new KeptRows();
  for (const { id, ...row } of found.sort((a, b) => a.at - b.at)) rows.add(id, row);
  return new IdempotencyTable(db, now, limits, rows);
}

/**
 * Answers given under an Idempotency-Key. That a request has begun is not synced: its commit comes later in the same log, so where
 * the commit is, this is too. The answer is synced before it is sent; those that wait together share one sync.
 */
class IdempotencyTable {
  readonly #db: Database;
  readonly #now: () => number;
  readonly #limits: IdempotencyLimits;
  readonly #rows: KeptRows;
  readonly #busy = new Map<string, Row>();
  readonly #answers: GroupedWrites;

  constructor(db: Database, now: () => number, limits: IdempotencyLimits, rows: KeptRows) {
    this.#db = db;
    this.#answers = new GroupedWrites(db);
    this.#now = now;
    this.#limits = limits;
    this.#rows = rows;
  }

  async begin(id: string, bodyHash: string): Promise<Begun> {
    const running = this.#busy.get(id);
    if (running !== undefined) return { kind: running.bodyHash === bodyHash ? 'busy' : 'mismatch' };
    const row = { bodyHash, at: this.#now() };
    this.#busy.set(id, row);
    try {
      const known = await this.#read(id);
      if (known !== undefined && known.bodyHash !== bodyHash) return this.#end(id, { kind: 'mismatch' });
      if (known?.answer !== undefined) return this.#end(id, { kind: 'answered', answer: known.answer });
      await this.#db.batch([this.#put(id, row), ...this.#evicted(id)], false);
      return { kind: 'begun' };
    } catch (error) {
      this.#busy.delete(id);
      throw error;
    }
  }

  async finish(id: string, answer: Answer): Promise<void> {
    const row = this.#busy.get(id);
    if (row === undefined) return;
    try {
      await this.#answers.add([this.#put(id, { ...row, answer })], true);
    } finally {
      this.#busy.delete(id);
    }
  }

  async release(id: string, forget: boolean): Promise<void> {
    this.#busy.delete(id);
    if (!forget) return;
    this.#rows.remove(id);
    await this.#db.batch([{ type: 'del', key: fullKey('idempotency', id) }], false);
  }

  #end(id: string, begun: Begun): Begun {
    this.#busy.delete(id);
    return begun;
  }

  async #read(id: string): Promise<Row | undefined> {
    const known = this.#rows.get(id);
    if (known === undefined || known.at <= this.#now() - this.#limits.keptMs) return undefined;
    const key = fullKey('idempotency', id);
    // A damaged row is as good as none: the request is carried out again.
    return soundJson<Row>(key, await this.#db.level.get(key));
  }

  #put(id: string, row: Row): BatchOp {
    this.#rows.remove(id);
    const key = fullKey('idempotency', id);
    const value = jsonWithChecksum(key, row);
    this.#rows.add(id, { at: row.at, bytes: value.length + ROW_BYTES });
    return { type: 'put', key, value };
  }

  /** Deletes rows that are too old or too many, this caller's first; requests in progress are kept. */
  #evicted(by: string): BatchOp[] {
    const since = this.#now() - this.#limits.keptMs;
    return this.#rows
      .evict(by, since, this.#limits, (id) => this.#busy.has(id))
      .map((id) => ({ type: 'del', key: fullKey('idempotency', id) }));
  }
}
