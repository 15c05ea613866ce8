/**
 * Counts by name in plain integers, with so many names and no more: whatever comes beyond is counted as `other`, so that nobody
 * makes a series by inventing a name.
 */
export interface Tally {
  add(name: string, count?: number): void;
  entries(): IterableIterator<[string, number]>;
}

/** `known` names only, or the first `most` that come. */
export function createTally(
  bound: { readonly known: ReadonlySet<string> } | { readonly most: number },
): Tally {
  const counts = new Map<string, number>();
  const fits = (name: string): boolean =>
    counts.has(name) || ('known' in bound ? bound.known.has(name) : counts.size < bound.most);
  return {
    add(name, count = 1) {
      const place = fits(name) ? name : 'other';
      counts.set(place, (counts.get(place) ?? 0) + count);
    },
    entries: () => counts.entries(),
  };
}
