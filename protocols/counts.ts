/** How many there are of each; what has come to none is forgotten. */
export class Counts<K> {
  readonly #counts = new Map<K, number>();

  /** Of how many there are any. */
  get size(): number {
    return this.#counts.size;
  }

  of(key: K): number {
    return this.#counts.get(key) ?? 0;
  }

  add(key: K, by = 1): void {
    const count = this.of(key) + by;
    if (count === 0) this.#counts.delete(key);
    else this.#counts.set(key, count);
  }

  keys(): IterableIterator<K> {
    return this.#counts.keys();
  }

  clear(): void {
    this.#counts.clear();
  }
}
