import type { Contract, ContractState, History, Step } from './model.ts';
import type { Outcome, Transition } from './statement.ts';

/**
 * How settling, cancelling and resolving end. Both parties' `settle` settle, both parties' `cancel` cancel, single
 * signatures of the other kind being late; both kinds complete, several agreements, or one party's settle against the
 * other's cancel are a dispute. A cancel that has no standing accept in its past disputes nothing; it only helps to complete,
 * and a settle that has none is late.
 *
 * A dispute is ended by one `resolve` of each party with the same outcome, whose pasts name every ground of it. A ground
 * learnt later opens it again, and where both parties have said two things, what they say after knowing both decides.
 * After `accepted` a new round begins: only what follows both resolves is in it.
 */
export interface Round {
  readonly history: History;
  /** Every accept; then those that no expire has overtaken. */
  readonly accepts: readonly Step[];
  readonly standing: readonly Step[];
}

export interface RoundEnd {
  readonly state: ContractState;
  /** Which round this is, from 0. */
  readonly round: number;
  readonly resolved: boolean;
  readonly agreement?: { readonly propose: string; readonly accept: string };
  /** Proposals whose acceptance stands: several are in dispute with one another, or ended together. */
  readonly agreed: readonly string[];
  readonly receipt?: readonly [string, string];
  readonly settledBy: readonly string[];
  readonly cancelledBy: readonly string[];
  readonly late: readonly string[];
  /** Resolves that know every ground and that no later answer has replaced. */
  readonly answers: readonly Step[];
  /** Proposals whose agreement both parties have cancelled by resolving. */
  readonly released: ReadonlySet<string>;
}

type Resolve = Transition & { kind: 'resolve' };
type ResolveStep = Step & { readonly t: Resolve };
const isResolve = (step: Step): step is ResolveStep => step.t.kind === 'resolve';
const choice = ({ t }: ResolveStep): string => `${t.outcome}/${t.proposal ?? ''}`;
const proposalOf = ({ t }: Step): string => ('proposal' in t ? (t.proposal ?? '') : '');

/** Resolves of both parties that say the same, by what they say. */
function pairs(contract: Contract, resolves: readonly ResolveStep[]): ResolveStep[][] {
  return [...new Set(resolves.map(choice))]
    .sort()
    .map((one) => resolves.filter((r) => choice(r) === one))
    .filter((group) => contract.parties.every((party) => group.some((r) => r.t.party === party)));
}

function ground({ t }: Step): string | undefined {
  if (t.kind === 'accept') return `accept ${t.proposal}`;
  return t.kind === 'settle' || t.kind === 'cancel' ? `${t.kind} ${t.party}` : undefined;
}

/** The names of what can be a ground of a dispute: equal steps of one party are one. */
export function groundsOf(steps: readonly Step[]): Set<string> {
  return new Set(steps.map(ground).filter((one) => one !== undefined));
}

/** What both have said last, of resolves that know every ground: two answers are a ground for the next. */
function chosen(
  contract: Contract,
  covering: readonly ResolveStep[],
): { end: Resolve | undefined; answers: readonly Step[] } {
  let resolves = covering;
  for (;;) {
    const said = pairs(contract, resolves);
    if (said.length < 2) return { end: said[0]?.[0]?.t, answers: resolves };
    const each = said.flatMap((group) =>
      contract.parties.map((party) =>
        group.filter((r) => r.t.party === party).reduce((bits, r) => bits | r.bit, 0n),
      ),
    );
    resolves = resolves.filter((r) => each.every((bits) => (bits & r.past) !== 0n));
  }
}

function unresolved(
  settled: readonly string[],
  cancelled: readonly string[],
  firm: readonly string[],
  agreements: number,
  open: boolean,
): ContractState {
  const [allSettle, allCancel] = [settled.length === 2, cancelled.length === 2];
  if (allSettle && allCancel) return 'disputed';
  if (allCancel) return 'cancelled';
  if (agreements > 1) return 'disputed';
  if (agreements === 0) return cancelled.length > 0 ? 'cancelled' : open ? 'proposed' : 'draft';
  if (allSettle) return 'settled';
  return settled.some((party) => firm.some((other) => other !== party)) ? 'disputed' : 'accepted';
}

