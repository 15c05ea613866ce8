/** Age and size of one row. */
export interface KeptRow {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly bytes: number;
}

export interface KeptLimits {
  readonly rows: number;
  readonly bytes: number;
  readonly rowsPerCaller: number;
  readonly bytesPerCaller: number;
}

interface Caller {
  readonly ids: Set<string>;
  bytes: number;
}

/** What is kept of a table in memory: age and size of its rows, oldest first, and of each caller's. */
export class KeptRows {
  readonly #rows = new Map<string, KeptRow>();
  readonly #callers = new Map<string, Caller>();
  #bytes = 0;

  get(id: string): KeptRow | undefined {
    return this.#rows.get(id);
  }

  add(id: string, row: KeptRow): void {
    this.#rows.set(id, row);
    this.#bytes += row.bytes;
    const name = callerOf(id);
    const caller = this.#callers.get(name) ?? { ids: new Set<string>(), bytes: 0 };
    caller.ids.add(id);
    caller.bytes += row.bytes;
    this.#callers.set(name, caller);
  }

  remove(id: string): void {
    const row = this.#rows.get(id);
    if (row === undefined) return;
    this.#bytes -= row.bytes;
    this.#rows.delete(id);
    const name = callerOf(id);
    const caller = this.#callers.get(name);
    if (caller === undefined) return;
    caller.ids.delete(id);
    caller.bytes -= row.bytes;
    if (caller.ids.size === 0) this.#callers.delete(name);
  }

  /**
   * Removes rows that are too old or too many, this row's caller's first, except those that must be kept. Returns what was removed.
   * `since`: how old a row may be, in milliseconds since 1970.
   */
  evict(by: string, since: number, limits: KeptLimits, stays: (id: string) => boolean): string[] {
    const gone: string[] = [];
    const evict = (id: string): void => {
      if (stays(id)) return;
      this.remove(id);
      gone.push(id);
    };
    const own = this.#callers.get(callerOf(by));
    for (const id of own?.ids ?? []) {
      if (own === undefined) break;
      if (own.ids.size <= limits.rowsPerCaller && own.bytes <= limits.bytesPerCaller) break;
      evict(id);
    }
    for (const [id, { at }] of this.#rows) {
      if (this.#rows.size <= limits.rows && this.#bytes <= limits.bytes && at > since) break;
      evict(id);
    }
    return gone;
  }
}

/** Ids begin with that of the caller: `caller.hash`. */
function callerOf(id: string): string {
  return id.slice(0, id.indexOf('.') + 1);
}
