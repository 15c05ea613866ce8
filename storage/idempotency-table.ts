import type { Database } from './database.ts';
import { type BatchOp, fullKey, innerKey, range } from './keyspace.ts';
import { openJson, sealJson } from './values.ts';

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

type Standing =
  | { readonly kind: 'begun' | 'busy' | 'mismatch' }
  | { readonly kind: 'answered'; readonly answer: Answer };

export interface IdempotencyLimits {
  /** A client that repeats a request does so within a day. */
  readonly keptMs: number;
  /** Keys remembered; the time and size of each are held in memory. */
  readonly rows: number;
  /** Of all rows together; the oldest go. */
  readonly bytes: number;
  /** Rows of one caller: one who floods the table loses his own. */
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
/** What a row takes beside its answer. */
const ROW_BYTES = 200;

/**
 * Answers given under an Idempotency-Key. That a request has begun is not synced: its commit comes later in the same log, so where
 * the commit is, this is too. The answer is synced before it is sent; those that wait together share one sync.
 */
export async function openIdempotencyTable(
  db: Database,
  now: () => number,
  limits: IdempotencyLimits = IDEMPOTENCY_LIMITS,
) {
  /** Oldest first. */
  const rows = new Map<string, { at: number; bytes: number }>();
  /** The same by caller. */
  const callers = new Map<string, { readonly ids: Set<string>; bytes: number }>();
  const busy = new Map<string, Row>();
  let bytes = 0;
  let waiting: BatchOp[] = [];
  let flush: Promise<void> | undefined;
  let writing: Promise<void> = Promise.resolve();

  const put = (id: string, row: Row): BatchOp => {
    drop(id);
    const key = fullKey('idempotency', id);
    const value = sealJson(key, row);
    hold(id, { at: row.at, bytes: value.length + ROW_BYTES });
    return { type: 'put', key, value };
  };
  function hold(id: string, row: { at: number; bytes: number }): void {
    rows.set(id, row);
    bytes += row.bytes;
    const name = callerOf(id);
    const caller = callers.get(name) ?? { ids: new Set<string>(), bytes: 0 };
    caller.ids.add(id);
    caller.bytes += row.bytes;
    callers.set(name, caller);
  }
  function drop(id: string): void {
    const row = rows.get(id);
    if (row === undefined) return;
    bytes -= row.bytes;
    rows.delete(id);
    const name = callerOf(id);
    const caller = callers.get(name);
    if (caller === undefined) return;
    caller.ids.delete(id);
    caller.bytes -= row.bytes;
    if (caller.ids.size === 0) callers.delete(name);
  }
  /** Deletes what is too old or too many, of this caller first; a request under way stays. */
  function expired(by: string): BatchOp[] {
    const ops: BatchOp[] = [];
    const forget = (id: string): void => {
      if (busy.has(id)) return;
      drop(id);
      ops.push({ type: 'del', key: fullKey('idempotency', id) });
    };
    const own = callers.get(callerOf(by));
    for (const id of own?.ids ?? []) {
      if (own === undefined) break;
      if (own.ids.size <= limits.rowsPerCaller && own.bytes <= limits.bytesPerCaller) break;
      forget(id);
    }
    for (const [id, { at }] of rows) {
      if (rows.size <= limits.rows && bytes <= limits.bytes && at > now() - limits.keptMs) break;
      forget(id);
    }
    return ops;
  }
  async function read(id: string): Promise<Row | undefined> {
    const known = rows.get(id);
    if (known === undefined || known.at <= now() - limits.keptMs) return undefined;
    const key = fullKey('idempotency', id);
    const value = await db.level.get(key);
    return value === undefined ? undefined : openRow(key, value);
  }
  /** One synced write at a time; what comes meanwhile goes together in the next. */
  function flushed(): Promise<void> {
    flush ??= writing.then(() => {
      const ops = waiting;
      waiting = [];
      flush = undefined;
      const written = db.batch(ops, true);
      writing = written.catch(() => undefined); // told to those who wait for it
      return written;
    });
    return flush;
  }

  await load();

  async function load(): Promise<void> {
    const found: { id: string; at: number; bytes: number }[] = [];
    for await (const [key, value] of db.level.iterator(range('idempotency'))) {
      // A damaged row is forgotten like an old one: at 0 it goes with the next write.
      // One of a clock that was ahead is as old as this process.
      const at = Math.min(openRow(key, value)?.at ?? 0, now());
      found.push({ id: innerKey(key), at, bytes: value.length + ROW_BYTES });
    }
    for (const { id, ...row } of found.sort((a, b) => a.at - b.at)) hold(id, row);
  }

  return {
    async begin(id: string, bodyHash: string): Promise<Standing> {
      const running = busy.get(id);
      if (running !== undefined) return { kind: running.bodyHash === bodyHash ? 'busy' : 'mismatch' };
      const row = { bodyHash, at: now() };
      busy.set(id, row);
      try {
        const known = await read(id);
        if (known !== undefined && known.bodyHash !== bodyHash) return end(id, { kind: 'mismatch' });
        if (known?.answer !== undefined) return end(id, { kind: 'answered', answer: known.answer });
        await db.batch([put(id, row), ...expired(id)], false);
        return { kind: 'begun' };
      } catch (error) {
        busy.delete(id);
        throw error;
      }
    },
    async finish(id: string, answer: Answer): Promise<void> {
      const row = busy.get(id);
      if (row === undefined) return;
      try {
        waiting.push(put(id, { ...row, answer }));
        await flushed();
      } finally {
        busy.delete(id);
      }
    },
    async release(id: string, forget: boolean): Promise<void> {
      busy.delete(id);
      if (!forget) return;
      drop(id);
      await db.batch([{ type: 'del', key: fullKey('idempotency', id) }], false);
    },
  };

  function end(id: string, standing: Standing): Standing {
    busy.delete(id);
    return standing;
  }
}

/** Ids begin with that of the caller: `caller.hash`. */
function callerOf(id: string): string {
  return id.slice(0, id.indexOf('.') + 1);
}

function openRow(key: string, value: Uint8Array): Row | undefined {
  try {
    return openJson<Row>(key, value);
  } catch {
    return undefined; // a damaged row is as good as none: the request is carried out again
  }
}
