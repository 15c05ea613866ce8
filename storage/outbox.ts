import type { BatchTap, Database } from './database.ts';
import { type BatchOp, fullKey, innerKey, range, type SublevelName, sublevelOf } from './keyspace.ts';
import { putJson, soundJson } from './values.ts';

/** An item of the mirror: its table, without a prefix, and the values of the table's key attributes. */
export interface Target {
  readonly table: string;
  readonly key: readonly string[];
}

/** What has yet to be written for one row. */
export interface OutboxRow {
  /** The version: counted up in this process and above any stored at its start. */
  readonly n: number;
  /** Since when the tables are behind in this, milliseconds since 1970. */
  readonly at: number;
  /** Items of the row's earlier values, which may have to be removed. */
  readonly was?: readonly Target[];
  /** Tombstones are out, of this incarnation and `n`: they are removed from this time on. */
  readonly due?: number;
  readonly incarnation?: number;
  /** Why DynamoDB will never take it; tried again when it changes. */
  readonly refused?: string;
  /** From a fill: where there is nothing to put, there is nothing to do. */
  readonly fill?: true;
}

/** The outcome for a row as it was read: its replacement, or undefined when it is done. */
export interface Outcome {
  readonly key: string;
  readonly n: number;
  readonly next: OutboxRow | undefined;
}

export interface OutboxCounts {
  /** Rows whose newest state is not in the tables. */
  readonly pending: number;
  /** Tombstones waiting to be removed. */
  readonly waiting: number;
  readonly refused: number;
}

/** Sublevels whose rows are mirrored, in the order in which a fill takes them. */
export const SOURCES = ['registry', 'httpNodes', 'apiKeys', 'records', 'notifications', 'audit'] as const;
const sources: ReadonlySet<SublevelName> = new Set(SOURCES);

/** The key of a row that refers to one item, whatever made it. */
const ITEM = '?';

export function itemKey({ table, key }: Target): string {
  return ITEM + JSON.stringify([table, ...key]);
}

/** The item of such a key; undefined for the key of a source row. */
export function itemOf(key: string): Target | undefined {
  if (!key.startsWith(ITEM)) return undefined;
  const [table = '', ...rest] = JSON.parse(key.slice(ITEM.length)) as string[]; // as `itemKey` wrote it
  return { table, key: rest };
}

export interface OutboxOptions {
  readonly now: () => number;
  /** The items of a row's old value, where its key alone does not name them; only called for `traced` sublevels. */
  readonly previousTargets: (key: string, value: Uint8Array) => readonly Target[];
  readonly traced: ReadonlySet<SublevelName>;
}

/**
 * The rows that the mirror has yet to write, one per key however often it changes. Each is written in the same batch as the row that
 * it refers to. A processed row is deleted only if its key has not changed since: both are decided in the database's own order of
 * batches.
 */
export class Outbox implements BatchTap {
  readonly #db: Database;
  readonly #options: OutboxOptions;
  #n = 0;
  #newestVersion = 0;
  #counts = { pending: 0, waiting: 0, refused: 0 };
  #oldest: number | undefined;
  readonly #refusals = new Map<string, string>();
  /** What the current batch changes here, and what a call of `enqueue` is about to. */
  #staged: Staged[] = [];
  #own: Staged[] = [];
  #onWork: () => void = () => undefined;

  /** Batches in the database when it was opened. */
  readonly openedAt: number;

  private constructor(db: Database, options: OutboxOptions) {
    this.#db = db;
    this.#options = options;
    this.openedAt = db.commits;
  }

  /** Opens it; from then on no batch passes it. */
  static async open(db: Database, options: OutboxOptions): Promise<Outbox> {
    const outbox = new Outbox(db, options);
    await outbox.reload();
    db.tap(outbox);
    return outbox;
  }

