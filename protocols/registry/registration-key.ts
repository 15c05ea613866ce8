import { AgrinetError } from '../errors.ts';
import type { NodeStatus } from './node-status.ts';

/**
 * The key that a registration comes with. `id` is the same for all keys that rotations made of it, so that no rotation gives
 * back what was used; a bearer token counts as one key of its subject.
 */
export interface RegistrationKey {
  readonly id: string;
  /** How many nodes it is for. */
  readonly uses: number;
}

/** Keys that one node has registered with: the operator issued each, so this many do not occur in practice. */
const KEYS_PER_NODE = 64;

/** A node with the keys it registered with; none when the operator registered it. */
interface Holder {
  readonly status: NodeStatus;
  readonly keys?: readonly string[];
}

/**
 * Throws `key-used` when a node may not register with a key: it has been used by as many others as it is for, or one of them is
 * revoked, so that a revoked node does not return under another identity.
 */
export function checkKey(
  nodes: Iterable<readonly [string, Holder]>,
  self: string,
  key: RegistrationKey,
): void {
  let others = 0;
  for (const [id, { status, keys = [] }] of nodes) {
    if (id === self || !keys.includes(key.id)) continue;
    if (status === 'revoked') throw used('a node that came with this key was revoked');
    others++;
  }
  if (others >= key.uses)
    throw used(
      key.uses === 1
        ? 'this registration key belongs to another node'
        : `this registration key has registered the ${key.uses} nodes it was for`,
    );
}

/** The keys of a node after it registered with another. Throws `key-used` for more than anybody needs. */
export function withKeys(before: readonly string[] = [], more: readonly string[]): readonly string[] {
  const keys = [...new Set([...before, ...more])];
  if (keys.length > KEYS_PER_NODE) throw used(`this node has registered with ${KEYS_PER_NODE} keys already`);
  return keys;
}

function used(what: string): AgrinetError {
  return new AgrinetError(
    'key-used',
    `${what}; the operator here issues one for each node: agrinet keys issue --scopes register`,
  );
}
