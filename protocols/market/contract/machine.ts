import type { ErrorCode } from '../../error-codes.ts';
import type { Contract, ContractState, History } from './model.ts';
import type { Transition } from './statement.ts';
import { proposals, type Summary } from './summary.ts';
import { quantityOf } from './terms.ts';
import { ascending, applyStatements } from './apply-statements.ts';

/**
 * The contract machine: a pure function of the set of verified statements, so that nodes which hold the same set agree.
 *
 * A statement counts when it is of this contract and network, by one of its parties, everything in its `before` counts
 * (else it waits), and its kind may follow what it names. The latter is evaluated on its own ancestors alone: what others
 * sign at the same time never gets it rejected, so a verdict never changes as more arrives.
 *   propose  while its past is `draft` or `proposed`, with complete terms; the supplier's, where the contract takes from stock, has
 *            `validUntil`.
 *   accept   the same, and names a proposal of the other party in its past, neither expired there nor over at its own time.
 *   expire   the supplier, for its own proposal with `validUntil` that its past has not accepted, at or after that time, or
 *            sooner when the other party has cancelled before it.
 *   settle   its past is `accepted`, and it names the side of its own party.
 *   cancel   its past is neither settled, disputed nor resolved, and does not hold both parties' cancellation.
 *   resolve  its past is `disputed`; with several agreements it names which, unless it cancels.
 *
 * Concurrent steps. An accept stands against a concurrent cancel, which is late. It does not stand against a concurrent
 * expire: an offer with `validUntil` is open until its maker closes it, and what was closed may have been sold. But a
 * supplier that signs anything after the accept and not after its own expire has seen the accept: then the accept stands.
 * How a round of settling, cancelling and resolving ends is in rounds.ts; what may follow what, as code, in step-rules.ts.
 */

/** The result of a set of statements; lists are sorted. */
export interface Verdict {
  readonly state: ContractState;
  /** The one standing agreement, by hashes. */
  readonly agreement?: { readonly propose: string; readonly accept: string };
  readonly settledBy: readonly string[];
  readonly cancelledBy: readonly string[];
  /** Signed, valid, and overtaken. */
  readonly late: readonly string[];
  readonly rejected: readonly (readonly [hash: string, code: ErrorCode])[];
  readonly pending: readonly (readonly [hash: string, missing: readonly string[]])[];
  /** Applied statements that nothing follows: the next statement's `before`. */
  readonly heads: readonly string[];
  /** One `settle` of each party, when settled by both. */
  readonly receipt?: readonly [string, string];
  /** Proposals the supplier is bound by: holds not yet released and agreements not cancelled. */
  readonly claims: readonly { readonly proposal: string; readonly quantity: number }[];
  /** Everything that counts, sorted by hash. */
  readonly applied: readonly string[];
}

/** What the supplier is still bound by. Only what no single signature of the buyer can restore is left out. */
function claimsOf({ all, contract }: History, end: Summary): Verdict['claims'] {
  if (end.state === 'cancelled' && end.cancelledBy.length === 2) return [];
  const agreed = proposals(end.standing);
  const expired = proposals(all.filter((x) => x.t.kind === 'expire'));
  return all.flatMap(({ t }) => {
    if (t.kind !== 'propose') return [];
    const bound = agreed.has(t.hash)
      ? !end.released.has(t.hash)
      : t.party === contract.supplier && !expired.has(t.hash);
    return bound ? [{ proposal: t.hash, quantity: quantityOf(t.terms) ?? 0 }] : [];
  });
}

/** Evaluates a set of verified statements, in any order, repeated or not. Never throws. */
export function evaluateContract(contract: Contract, statements: Iterable<Transition>): Verdict {
  return evaluateStatements(contract, statements).verdict;
}

/** The same, with the proposals that have a standing acceptance, sorted: also those that are in dispute with one another. */
export function evaluateStatements(
  contract: Contract,
  statements: Iterable<Transition>,
): { readonly verdict: Verdict; readonly agreed: readonly string[] } {
  const { history, end, rejected, pending } = applyStatements(contract, statements);
  const { state, settledBy, cancelledBy, late, agreement, receipt } = end;
  const applied = new Set(history.all.map((s) => s.t.hash));
  const verdict: Verdict = {
    state,
    ...(agreement === undefined ? {} : { agreement }),
    settledBy,
    cancelledBy,
    late,
    rejected: [...rejected].sort((a, b) => ascending(a[0], b[0])),
    pending: pending.map((t) => [t.hash, t.before.filter((hash) => !applied.has(hash))] as const),
    heads: history.all.filter((s) => s.followers === 0n).map((s) => s.t.hash),
    ...(receipt === undefined ? {} : { receipt }),
    claims: claimsOf(history, end),
    applied: [...applied],
  };
  return { verdict, agreed: end.agreed };
}
