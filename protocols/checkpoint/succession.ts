import { type CheckpointLink, effectiveCheckpoint } from './effective.ts';

/** What comes next of an author's checkpoints: one; nothing; or it cannot be told, because what it is upon is neither held nor in effect. */
export type NextCheckpoint<T> =
  | { readonly kind: 'next'; readonly checkpoint: T }
  | { readonly kind: 'none' | 'contested' | 'elsewhere' };

/**
 * Each checkpoint is upon another, from whose floors its own follow: of those that it takes the place of the one that was in force. So they
 * take effect one after another, in the order of this way, and end where every node ends that holds the same. `now`: the one in effect
 * here. `joins`: by whoever is to make the one that joins contested ones, and that is upon the first of them.
 */
export function nextCheckpoint<T extends CheckpointLink>(
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
  for (let at: T | undefined = effective.checkpoint; at !== undefined;) {
    if (at.id === now) return next === undefined ? { kind: 'none' } : { kind: 'next', checkpoint: next };
    next = at;
    const before = baseOf(at, byId);
    if (before === undefined) break;
    at = byId.get(before);
    if (at === undefined) return { kind: 'elsewhere' };
  }
  if (now !== undefined || next === undefined) return { kind: 'elsewhere' };
  return { kind: 'next', checkpoint: next };
}

/** The checkpoint that one is upon; undefined for one that is upon none. One that is not held might be it. */
function baseOf<T extends CheckpointLink>({ prev }: T, held: ReadonlyMap<string, T>): string | undefined {
  const links = prev.map((id): CheckpointLink => held.get(id) ?? { id, gen: Infinity, prev: [] });
  return effectiveCheckpoint(links.map(({ id, gen }) => ({ id, gen, prev: [] })))?.checkpoint.id;
}
