import type { NoticeKind } from '../../api/ports/users.ts';
import type { HeldContract } from '../../protocols/market/contract-book/types.ts';
import { evaluateContract } from '../../protocols/market/contract/machine.ts';
import type { ContractState } from '../../protocols/market/contract/model.ts';
import type { Transition } from '../../protocols/market/contract/statement.ts';
import type { Terms } from '../../protocols/market/contract/terms.ts';
import type { TextName } from './texts.ts';

/** The name of a contract's step, for the other party. */
export interface StepText {
  readonly kind: NoticeKind;
  readonly text: TextName;
}

/** The state of the contract before and after a step, by what its signer knew. */
interface Around {
  readonly before: ContractState;
  readonly after: ContractState;
  /** What the step follows. */
  readonly past: readonly Transition[];
}

/** The text for an applied step. */
export function stepText(held: HeldContract, step: Transition): StepText {
  const around = aroundOf(held, step);
  // Concurrent steps of both show only here: nothing follows such a step.
  const isLast = held.verdict.heads.includes(step.hash);
  const state = isLast ? held.verdict.state : around.after;
  if (state === 'disputed' && ['accept', 'settle', 'cancel'].includes(step.kind))
    return { kind: 'dispute', text: 'dispute' };
  switch (step.kind) {
    case 'propose':
      return { kind: 'proposal', text: step.validUntil === undefined ? 'proposal' : 'proposal.until' };
    case 'accept':
      return { kind: 'acceptance', text: 'acceptance' };
    case 'expire':
      return { kind: 'hold', text: 'hold.ended' };
    case 'settle':
      return { kind: 'settlement', text: state === 'settled' ? 'settlement' : 'settlement.said' };
    case 'cancel':
      return cancelText(step, around, state);
    case 'resolve':
      return { kind: 'resolution', text: state === 'disputed' ? 'resolution.said' : 'resolution' };
  }
}

/** Before an agreement a cancellation refuses what the other party proposed last, or takes back the own proposal. */
function cancelText(step: Transition, { before, past }: Around, state: ContractState): StepText {
  if (before === 'draft' || before === 'proposed') {
    const last = lastProposal(past);
    const refuses = last !== undefined && last.party !== step.party;
    return refuses
      ? { kind: 'refusal', text: 'refusal' }
      : { kind: 'cancellation', text: 'cancellation.draft' };
  }
  const text = state === 'cancelled' ? 'cancellation' : 'cancellation.asked';
  return { kind: 'cancellation', text };
}

function aroundOf({ contract, statements }: HeldContract, step: Transition): Around {
  const byHash = new Map(statements.map(({ transition }) => [transition.hash, transition]));
  const past = new Map<string, Transition>();
  const next = [...step.before];
  for (let hash = next.pop(); hash !== undefined; hash = next.pop()) {
    const one = byHash.get(hash);
    if (one === undefined || past.has(hash)) continue;
    past.set(hash, one);
    next.push(...one.before);
  }
  const known = [...past.values()];
  return {
    past: known,
    before: evaluateContract(contract, known).state,
    after: evaluateContract(contract, [...known, step]).state,
  };
}

type Proposal = Extract<Transition, { readonly kind: 'propose' }>;

function lastProposal(steps: readonly Transition[]): Proposal | undefined {
  return steps
    .filter((each): each is Proposal => each.kind === 'propose')
    .toSorted((a, b) => a.at - b.at)
    .at(-1);
}

/** The terms that a step is about; of one that names no proposal, those agreed or proposed last. */
export function termsOf(held: HeldContract, step?: Transition): Terms {
  if (step?.kind === 'propose') return step.terms;
  const all = held.statements.map(({ transition }) => transition);
  const named = (step !== undefined && 'proposal' in step ? step.proposal : undefined) ?? held.agreed[0];
  const proposal = all.find((each): each is Proposal => each.kind === 'propose' && each.hash === named);
  return proposal?.terms ?? lastProposal(all)?.terms ?? held.state.view;
}

/** Characters of a name or a title in a text. */
const SHOWN = 60;

/** A text of others, as far as it is shown. */
export function shortly(text: unknown): string {
  if (typeof text !== 'string') return '';
  const line = text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, ' ').trim();
  return line.length <= SHOWN ? line : `${line.slice(0, SHOWN - 1).toWellFormed()}…`;
}

/** The deal in a line: `80 kg White maize, 55 KES/kg`. */
export function dealOf(terms: Readonly<Record<string, unknown>>): string {
  const { quantity, unit, price, currency } = terms;
  const goods = shortly(terms['title']) || shortly(terms['commodity']) || shortly(terms['variety']);
  const of = typeof quantity === 'number' ? `${quantity} ${shortly(unit)} ${goods}` : goods;
  const at =
    typeof price === 'number'
      ? `${price} ${shortly(currency)}${unit === undefined ? '' : `/${shortly(unit)}`}`
      : '';
  return (
    [of, at]
      .map((part) => part.replaceAll(/ +/g, ' ').trim())
      .filter((part) => part !== '')
      .join(', ') || '?'
  );
}
