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
  /** Proposals with a standing acceptance: several are in dispute with one another, or ended together. */
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
    .filter((group) => bothSigned(contract, group));
}

function ground({ t }: Step): string | undefined {
  if (t.kind === 'accept') return `accept ${t.proposal}`;
  return t.kind === 'settle' || t.kind === 'cancel' ? `${t.kind} ${t.party}` : undefined;
}

/** The names of what can be a ground of a dispute: equal steps of one party are one. */
export function groundsOf(steps: readonly Step[]): Set<string> {
  return new Set(steps.map(ground).filter((one) => one !== undefined));
}

/** The latest answers of both, among resolves that know every ground: two answers are a ground for the next. */
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

function byRound(all: readonly Step[]): ReadonlyMap<number, Step[]> {
  const out = new Map<number, Step[]>();
  for (const step of all) {
    const here = out.get(step.round);
    if (here === undefined) out.set(step.round, [step]);
    else here.push(step);
  }
  return out;
}

/** Whether both parties have signed some of these steps. */
function bothSigned({ parties }: Contract, steps: readonly Step[]): boolean {
  return parties.every((party) => steps.some(({ t }) => t.party === party));
}

/** Evaluates round after round until one is not left by a resolution to `accepted`. */
export function closeRounds(round: Round): RoundEnd {
  return new Rounds(round).close();
}

/** The steps of one round, and what they come to before anything was resolved. */
interface Tally {
  readonly round: number;
  readonly steps: readonly Step[];
  readonly settledBy: readonly string[];
  readonly cancelledBy: readonly string[];
  /** Those who cancelled with an agreement in their past. */
  readonly firm: readonly string[];
  readonly resolves: readonly ResolveStep[];
  /** Resolves of both parties that say the same. */
  readonly said: readonly ResolveStep[][];
}

class Rounds {
  readonly #contract: Contract;
  readonly #all: readonly Step[];
  readonly #parties: readonly string[];
  readonly #byRound: ReadonlyMap<number, Step[]>;
  readonly #standing: readonly Step[];
  readonly #standingBits: bigint;
  /** Proposals that were ever accepted. */
  readonly #accepted: ReadonlySet<string>;
  readonly #released = new Set<string>();
  #agreed: readonly string[];

  constructor({ history: { all, contract }, accepts, standing }: Round) {
    this.#contract = contract;
    this.#all = all;
    this.#parties = [...contract.parties].sort();
    this.#byRound = byRound(all);
    this.#standing = standing;
    this.#standingBits = standing.reduce((bits, s) => bits | s.bit, 0n);
    this.#accepted = new Set(accepts.map(proposalOf));
    this.#agreed = [...new Set(standing.map(proposalOf))].sort();
  }

  close(): RoundEnd {
    for (let round = 0; ; round++) {
      const tally = this.#tally(round);
      this.#release(tally);
      const { end, answers } = chosen(this.#contract, this.#covering(tally));
      if (end?.proposal !== undefined) this.#agreed = [end.proposal];
      if (end?.outcome !== 'accepted') return this.#endOf(tally, end?.outcome, answers);
    }
  }

  #tally(round: number): Tally {
    const steps = this.#byRound.get(round) ?? [];
    const by = (kind: 'settle' | 'cancel', firm = false): string[] =>
      this.#parties.filter((party) =>
        steps.some(
          (s) =>
            s.t.kind === kind &&
            s.t.party === party &&
            !this.#isLapsed(s) &&
            (!firm || this.#isUnderAgreement(s)),
        ),
      );
    const resolves = steps.filter(isResolve);
    const said = pairs(this.#contract, resolves);
    const [settledBy, cancelledBy, firm] = [by('settle'), by('cancel'), by('cancel', true)];
    return { round, steps, settledBy, cancelledBy, firm, resolves, said };
  }

  #isUnderAgreement(step: Step): boolean {
    return (step.past & this.#standingBits) !== 0n;
  }

  /** A settle under an acceptance that an expire has overtaken must not count for the next agreement. */
  #isLapsed(step: Step): boolean {
    return step.t.kind === 'settle' && !this.#isUnderAgreement(step);
  }

