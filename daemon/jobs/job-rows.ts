import type { JobTable } from '../../storage/job-table.ts';
import type { JobRow } from './job-row.ts';

/** How many jobs that have ended are kept; the oldest go. */
export interface KeptJobs {
  readonly completed: number;
  readonly dead: number;
}

/** All jobs in memory, as they are on disk: by id, by state and by key. */
export class JobRows {
  readonly #table: JobTable<JobRow>;
  readonly #kept: KeptJobs;
  readonly #byId = new Map<string, JobRow>();
  /** Ids by state; the ended ones in the order of their end. */
  readonly #ids: Record<JobRow['state'], Set<string>> = {
    waiting: new Set(),
    active: new Set(),
    completed: new Set(),
    dead: new Set(),
  };
  /** Of the live ones: no two have the same key. */
  readonly #byKey = new Map<string, string>();

  constructor(table: JobTable<JobRow>, kept: KeptJobs) {
    this.#table = table;
    this.#kept = kept;
  }

  /** Reads what is on disk. Damaged rows are left out and named. */
  async load(onDamaged: (key: string) => void): Promise<void> {
    const rows = await this.#table.load(onDamaged);
    for (const row of rows.toSorted((a, b) => (a.endedAt ?? 0) - (b.endedAt ?? 0))) this.#put(row);
  }

  get(id: string): JobRow | undefined {
    return this.#byId.get(id);
  }

  /** The waiting or active job of a key. */
  live(key: string): JobRow | undefined {
    return this.#byId.get(this.#byKey.get(key) ?? '');
  }

  count(state: JobRow['state']): number {
    return this.#ids[state].size;
  }

  *in(state: JobRow['state']): Generator<JobRow> {
    for (const id of this.#ids[state]) {
      const row = this.#byId.get(id);
      if (row !== undefined) yield row;
    }
  }

  all(): IterableIterator<JobRow> {
    return this.#byId.values();
  }

  /** Changes a job in memory and on disk; a write that fails leaves it as it was, and throws. */
  async save(row: JobRow, sync: boolean): Promise<JobRow> {
    const before = this.#byId.get(row.id);
    this.#put(row);
    try {
      await this.#table.save([row], this.#excess(), sync);
    } catch (error) {
      if (this.#byId.get(row.id) === row) {
        if (before === undefined) this.#drop(row.id);
        else this.#put(before);
      }
      throw error;
    }
    return row;
  }

  #put(row: JobRow): void {
    const before = this.#byId.get(row.id);
    if (before !== undefined) this.#ids[before.state].delete(row.id);
    this.#byId.set(row.id, row);
    this.#ids[row.state].add(row.id);
    if (row.state === 'waiting' || row.state === 'active') this.#byKey.set(row.key, row.id);
    else if (this.#byKey.get(row.key) === row.id) this.#byKey.delete(row.key);
  }

  #drop(id: string): void {
    const row = this.#byId.get(id);
    if (row === undefined) return;
    this.#byId.delete(id);
    this.#ids[row.state].delete(id);
    if (this.#byKey.get(row.key) === id) this.#byKey.delete(row.key);
  }

  /** Removes the oldest ended jobs, beyond what is kept. */
  #excess(): string[] {
    const out: string[] = [];
    for (const state of ['completed', 'dead'] as const)
      for (const id of this.#ids[state]) {
        if (this.#ids[state].size <= this.#kept[state]) break;
        this.#drop(id);
        out.push(id);
      }
    return out;
  }
}
