import { SLICE_MS } from './turn.ts';

/**
 * Deficit round robin (Shreedhar and Varghese 1995) by CPU: authors take turns, each may use one more slice in every round, and one
 * that has used more is skipped until it has made up for it. So an author that floods delays only itself. Pure.
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
    // An author with nothing left to do keeps no credit; its debt is cleared too, which is less than one uninterrupted step.
    if (known.items.length === 0) this.#authors.delete(item.author);
  }

  /** The items for which `is` holds. */
  find(is: (item: T) => boolean): T[] {
    return [...this.#authors.values()].flatMap(({ items }) => items.filter(is));
  }

  /** The cost of an author's item, in milliseconds of CPU. */
  charge(author: string, ms: number): void {
    const known = this.#authors.get(author);
    if (known !== undefined) known.credit -= ms;
  }

  /** The next item; it stays in the queue. `choose` says which of an author's items can continue now, if any. */
  next(choose: (items: readonly T[]) => T | undefined): T | undefined {
    const ready: { readonly author: string; readonly item: T }[] = [];
    for (const [author, { items }] of this.#authors) {
      const item = choose(items);
      if (item !== undefined) ready.push({ author, item });
    }
    // Rounds until an author has credit: none, or as many slices as the smallest debt has.
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
