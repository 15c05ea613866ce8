import type { RecordKey } from '../protocols/wire/ids.ts';
import type { Level, Rows } from './level.ts';

/** Keys of one index value, or of a table: record keys behind `start`, those that begin with `within`. */
export interface KeySource {
  readonly start: string;
  readonly within: string;
}

/** Keys read at once. */
const CHUNK = 128;

/** A place among the record keys of a source, which only goes forward. */
export class IndexCursor {
  readonly #level: Level;
  readonly #source: KeySource;
  #rows: Rows<string> | undefined;
  #chunk: readonly string[] = [];
  #at = 0;
  /** The key that it has gone past last. */
  passed: string | undefined;

  /** Stands before the first key, or before the first one behind `passed`. */
  constructor(level: Level, source: KeySource, passed: string | undefined) {
    this.#level = level;
    this.#source = source;
    this.passed = passed;
  }

  /** The key at its position; undefined at the end, and where `goTo` has to read further. */
  get key(): RecordKey | undefined {
    return this.#chunk[this.#at]?.slice(this.#source.start.length) as RecordKey | undefined;
  }

  /** Goes on to the first key that is not below `key`. */
  async goTo(key: string): Promise<void> {
    const { start } = this.#source;
    const full = start + key;
    this.#skip(full);
    for (let chunks = 0; this.#at >= this.#chunk.length; chunks++) {
      // A distant key is looked up, a near one is reached by reading on.
      if (chunks > 1) await this.close();
      this.#rows ??= this.#open(full);
      this.#chunk = await this.#rows.nextv(CHUNK);
      this.#at = 0;
      if (this.#chunk.length === 0) return;
      this.#skip(full);
    }
  }

  #skip(full: string): void {
    const before = this.#at;
    while (this.#at < this.#chunk.length && (this.#chunk[this.#at] ?? '') < full) this.#at++;
    if (this.#at > before) this.passed = this.#chunk[this.#at - 1]?.slice(this.#source.start.length);
  }

  #open(full: string): Rows<string> {
    const { start, within } = this.#source;
    const first = start + within;
    const lt = `${first}\u{10ffff}`;
    const behind = this.passed === undefined ? '' : start + this.passed;
    const gte = full > first ? full : first;
    return this.#level.keys(behind >= gte ? { gt: behind, lt } : { gte, lt });
  }

  async close(): Promise<void> {
    await this.#rows?.close();
    this.#rows = undefined;
  }
}
