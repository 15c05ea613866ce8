/** Something that its author can correct: the later one names the earlier. */
export interface Correctable {
  readonly id: string;
  /** The id of the one that this corrects; null without. */
  readonly supersedes: string | null;
}

/** Why an item is not current, and which one is in its place. */
export interface Displaced {
  readonly verdict: 'superseded' | 'duplicate';
  readonly by: string;
}

/**
 * Which of several items on the same matter are current: at each `place`, of those that no other one there corrects, the one with
 * the lowest id. Returns the others by id, with what displaces them. `items` ascend by id.
 */
export function* displaced<T extends Correctable>(
  items: readonly T[],
  place: (item: T) => string,
): Generator<void, ReadonlyMap<string, Displaced>> {
  const byId = new Map(items.map((item) => [item.id, item]));
  const found = new Map<string, Displaced>();
  for (const item of items) {
    yield;
    const older = item.supersedes === null ? undefined : byId.get(item.supersedes);
    if (older === undefined || older === item || found.has(older.id) || place(older) !== place(item))
      continue;
    found.set(older.id, { verdict: 'superseded', by: item.id });
  }
  const first = new Map<string, string>();
  for (const item of items) {
    yield;
    if (found.has(item.id)) continue;
    const at = place(item);
    const by = first.get(at);
    if (by === undefined) first.set(at, item.id);
    else found.set(item.id, { verdict: 'duplicate', by });
  }
  return found;
}
