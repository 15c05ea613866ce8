import type { RecordState } from '../../open-dialog/record.ts';
import { COLLECTIONS, fieldRule, valueProblem } from '../../open-dialog/schema.ts';
import type { Scalar } from '../../open-dialog/change.ts';
import { NOT_TERMS } from './fields.ts';
import type { HeldContract, SignedStatement } from './types.ts';

/** Where a contract's document differs from what was agreed, by field; null for what it no longer contains. */
export type Edits = Readonly<Record<string, Scalar>>;

/** A record as it is shown, and how its document differs. */
export interface ShownContract {
  readonly state: RecordState;
  readonly laterEdits?: Edits;
}

/**
 * A contract's record as every reader sees it. The document is a draft that either node may write at any time, including a node that
 * ignores the rules; what binds is what both have signed. So from the first standing acceptance on, the fields are exactly those of
 * the agreed proposal, whether the contract is then settled, cancelled or disputed, and the document's other values are shown
 * separately, as edits that nobody has agreed to. Where several agreements are in dispute, a field is shown when all of them have
 * the same value.
 */
export function shownContract(held: HeldContract): ShownContract {
  const { state } = held;
  const terms = agreedTerms(held);
  if (terms === undefined) return { state: boundState(held) };
  const edits: Record<string, Scalar> = {};
  for (const field of new Set([...Object.keys(state.view), ...Object.keys(terms)])) {
    const now = Object.hasOwn(state.view, field) ? (state.view[field] ?? null) : null;
    if (!NOT_TERMS.has(field) && now !== (terms[field] ?? null)) edits[field] = now;
  }
  // A conflict is between drafts: neither of its values is a term any more.
  const shown = { ...state, view: terms, conflicts: {} };
  return Object.keys(edits).length === 0 ? { state: shown } : { state: shown, laterEdits: edits };
}

/** The fields of a contract that show what was agreed. */
export type Agreed = Pick<HeldContract, 'agreed' | 'binding'> & {
  readonly statements: readonly Pick<SignedStatement, 'transition'>[];
};

/** The fields that all standing agreements give the same value; undefined while nothing is agreed. */
export function agreedTerms({ agreed, statements, binding }: Agreed): RecordState['view'] | undefined {
  if (agreed.length === 0) return undefined;
  const proposals = statements.flatMap(({ transition: t }) =>
    t.kind === 'propose' && agreed.includes(t.hash) ? [new Map(Object.entries(t.terms))] : [],
  );
  const terms = Object.create(null) as Record<string, Scalar>;
  for (const [field, value] of proposals[0] ?? [])
    if (isTerm(field, value) && proposals.every((each) => each.get(field) === value)) terms[field] = value;
  // The contract's id names it, stock is taken from it, and so no text may name another.
  if (binding.listing !== '') terms['listingId'] = binding.listing;
  return terms;
}

/** The document, with the listing that the contract's id is bound to, whatever is written over it. */
function boundState({ state, binding: { listing } }: HeldContract): RecordState {
  if (listing === '' || (state.view['listingId'] === listing && !Object.hasOwn(state.conflicts, 'listingId')))
    return state;
  const view = Object.assign(Object.create(null) as Record<string, Scalar>, state.view, {
    listingId: listing,
  });
  const { listingId: _, ...conflicts } = state.conflicts;
  return { ...state, view, conflicts };
}

/** Other names may be signed as well; they are in the agreement but cannot pass for a field of the contract itself. */
function isTerm(field: string, value: Scalar): boolean {
  const rule = COLLECTIONS['contracts'] && fieldRule(COLLECTIONS['contracts'], field);
  return rule !== undefined && !NOT_TERMS.has(field) && valueProblem(rule, value) === undefined;
}
