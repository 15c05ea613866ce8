import type { PeerId } from '../wire/identity.ts';
import type { Cut, Line, LineKey } from './line.ts';

/** A key as one of a node's. */
export interface RootedKey extends LineKey {
  /** The node: the peer id of its first key. */
  readonly root: PeerId;
  /** Whether it speaks for the node now: connections, requests and new entries are its alone. */
  readonly speaks: boolean;
}

/**
 * Which node each key is of. A first key is its own node's, whatever others say of it; a later key that two nodes name is neither's: both
 * have its signature, so its holder has brought that about.
 */
export function rootsOf(lines: Iterable<Line>): ReadonlyMap<PeerId, RootedKey> {
  const roots = new Map<PeerId, RootedKey>();
  const [firsts, twice] = [new Set<PeerId>(), new Set<PeerId>()];
  const all = [...lines];
  for (const { node } of all) firsts.add(node);
  for (const { node, keys, newest } of all) {
    for (const each of keys) {
      if (each.key !== node && firsts.has(each.key)) continue;
      if (roots.has(each.key)) twice.add(each.key);
      roots.set(each.key, { ...each, root: node, speaks: each.key === newest });
    }
  }
  for (const key of twice) roots.delete(key);
  return roots;
}

/**
 * Whether an entry is within every cut of its key. `covered` says how far a cut reaches in an epoch, epochs that its items cover by `after`
 * included (section 3.9), and 0 where it does not.
 */
export function isWithin(
  cuts: readonly Cut[],
  { epoch, seq }: { readonly epoch: string; readonly seq: number },
  covered: (cut: Cut, epoch: string) => number,
): boolean {
  return cuts.every((cut) => seq <= covered(cut, epoch));
}
