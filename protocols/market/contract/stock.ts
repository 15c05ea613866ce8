import type { Verdict } from './machine.ts';

/** What one contract takes from a listing, from the view of the supplier's node. */
export interface Grant {
  readonly contract: string;
  readonly quantity: number;
}

/**
 * A contract's grant: the largest quantity that may still result from it, because at most one of its proposals is ever delivered. A
 * hold counts until the supplier has signed its `expire`, not merely until its time is over: before that, a buyer's acceptance may
 * still be on its way and would stand.
 */
export function grantOf(contract: string, verdict: Verdict): Grant {
  return { contract, quantity: Math.max(0, ...verdict.claims.map((claim) => claim.quantity)) };
}

/** The sum of all grants, each contract once. */
export function granted(grants: readonly Grant[]): number {
  const each = new Map<string, number>();
  for (const { contract, quantity } of grants)
    each.set(contract, Math.max(quantity, each.get(contract) ?? 0));
  return [...each.values()].reduce((sum, quantity) => sum + quantity, 0);
}

/** The part of a listing that can still be granted; never below 0. */
export function available(quantity: number, grants: readonly Grant[]): number {
  return Math.max(0, quantity - granted(grants));
}

/** True when this contract may take that much: what it holds already is its own, so a repetition grants nothing. */
export function mayGrant(quantity: number, grants: readonly Grant[], wanted: Grant): boolean {
  return granted([...grants, wanted]) <= quantity;
}