  /** Agreements that both parties knew when they cancelled by resolving. */
  #release({ said }: Tally): void {
    for (const group of said.filter(([r]) => r?.t.outcome === 'cancelled'))
      for (const proposal of this.#accepted) {
        const knowing = group.filter(({ knows }) => knows.has(`accept ${proposal}`));
        if (bothSigned(this.#contract, knowing)) this.#released.add(proposal);
      }
  }

  /** Resolves that know every ground. */
  #covering({ steps, resolves }: Tally): ResolveStep[] {
    const grounds = [
      ...groundsOf(steps.filter((s) => s.t.kind !== 'accept' && !this.#isLapsed(s))),
      ...groundsOf(this.#standing),
    ];
    return resolves.filter((r) => grounds.every((one) => r.knows.has(one)));
  }

  #endOf(tally: Tally, outcome: Outcome | undefined, answers: readonly Step[]): RoundEnd {
    const { round, steps, settledBy, cancelledBy, said } = tally;
    const agreed = this.#agreed;
    const state = outcome ?? (said.length > 0 ? 'disputed' : this.#unresolved(tally));
    const propose = agreed.length === 1 && state !== 'disputed' ? agreed[0] : undefined;
    const accept = this.#standing.find((one) => proposalOf(one) === propose)?.t.hash;
    const [first, second] = this.#contract.parties.map(
      (party) =>
        steps.find((s) => s.t.kind === 'settle' && s.t.party === party && !this.#isLapsed(s))?.t.hash,
    );
    return {
      state,
      round,
      resolved: outcome !== undefined,
      settledBy,
      cancelledBy,
      agreed,
      answers,
      released: this.#released,
      late: this.#late(tally, state),
      ...(propose === undefined || accept === undefined ? {} : { agreement: { propose, accept } }),
      ...(state === 'settled' && first !== undefined && second !== undefined
        ? { receipt: [first, second] as const }
        : {}),
    };
  }

  /** Where steps other than resolves leave the contract. */
  #unresolved({ settledBy, cancelledBy, firm }: Tally): ContractState {
    const agreements = this.#agreed.length;
    const [allSettle, allCancel] = [settledBy.length === 2, cancelledBy.length === 2];
    if (allSettle && allCancel) return 'disputed';
    if (allCancel) return 'cancelled';
    if (agreements > 1) return 'disputed';
    if (agreements === 0) return cancelledBy.length > 0 ? 'cancelled' : this.#isOpen() ? 'proposed' : 'draft';
    if (allSettle) return 'settled';
    return settledBy.some((party) => firm.some((other) => other !== party)) ? 'disputed' : 'accepted';
  }

  /** Whether a proposal is there that was not ended. */
  #isOpen(): boolean {
    const expired = new Set(this.#all.filter((s) => s.t.kind === 'expire').map(proposalOf));
    return this.#all.some((s) => s.t.kind === 'propose' && !expired.has(s.t.hash));
  }

  /** Steps that are signed and valid, and were overtaken. */
  #late({ round, firm }: Tally, state: ContractState): string[] {
    const stands = new Set(this.#standing);
    const overtaken =
      state === 'settled'
        ? 'cancel'
        : state === 'cancelled' && this.#agreed.length > 0
          ? 'settle'
          : undefined;
    return this.#all
      .filter(
        (s) =>
          (s.t.kind === 'accept' && !stands.has(s)) ||
          this.#isLapsed(s) ||
          (s.t.kind === overtaken && s.round === round) ||
          (s.t.kind === 'cancel' && state === 'accepted' && !firm.includes(s.t.party)),
      )
      .map((s) => s.t.hash);
  }
}
