import { AgrinetError } from '../../errors.ts';
import { draftFact } from '../../ledger/drafts.ts';
import { base64url } from '../../wire/bytes.ts';
import type { PeerId } from '../../wire/identity.ts';
import { evaluateContract } from '../contract/machine.ts';
import { nextStep, toCarry } from '../contract/next.ts';
import { joinCarried, verifyTransition, signTransition, type TransitionBody } from '../contract/statement.ts';
import { grantOf } from '../contract/stock.ts';
import type { Terms } from '../contract/terms.ts';
import { nodeOf } from '../party.ts';
import { roleOf } from '../roles.ts';
import { requireComplete, termsOf } from './fields.ts';
import type { GrantedStock } from './granted-stock.ts';
import type { Actor, BookParts, HeldContract, SignedStatement, StepRequest } from './types.ts';

/** Characters of `carried`: with the statement itself it stays within one op of 64 KiB. */
const CARRIED = 44_000;

const stateError = (message: string): AgrinetError => new AgrinetError('contract-state', message);

/**
 * The party a caller acts as. A user acts for itself; an operator for a party of this node, named where both are here. Throws
 * `not-a-party` and `forbidden` (403), `fields-invalid`.
 */
export function partyOf(
  { contract }: HeldContract,
  self: PeerId,
  actor: Actor,
  as: string | undefined,
): string {
  const here = contract.parties.filter((party) => nodeOf(party) === self);
  const named = as === undefined ? undefined : nodeOf(as) === undefined ? `${as}@${self}` : as;
  if (!actor.operator) {
    const me = `${actor.userId ?? ''}@${self}`;
    if (!here.includes(me)) throw notAParty();
    if (named !== undefined && named !== me)
      throw new AgrinetError('forbidden', `this key acts for ${actor.userId ?? 'nobody'} only`);
    return me;
  }
  if (named !== undefined) {
    if (!here.includes(named)) throw notAParty();
    return named;
  }
  const [only, other] = here;
  if (only === undefined) throw notAParty();
  if (other !== undefined)
    throw new AgrinetError('fields-invalid', 'both parties are users of this node; name the one who acts');
  return only;
}

export const notAParty = (): AgrinetError =>
  new AgrinetError('not-a-party', 'only the two parties of a contract can act in it, each at its own node');

/**
 * The statement that a request results in, given the current state. Throws `record-merging`, `contract-state`, `terms-changed`,
 * `terms-incomplete`, `proposal-unnamed`, `terms-conflict`.
 */
export function bodyOf(held: HeldContract, party: string, request: StepRequest): TransitionBody {
  if ('whileNewest' in request && request.whileNewest !== undefined) requireNewest(held, request.whileNewest);
  switch (request.kind) {
    case 'propose': {
      mustBeMerged(held.state);
      if (held.verdict.state === 'draft' || held.verdict.state === 'proposed')
        requireComplete(held.state.view);
      const body = { kind: 'propose', terms: termsOf(held.state), heads: held.state.heads } as const;
      return request.validUntil === undefined ? body : { ...body, validUntil: request.validUntil };
    }
    case 'accept':
      if (request.proposal === undefined) mustBeMerged(held.state);
      return { kind: 'accept', proposal: namedProposal(held, request.proposal) ?? onlyProposal(held, party) };
    case 'resolve':
      return {
        kind: 'resolve',
        outcome: request.outcome,
        ...(request.proposal === undefined ? {} : { proposal: request.proposal }),
      };
    case 'settle':
      return { kind: 'settle', role: roleOf(party, held.binding) };
    case 'cancel':
      return { kind: 'cancel' };
  }
}

/** Throws `fields-invalid` for a proposal that would have ended before it is made. */
export function requireOpenEnd(validUntil: unknown, now: number): void {
  if (typeof validUntil === 'number' && validUntil <= now)
    throw new AgrinetError('fields-invalid', 'validUntil: the time when a proposal ends has to be ahead');
}

/** The signed terms are those shown, and the signed heads belong to them. */
function mustBeMerged({ unmerged }: HeldContract['state']): void {
  if (unmerged !== undefined)
    throw new AgrinetError(
      'record-merging',
      'concurrent changes to this contract are still being merged; try again in a moment',
    );
}

/** The proposal that a caller names: one without complete terms is rejected everywhere, so the error says that. */
function namedProposal({ statements }: HeldContract, proposal: string | undefined): string | undefined {
  const named = statements.find(({ transition }) => transition.hash === proposal)?.transition;
  if (named?.kind === 'propose') requireComplete(named.terms);
  return proposal;
}

/** The terms that a step signs: its own, or those of the proposal that it accepts. */
export function termsSigned({ statements }: HeldContract, body: TransitionBody): Terms | undefined {
  if (body.kind === 'propose') return body.terms;
  if (body.kind !== 'accept') return undefined;
  const proposal = statements.find(({ transition }) => transition.hash === body.proposal)?.transition;
  return proposal?.kind === 'propose' ? proposal.terms : undefined;
}

/** Proposals that count, and those of them that no later one has replaced and that have not ended. */
function proposalsOf({ statements, verdict }: HeldContract) {
  const applied = new Set(verdict.applied);
  const all = statements.map(({ transition }) => transition).filter(({ hash }) => applied.has(hash));
  const proposals = all.filter((t) => t.kind === 'propose');
  const expired = new Set(all.flatMap((t) => (t.kind === 'expire' ? [t.proposal] : [])));
  const replaced = new Set(proposals.flatMap((t) => t.before));
  const open = proposals.filter(({ hash }) => !expired.has(hash) && !replaced.has(hash));
  return { proposals, open };
}