function byRound(all: readonly Step[]): ReadonlyMap<number, Step[]> {
  const out = new Map<number, Step[]>();
  for (const step of all) {
    const here = out.get(step.round);
    if (here === undefined) out.set(step.round, [step]);
    else here.push(step);
  }
  return out;
}

/** Judges round after round until one is not left by a resolution to `accepted`. */
export function closeRounds({ history, accepts, standing }: Round): RoundEnd {
  const { all, contract } = history;
  const steps = byRound(all);
  const parties = [...contract.parties].sort();
  const expired = new Set(all.filter((s) => s.t.kind === 'expire').map(proposalOf));
  const open = all.some((s) => s.t.kind === 'propose' && !expired.has(s.t.hash));
  const stands = new Set(standing);
  const accepted = [...new Set(accepts.map(proposalOf))];
  const agreedGrounds = groundsOf(standing);
  const released = new Set<string>();
  const standingBits = standing.reduce((bits, s) => bits | s.bit, 0n);
  const underAgreement = (s: Step): boolean => (s.past & standingBits) !== 0n;
  // A settle under an acceptance that an expire has overtaken must not count for the next agreement.
  const lapsed = (s: Step): boolean => s.t.kind === 'settle' && !underAgreement(s);
  let agreed = [...new Set(standing.map(proposalOf))].sort();
  for (let round = 0; ; round++) {
    const here = steps.get(round) ?? [];
    const by = (kind: 'settle' | 'cancel', firm = false): string[] =>
      parties.filter((party) =>
        here.some(
          (s) => s.t.kind === kind && s.t.party === party && !lapsed(s) && (!firm || underAgreement(s)),
        ),
      );
    const [settledBy, cancelledBy, firm] = [by('settle'), by('cancel'), by('cancel', true)];
    const resolves = here.filter(isResolve);
    const said = pairs(contract, resolves);
    for (const group of said.filter(([r]) => r?.t.outcome === 'cancelled'))
      for (const proposal of accepted)
        if (
          contract.parties.every((party) =>
            group.some((r) => r.t.party === party && r.knows.has(`accept ${proposal}`)),
          )
        )
          released.add(proposal);
    const grounds = [...groundsOf(here.filter((s) => s.t.kind !== 'accept' && !lapsed(s))), ...agreedGrounds];
    const { end, answers } = chosen(
      contract,
      resolves.filter((r) => grounds.every((one) => r.knows.has(one))),
    );
    if (end?.proposal !== undefined) agreed = [end.proposal];
    if (end?.outcome === 'accepted') continue;
    const outcome: Outcome | undefined = end?.outcome;
    const raw = unresolved(settledBy, cancelledBy, firm, agreed.length, open);
    const state = outcome ?? (said.length > 0 ? 'disputed' : raw);
    const propose = agreed.length === 1 && state !== 'disputed' ? agreed[0] : undefined;
    const accept = standing.find((one) => proposalOf(one) === propose)?.t.hash;
    const [first, second] = contract.parties.map(
      (party) => here.find((s) => s.t.kind === 'settle' && s.t.party === party && !lapsed(s))?.t.hash,
    );
    const overtakenKind =
      state === 'settled' ? 'cancel' : state === 'cancelled' && agreed.length > 0 ? 'settle' : undefined;
    const late = all.filter(
      (s) =>
        (s.t.kind === 'accept' && !stands.has(s)) ||
        lapsed(s) ||
        (s.t.kind === overtakenKind && s.round === round) ||
        (s.t.kind === 'cancel' && state === 'accepted' && !firm.includes(s.t.party)),
    );
    return {
      state,
      round,
      resolved: outcome !== undefined,
      settledBy,
      cancelledBy,
      agreed,
      answers,
      released,
      late: late.map((s) => s.t.hash),
      ...(propose === undefined || accept === undefined ? {} : { agreement: { propose, accept } }),
      ...(state === 'settled' && first !== undefined && second !== undefined
        ? { receipt: [first, second] as const }
        : {}),
    };
  }
}
