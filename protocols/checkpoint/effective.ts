/** What decides between checkpoints of one author. */
export interface CheckpointLink {
  readonly id: string;
  readonly gen: number;
  readonly prev: readonly string[];
}

/** The checkpoint in force; `contested` where another stands beside it that none has taken the place of. */
export interface Effective<T extends CheckpointLink> {
  readonly checkpoint: T;
  readonly contested: boolean;
}

/**
 * Of the checkpoints held of one author the one in force: those that another one leads to over `prev` are left out, then the highest `gen`
 * decides, then the lowest id. A pure function of the set: in whatever order they came. Linear in checkpoints and links.
 */
export function effectiveCheckpoint<T extends CheckpointLink>(held: Iterable<T>): Effective<T> | undefined {
  const byId = new Map<string, T>();
  for (const each of held) byId.set(each.id, each);
  // A hash of what names it cannot be named in it, so nothing leads back to itself, and whoever is named is left out for good.
  const replaced = new Set<string>();
  for (const { prev } of byId.values()) for (const id of prev) replaced.add(id);
  let [best, left]: [T | undefined, number] = [undefined, 0];
  for (const each of byId.values()) {
    if (replaced.has(each.id)) continue;
    left++;
    if (best === undefined || isBefore(each, best)) best = each;
  }
  return best === undefined ? undefined : { checkpoint: best, contested: left > 1 };
}

function isBefore(a: CheckpointLink, b: CheckpointLink): boolean {
  return a.gen === b.gen ? a.id < b.id : a.gen > b.gen;
}
