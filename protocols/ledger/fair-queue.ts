import { SLICE_MS } from './turn.ts';

/**
 * Deficit round robin (Shreedhar and Varghese 1995) by CPU: authors take turns, each has a slice more to use in every round, and who
 * has used more than that is passed over until it is made up. So an author that floods waits behind itself alone. Pure.
 */
export class FairQueue<T extends { readonly author: string }> {
  /** In the order of their turns. */
  readonly #authors = new Map<string, { credit: number; readonly items: T[] }>();

  get size(): number {
    return this.#authors.size;
  }

  add(item: T): void {
    const known = this.#authors.get(item.author);
    if (known === undefined) this.#authors.set(item.author, { credit: SLICE_MS, items: [item] });
    else known.items.push(item);
  }

  remove(item: T): void {
    const known = this.#authors.get(item.author);
    const at = known?.items.indexOf(item) ?? -1;
    if (known === undefined || at < 0) return;
    known.items.splice(at, 1);
    // Who has nothing more to do keeps no credit; a debt goes too, it is less than one uninterrupted step.
    if (known.items.length === 0) this.#authors.delete(item.author);
  }

  /** What an author's item has cost, milliseconds of CPU. */
  charge(author: string, ms: number): void {
    const known = this.#authors.get(author);
    if (known !== undefined) known.credit -= ms;
  }

  /** The next item; it stays in the queue. `choose` says which of an author's items can go on now, if any. */
  next(choose: (items: readonly T[]) => T | undefined): T | undefined {
    const ready: { readonly author: string; readonly item: T }[] = [];
    for (const [author, { items }] of this.#authors) {
      const item = choose(items);
      if (item !== undefined) ready.push({ author, item });
    }
    // Rounds until somebody has credit: at once, or in as many as the largest debt has slices.
    while (ready.length > 0) {
      for (const { author, item } of ready) {
        const known = this.#authors.get(author);
        if (known === undefined) continue;
        if (known.credit > 0) return item;
        known.credit += SLICE_MS;
        this.#authors.delete(author);
        this.#authors.set(author, known);
      }
    }
    return undefined;
  }
}
