import { type CheckpointLink, effectiveCheckpoint } from './effective.ts';

/** A checkpoint, and the one above whose floors its own were evaluated. */
export interface UponLink extends CheckpointLink {
  readonly upon: string | undefined;
}

/** What comes next of an author's checkpoints: one; nothing; or it cannot be told, because what it is upon is neither held nor in effect. */
export type NextCheckpoint<T> =
  | { readonly kind: 'next'; readonly checkpoint: T }
  | { readonly kind: 'none' | 'contested' | 'elsewhere' };

/**
 * Each checkpoint says which other one it is upon, from whose floors its own follow. So they take effect one after another, in the order
 * of this way, and end where every node ends that holds the same. `now`: the one in effect here. `joins`: by whoever is to make the one
 * that joins contested ones.
 */
export function nextCheckpoint<T extends UponLink>(
  held: Iterable<T>,
  now: string | undefined,
  { joins = false }: { readonly joins?: boolean } = {},
): NextCheckpoint<T> {
  const byId = new Map<string, T>();
  for (const each of held) byId.set(each.id, each);
  const effective = effectiveCheckpoint(byId.values());
  if (effective === undefined) return { kind: 'none' };
  if (effective.contested && !joins) return { kind: 'contested' };
  let next: T | undefined;
  // A hash of what names it cannot be named in it, so the way ends.
  for (let at: T | undefined = effective.checkpoint; at !== undefined;) {
    if (at.id === now) return next === undefined ? { kind: 'none' } : { kind: 'next', checkpoint: next };
    next = at;
    if (at.upon === undefined) break;
    // It may be in effect here and not be held.
    if (at.upon === now) return { kind: 'next', checkpoint: next };
    at = byId.get(at.upon);
    if (at === undefined) return { kind: 'elsewhere' };
  }
  if (now !== undefined || next === undefined) return { kind: 'elsewhere' };
  return { kind: 'next', checkpoint: next };
}