  /** Counts again, at the start and after the database was reopened. */
  async reload(): Promise<void> {
    this.#counts = { pending: 0, waiting: 0, refused: 0 };
    this.#oldest = undefined;
    this.#refusals.clear();
    this.#staged = [];
    this.#own = [];
    const damaged: string[] = [];
    for await (const [full, value] of this.#db.level.iterator(range('outbox'))) {
      const row = soundJson<OutboxRow>(full, value);
      if (row === undefined) damaged.push(innerKey(full));
      else {
        this.#n = Math.max(this.#n, row.n);
        this.#count(innerKey(full), undefined, row);
      }
    }
    this.#newestVersion = this.#n;
    if (damaged.length > 0) {
      // Whether it had been written is no longer known: it is written again.
      const again = damaged.map((key) => [key, { n: ++this.#n, at: this.#options.now() }] as const);
      await this.#db.level.batch(again.map(([key, row]) => put(key, row)));
      for (const [key, row] of again) this.#count(key, undefined, row);
      this.#newestVersion = this.#n;
    }
  }

  get counts(): OutboxCounts {
    return { ...this.#counts };
  }

  get size(): number {
    return this.#counts.pending + this.#counts.waiting + this.#counts.refused;
  }

  /** The highest version in the database. */
  get newestVersion(): number {
    return this.#newestVersion;
  }

  /** Since when the tables are behind, milliseconds since 1970; undefined when they are not. */
  get oldest(): number | undefined {
    return this.#counts.pending === 0 ? undefined : this.#oldest;
  }

  /** Rows that DynamoDB does not take, with the reason. */
  refusals(most: number): { key: string; reason: string }[] {
    return [...this.#refusals].slice(0, most).map(([key, reason]) => ({ key, reason }));
  }

  /** Called when there is something new to do; must not throw. */
  onWork(listener: () => void): void {
    this.#onWork = listener;
  }

  async before(ops: readonly BatchOp[]): Promise<readonly BatchOp[]> {
    this.#staged = this.#own;
    this.#own = [];
    const touched = new Map<string, SublevelName>();
    for (const { key } of ops) {
      const name = sublevelOf(key);
      if (name !== undefined && sources.has(name)) touched.set(key, name);
    }
    if (touched.size === 0) return [];
    const keys = [...touched.keys()];
    const held = await this.#read(keys);
    const traced = keys.filter((key) => this.#options.traced.has(touched.get(key) ?? 'meta'));
    const values = await this.#db.level.getMany(traced);
    const former = new Map(traced.map((key, i) => [key, values[i]]));
    const now = this.#options.now();
    return keys.map((key, i) => {
      const before = held[i];
      const value = former.get(key);
      const was = [
        ...(before?.was ?? []),
        ...(value === undefined ? [] : this.#options.previousTargets(key, value)),
      ];
      const after: OutboxRow = {
        n: ++this.#n,
        at: isBehind(before) ? before.at : now,
        ...(was.length === 0 ? {} : { was: distinct(was) }),
      };
      this.#staged.push({ key, before, after });
      return put(key, after);
    });
  }

  written(): void {
    const staged = this.#staged;
    this.#staged = [];
    this.#newestVersion = this.#n;
    for (const { key, before, after } of staged) this.#count(key, before, after);
    if (staged.length > 0) this.#onWork();
  }

  /**
   * Adds keys without a change of their rows, and writes `beside` in the same batch. For a fill, those that already wait stay as
   * they are; otherwise each gets a new version, including refused ones.
   */
  async enqueue(
    keys: readonly string[],
    { fill = false, beside = [] as readonly BatchOp[] } = {},
  ): Promise<void> {
    await this.#db.batch(async () => {
      const held = await this.#read(keys);
      const staged: Staged[] = [];
      const ops: BatchOp[] = [...beside];
      for (const [i, key] of keys.entries()) {
        const before = held[i];
        if (fill && before !== undefined && before.refused === undefined) continue;
        const was = before?.was;
        const after: OutboxRow = {
          n: ++this.#n,
          at: isBehind(before) ? before.at : this.#options.now(),
          ...(was === undefined ? {} : { was }),
          ...(fill ? { fill } : {}),
        };
        staged.push({ key, before, after });
        ops.push(put(key, after));
      }
      if (ops.length > 0) this.#own = staged;
      return ops;
    }, false);
  }

  /** Removes processed rows, in one batch that is not synced: what a crash restores is written twice. */
  async complete(outcomes: readonly Outcome[]): Promise<void> {
    let done: { key: string; before: OutboxRow; after: OutboxRow | undefined }[] = [];
    await this.#db.batch(async () => {
      const held = await this.#read(outcomes.map(({ key }) => key));
      done = outcomes.flatMap(({ key, n, next }, i) => {
        const before = held[i];
        return before?.n === n ? [{ key, before, after: next }] : [];
      });
      return done.map(({ key, after }) =>
        after === undefined ? { type: 'del', key: fullKey('outbox', key) } : put(key, after),
      );
    }, false);
    for (const { key, before, after } of done) this.#count(key, before, after);
  }

  /** The rows that are there, in the order of their keys. */
  async *rows(): AsyncGenerator<readonly [key: string, row: OutboxRow]> {
    const damaged: string[] = [];
    for await (const [full, value] of this.#db.level.iterator({
      ...range('outbox'),
      highWaterMarkBytes: 64 * 1024,
    })) {
      const row = soundJson<OutboxRow>(full, value);
      if (row === undefined) damaged.push(innerKey(full));
      // A batch that is in the database but not yet counted here: its writer has not updated its memory yet.
      else if (row.n <= this.#newestVersion) yield [innerKey(full), row];
    }
    if (damaged.length > 0) await this.enqueue(damaged);
  }

  async get(key: string): Promise<OutboxRow | undefined> {
    return (await this.#read([key]))[0];
  }

  /** As of a scan of all rows: since when the tables are behind. */
  noteOldest(at: number | undefined): void {
    this.#oldest = at;
  }

  async #read(keys: readonly string[]): Promise<(OutboxRow | undefined)[]> {
    const full = keys.map((key) => fullKey('outbox', key));
    const values = await this.#db.level.getMany(full);
    return values.map((value, i) => soundJson<OutboxRow>(full[i] ?? '', value));
  }

  #count(key: string, before: OutboxRow | undefined, after: OutboxRow | undefined): void {
    if (before !== undefined) this.#counts[kindOf(before)]--;
    if (after !== undefined) this.#counts[kindOf(after)]++;
    if (after?.refused === undefined) this.#refusals.delete(key);
    else this.#refusals.set(key, after.refused);
    if (isBehind(after)) this.#oldest = Math.min(this.#oldest ?? Infinity, after.at);
    else if (this.#counts.pending === 0) this.#oldest = undefined;
  }
}

interface Staged {
  readonly key: string;
  readonly before: OutboxRow | undefined;
  readonly after: OutboxRow;
}

function kindOf(row: OutboxRow): keyof OutboxCounts {
  if (row.refused !== undefined) return 'refused';
  return row.due === undefined ? 'pending' : 'waiting';
}

function isBehind(row: OutboxRow | undefined): row is OutboxRow {
  return row !== undefined && kindOf(row) === 'pending';
}

function put(key: string, row: OutboxRow): Extract<BatchOp, { type: 'put' }> {
  const full = fullKey('outbox', key);
  return putJson(full, row);
}

function distinct(targets: readonly Target[]): Target[] {
  return [...new Map(targets.map((target) => [itemKey(target), target])).values()];
}
