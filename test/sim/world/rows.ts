import type { BatchOp } from '../../../storage/keyspace.ts';

export interface RangeOptions {
  readonly gt?: string;
  readonly gte?: string;
  readonly lt?: string;
  readonly lte?: string;
  readonly reverse?: boolean;
  readonly limit?: number;
}

/** Rows in the order of their keys, which are ASCII: there the order of code units is that of bytes, which LevelDB has. */
export class Rows {
  readonly #keys: string[];
  readonly #values: Map<string, Uint8Array>;

  constructor(from?: Rows) {
    this.#keys = from === undefined ? [] : [...from.#keys];
    this.#values = from === undefined ? new Map<string, Uint8Array>() : new Map(from.#values);
  }

  get size(): number {
    return this.#keys.length;
  }

  get(key: string): Uint8Array | undefined {
    return this.#values.get(key);
  }

  /** All of a batch. What is written is a copy: its maker may go on with its own bytes. */
  apply(ops: readonly BatchOp[]): void {
    for (const op of ops) {
      const isThere = this.#values.has(op.key);
      if (op.type === 'put') {
        if (!isThere) this.#keys.splice(this.#place(op.key), 0, op.key);
        this.#values.set(op.key, op.value);
      } else if (isThere) {
        this.#keys.splice(this.#place(op.key), 1);
        this.#values.delete(op.key);
      }
    }
  }

  /** The keys of a range as they stand now. */
  keys({ gt, gte, lt, lte, reverse = false, limit = -1 }: RangeOptions = {}): string[] {
    let from = gte === undefined ? 0 : this.#place(gte);
    if (gt !== undefined) {
      const place = this.#place(gt);
      from = Math.max(from, this.#keys[place] === gt ? place + 1 : place);
    }
    let to = lt === undefined ? this.#keys.length : this.#place(lt);
    if (lte !== undefined) {
      const place = this.#place(lte);
      to = Math.min(to, this.#keys[place] === lte ? place + 1 : place);
    }
    if (to <= from) return [];
    if (limit < 0) return reverse ? this.#keys.slice(from, to).reverse() : this.#keys.slice(from, to);
    return reverse
      ? this.#keys.slice(Math.max(from, to - limit), to).reverse()
      : this.#keys.slice(from, Math.min(to, from + limit));
  }

  /** The first place whose key is not below this one. */
  #place(key: string): number {
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#keys[middle] ?? '') < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
