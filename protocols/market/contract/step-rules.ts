import type { ErrorCode } from '../../error-codes.ts';
import type { History } from './model.ts';
import type { Transition } from './statement.ts';
import { proposals, type Summary } from './summary.ts';
import { roleOf } from '../roles.ts';
import { missingTerms } from './terms.ts';

/** Why a step may not follow its own past, or undefined when it may; the rules are in machine.ts. */
export function stepProblem(history: History, now: Summary, t: Transition): ErrorCode | undefined {
  const { contract } = history;
  const all = history.all.map((s) => s.t);
  const open = now.state === 'draft' || now.state === 'proposed';
  const proposal =
    'proposal' in t ? all.find((one) => one.kind === 'propose' && one.hash === t.proposal) : undefined;
  switch (t.kind) {
    case 'propose':
      if (!open) return 'contract-state';
      if (missingTerms(t.terms).length > 0) return 'terms-incomplete';
      return contract.stock && t.party === contract.supplier && t.validUntil === undefined
        ? 'hold-endless'
        : undefined;
    case 'accept':
      if (proposal?.kind !== 'propose') return 'proposal-unknown';
      if (proposal.party === t.party) return 'accept-own';
      if (!open) return 'contract-state';
      if (all.some((x) => x.kind === 'expire' && x.proposal === t.proposal)) return 'proposal-expired';
      return t.at > (proposal.validUntil ?? Infinity) ? 'proposal-expired' : undefined;
    case 'expire':
      if (proposal?.kind !== 'propose' || proposal.validUntil === undefined) return 'proposal-unknown';
      if (t.party !== contract.supplier || proposal.party !== t.party) return 'not-supplier';
      if (all.some((one) => one.kind === 'accept' && one.proposal === t.proposal)) return 'contract-state';
      return t.at >= proposal.validUntil || all.some((one) => one.kind === 'cancel' && one.party !== t.party)
        ? undefined
        : 'hold-not-over';
    case 'settle':
      if (now.state !== 'accepted') return 'contract-state';
      return t.role === roleOf(t.party, contract) ? undefined : 'settle-role';
    case 'cancel':
      return now.state === 'settled' ||
        now.state === 'disputed' ||
        now.resolved ||
        now.cancelledBy.length === 2
        ? 'contract-state'
        : undefined;
    case 'resolve': {
      if (now.state !== 'disputed') return 'contract-state';
      const agreed = proposals(now.standing);
      if (t.proposal !== undefined) return agreed.has(t.proposal) ? undefined : 'proposal-unknown';
      return agreed.size > 1 && t.outcome !== 'cancelled' ? 'proposal-unnamed' : undefined;
    }
  }
}
