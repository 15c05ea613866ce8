import type { History, Step } from './model.ts';
import { closeRounds, type RoundEnd } from './rounds.ts';
import type { Transition } from './statement.ts';

/** Where a history leaves the contract, and the accepts that no expire has overtaken. */
export interface Summary extends RoundEnd {
  readonly standing: readonly Step[];
}

/**
 * Accepts that no concurrent expire of their proposal has overtaken. An expire overtakes unless the supplier has signed,
 * without having expired, something that follows the accept.
 */
function standingOf({ all, contract, mask }: History, accepts: readonly Step[]): Step[] {
  const expires = all.filter((x) => x.t.kind === 'expire');
  if (expires.length === 0) return [...accepts];
  const bySupplier = all.reduce((bits, s) => (s.t.party === contract.supplier ? bits | s.bit : bits), 0n);
  return accepts.filter(({ t, followers }) => {
    const wentOn = followers & bySupplier & mask;
    return expires.every((x) => !sameProposal(x.t, t) || (wentOn & ~(x.bit | x.followers)) !== 0n);
  });
}

function sameProposal(a: Transition, b: Transition): boolean {
  return 'proposal' in a && 'proposal' in b && a.proposal === b.proposal;
}

/** Sums up statements with all their ancestors. */
export function summarize(history: History): Summary {
  const accepts = history.all.filter((s) => s.t.kind === 'accept');
  const standing = standingOf(history, accepts);
  return { standing, ...closeRounds({ history, accepts, standing }) };
}

/** The proposals that steps name. */
export function proposals(steps: readonly Step[]): Set<string> {
  return new Set(steps.flatMap(({ t }) => ('proposal' in t && t.proposal !== undefined ? [t.proposal] : [])));
}