/** Throws `contract-state` and `terms-changed` unless exactly this proposal is the current one. */
function requireNewest(held: HeldContract, proposal: string): void {
  if (held.verdict.state !== 'proposed')
    throw stateError(`the contract is ${held.verdict.state}; the proposal can no longer be answered`);
  const { open } = proposalsOf(held);
  if (open.length !== 1 || open[0]?.hash !== proposal)
    throw new AgrinetError('terms-changed', 'another proposal was made since; read it first');
}

/** The other party's current proposal, where the caller names none: what was read is what is accepted. */
function onlyProposal(held: HeldContract, party: string): string {
  const { state, verdict } = held;
  const { proposals, open } = proposalsOf(held);
  const theirs = proposals.filter((t) => t.party !== party);
  const [one, another] = open.filter((t) => t.party !== party);
  if (one === undefined && proposals.length === 0 && verdict.state === 'draft') requireComplete(state.view);
  if (one === undefined)
    throw proposals.length > theirs.length && theirs.length === 0
      ? new AgrinetError(
          'accept-own',
          'a party cannot accept its own proposal; the other party must accept it',
        )
      : stateError(
          'there is no open proposal from the other party; make one with POST /contracts/:id/propose',
        );
  if (another !== undefined)
    throw new AgrinetError('proposal-unnamed', 'there are several open proposals; name one in proposal');
  if (one.kind === 'propose' && [...one.heads].sort().join() !== [...state.heads].sort().join())
    throw new AgrinetError(
      'terms-changed',
      'the terms have changed since they were proposed; ask for a new proposal, or name the proposal to accept it as it was made',
    );
  return one.hash;
}

/** Signs a step and writes it, with what it changes of the supplier's listing in the same commit. */
export async function takeStep(
  parts: Pick<BookParts, 'identity' | 'ledger' | 'now'>,
  stock: GrantedStock,
  held: HeldContract,
  party: string,
  body: TransitionBody,
): Promise<void> {
  const { contract, statements } = held;
  const transitions = statements.map(({ transition }) => transition);
  const statement = nextStep(contract, transitions, party, body, parts.now());
  const bytes = signed(parts, statement);
  const after = evaluateContract(contract, [...transitions, verifyTransition(bytes)]);
  const carried = carriedOf(
    statements,
    toCarry(transitions, statement).map(({ hash }) => hash),
  );
  const fields = { statement: base64url(bytes), ...(carried === '' ? {} : { carried }) };
  const listing = stock.listingOf(held);
  const grant = grantOf(held.state.key, after);
  const before = grantOf(held.state.key, held.verdict).quantity;
  await parts.ledger.write({
    keys: listing === undefined ? [contract.key as typeof held.state.key] : [held.state.key, listing],
    draft: (writer, read) => {
      const fact = draftFact(writer, 'transitions', fields, held.state.key);
      if (listing === undefined || grant.quantity === before) return [fact];
      return [fact, ...stock.draft(writer, listing, read(listing), { ...grant, before })];
    },
  });
}

/** Answers of the other party that no fact of this node repeats yet, with this node's own last statement. */
export function unrepeated(
  { statements, verdict, repeated }: HeldContract,
  self: PeerId,
): { own: SignedStatement; answers: readonly SignedStatement[] } | undefined {
  const applied = new Set(verdict.applied);
  const effective = statements.filter(({ transition }) => applied.has(transition.hash));
  const own = effective
    .filter(({ transition }) => nodeOf(transition.party) === self)
    .reduce<SignedStatement | undefined>(
      (a, b) => (a !== undefined && a.transition.at > b.transition.at ? a : b),
      undefined,
    );
  const answers = effective.filter(
    ({ transition: { kind, party, hash } }) =>
      nodeOf(party) !== self && kind !== 'propose' && kind !== 'expire' && !repeated.has(hash),
  );
  return own === undefined || answers.length === 0 ? undefined : { own, answers };
}

/**
 * Repeats the other party's answers with this node's own last statement, so that they count here even if that party's feed forks or
 * its disk is lost before this node writes anything else.
 */
export async function keepAnswers(
  parts: Pick<BookParts, 'identity' | 'ledger'>,
  held: HeldContract,
): Promise<void> {
  const { state, statements } = held;
  const found = unrepeated(held, parts.identity.peerId);
  if (found === undefined) return;
  const { own, answers } = found;
  const before = answers.map(({ transition }) => transition.hash);
  const transitions = statements.map(({ transition }) => transition);
  const carried = carriedOf(
    statements,
    toCarry(transitions, { ...own.transition, before }).map(({ hash }) => hash),
  );
  const fields = { statement: base64url(own.bytes), carried };
  await parts.ledger.write({
    keys: [state.key],
    draft: (writer) => [draftFact(writer, 'transitions', fields, state.key)],
  });
}

function signed(parts: Pick<BookParts, 'identity'>, statement: Parameters<typeof signTransition>[1]) {
  try {
    return signTransition(parts.identity, statement);
  } catch (error) {
    if (!(error instanceof AgrinetError) || error.code !== 'transition-invalid') throw error;
    throw new AgrinetError('fields-invalid', `this cannot be signed: ${error.message}`, { cause: error });
  }
}

/** The other party's statements as they go along: the short ones, which are all but proposals, first. */
function carriedOf(statements: readonly SignedStatement[], hashes: readonly string[]): string {
  const wanted = new Set(hashes);
  const chosen: Uint8Array[] = [];
  let length = 0;
  const all = statements
    .filter(({ transition }) => wanted.has(transition.hash))
    .sort((a, b) => a.bytes.length - b.bytes.length);
  for (const { bytes } of all) {
    length += Math.ceil((bytes.length * 4) / 3) + 1;
    if (length > CARRIED) break;
    chosen.push(bytes);
  }
  return joinCarried(chosen);
}
