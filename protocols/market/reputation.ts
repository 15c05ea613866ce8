import { AgrinetError } from '../errors.ts';
import { sortedInPieces } from '../open-dialog/pieces.ts';
import { parsePeerId, type PeerId } from '../wire/identity.ts';
import { canonicalJson } from '../wire/json.ts';
import { LBTAS, ratingDeadline } from './lbtas.ts';
import { nodeOf } from './party.ts';
import { type Distribution, distribution } from './rating-distribution.ts';
import { type NoteInput, type NoteVerdict, noteVerdicts } from './rating-notes.ts';
import {
  isGiven,
  isLate,
  type RatingInput,
  ratingInput,
  type RatingVerdict,
  ratingVerdicts,
} from './rating-verdicts.ts';
import { TRADE_ROLES, type TradeRole } from './roles.ts';

/** All facts that a reputation can come from. */
export interface ReputationFacts {
  /** Ratings of the subject. Those of others are left out; given twice, one counts once. */
  readonly received: Iterable<RatingInput>;
  /** Ratings by the subject: a party that has not answered one in time counts as having given the default. */
  readonly given?: Iterable<RatingInput>;
  readonly notes?: Iterable<NoteInput>;
}

/** Whose word counts. */
export interface RatingAuthorities {
  /** Nodes whose ratings count. */
  readonly roots: Iterable<PeerId>;
  /** Nodes whose notes on others' ratings take effect, but for those on ratings of their own users. */
  readonly adjudicators: Iterable<PeerId>;
}
export interface ReputationView extends RatingAuthorities {
  /** When silence is counted, milliseconds since 1970. */
  readonly asOf: number;
}

/** A +2 by default: the rater was silent until the deadline. `of` is the rating that makes the contract public. */
export interface DefaultedRating {
  readonly from: string;
  readonly to: string;
  readonly role: TradeRole;
  readonly contract: string;
  readonly at: number;
  readonly of: string;
  /** `defaulted`, `own-node` or `not-a-root`. */
  readonly verdict: string;
}

/** The lists are separate: none is hidden in another. */
export interface RoleReputation {
  readonly role: TradeRole;
  readonly active: Distribution;
  readonly late: Distribution;
  readonly defaulted: Distribution;
  readonly dismissed: Distribution;
  /** Of the active and late ratings, how many are contested. */
  readonly contested: number;
}

/** Publicly rated contracts: those of which a rating is active or late, how many of them have no -1 among these, and the nodes that gave them. */
export interface KeptContracts {
  readonly contracts: number;
  readonly kept: number;
  readonly counterparties: number;
}

export interface Reputation extends KeptContracts {
  readonly subject: string;
  /** Roles in which there are ratings. */
  readonly roles: readonly RoleReputation[];
}

/** Everything that a reputation comes from. */
export interface ReputationProof extends Reputation {
  readonly v: 2;
  readonly asOf: number;
  /** Sorted. */
  readonly roots: readonly string[];
  readonly adjudicators: readonly string[];
  /** Sorted by id. */
  readonly inputs: readonly RatingVerdict[];
  /** Ratings by the subject, sorted by id: what defaults come from. */
  readonly given: readonly RatingInput[];
  /** Sorted by contract and rater. */
  readonly defaults: readonly DefaultedRating[];
  /** Sorted by id. */
  readonly notes: readonly NoteVerdict[];
}

/**
 * The reputation of `subject` (`user@peer-id`, or a peer id for all users of a node) as LBTAS has it, with all that leads to it: how often
 * each level was given, per role, and never a mean. A pure function, so that nodes with equal facts and the same question compute equal
 * bytes; the order of the facts does not matter. Yields after each small piece of work. Throws `subject-malformed`.
 */
export function* reputationProof(
  subject: string,
  facts: ReputationFacts,
  view: ReputationView,
): Generator<void, ReputationProof> {
  const { is, received, notes, inputs } = yield* evaluated(subject, facts, view);
  const given = yield* sortedById(facts.given ?? [], ({ from, problem }) => is(from) && problem === null);
  const defaults = yield* defaultsOf(received, given, new Set<string>(view.roots), view.asOf);
  const roles: RoleReputation[] = [];
  for (const role of TRADE_ROLES) roles.push(...(yield* roleReputation(role, inputs, defaults)));
  return {
    v: 2,
    subject,
    asOf: view.asOf,
    roots: [...new Set(view.roots)].sort(),
    adjudicators: [...new Set(view.adjudicators)].sort(),
    roles,
    ...(yield* keptOf(inputs)),
    inputs,
    given: given.map(ratingInput),
    defaults,
    notes,
  };
}

/** The publicly rated contracts alone: what depends neither on silence nor on a time. Throws `subject-malformed`. */
export function* keptContracts(
  subject: string,
  facts: Omit<ReputationFacts, 'given'>,
  jury: RatingAuthorities,
): Generator<void, KeptContracts> {
  return yield* keptOf((yield* evaluated(subject, facts, jury)).inputs);
}

/** Whole percent of the publicly rated contracts without a breach, rounded down; null where there are none. */
export function percentKept({ contracts, kept }: Pick<KeptContracts, 'contracts' | 'kept'>): number | null {
  return contracts === 0 ? null : Math.floor((100 * kept) / contracts);
}

/** The canonical JSON (RFC 8785) of a proof in pieces, none longer than one of its facts: it may be megabytes. */
export function* reputationText(proof: ReputationProof): Generator<string> {
  let before = '{';
  for (const [name, value] of Object.entries(proof).sort(([a], [b]) => (a < b ? -1 : 1))) {
    yield `${before}${JSON.stringify(name)}:`;
    before = ',';
    if (!Array.isArray(value)) yield canonicalJson(value);
    else {
      const items: readonly unknown[] = value;
      for (const [i, item] of items.entries()) yield (i === 0 ? '[' : ',') + canonicalJson(item);
      yield items.length === 0 ? '[]' : ']';
    }
  }
  yield '}';
}

/** The verdicts on the ratings of a subject and the notes on them, both sorted by id. */
function* evaluated(subject: string, facts: ReputationFacts, jury: RatingAuthorities) {
  const is = isSubject(subject);
  const received = yield* sortedById(facts.received, ({ to }) => is(to));
  const known = new Map(received.map((rating) => [rating.id, rating]));
  const notes = yield* noteVerdicts(
    yield* sortedById(facts.notes ?? [], ({ rating, to }) => known.get(rating)?.to === to),
    known,
    new Set<string>(jury.adjudicators),
  );
  const inputs = yield* ratingVerdicts(received, new Set<string>(jury.roots), notes);
  return { is, received, notes, inputs };
}

/** Whether a party is the subject. Throws `subject-malformed`. */
function isSubject(subject: string): (party: string) => boolean {
  const node = parsePeerId(subject);
  if (node === undefined && nodeOf(subject) === undefined)
    throw new AgrinetError('subject-malformed', 'subject: must be user@peer-id or a peer ID');
  return (party) => party === subject || (node !== undefined && nodeOf(party) === node);
}

function* keptOf(inputs: readonly RatingVerdict[]): Generator<void, KeptContracts> {
  const contracts = new Set<string>();
  const broken = new Set<string>();
  const nodes = new Set<string | undefined>();
  for (const rating of inputs) {
    yield;
    if (!isGiven(rating)) continue;
    contracts.add(rating.contract);
    nodes.add(nodeOf(rating.from));
    if (rating.score === LBTAS.min) broken.add(rating.contract);
  }
  return { contracts: contracts.size, kept: contracts.size - broken.size, counterparties: nodes.size };
}

/**
 * A party that was rated by the subject and has not rated it by the deadline counts as having given the default: only then is there
 * a public receipt of the contract.
 */
function* defaultsOf(
  received: readonly RatingInput[],
  given: readonly RatingInput[],
  roots: ReadonlySet<string>,
  asOf: number,
): Generator<void, DefaultedRating[]> {
  const place = (contract: string, from: string, to: string): string => JSON.stringify([contract, from, to]);
  const inTime = new Set<string>();
  for (const rating of received) {
    yield;
    if (rating.problem === null && !isLate(rating))
      inTime.add(place(rating.contract, rating.from, rating.to));
  }
  const found = new Map<string, DefaultedRating>();
  for (const { id, from, to, contract, role, settledAt } of given) {
    yield;
    const at = ratingDeadline(settledAt);
    const silent = place(contract, to, from);
    if (role === null || asOf <= at || inTime.has(silent) || found.has(silent)) continue;
    const own: TradeRole = role === 'market_seller' ? 'market_buyer' : 'market_seller';
    const node = nodeOf(to) ?? '';
    const verdict = node === nodeOf(from) ? 'own-node' : roots.has(node) ? 'defaulted' : 'not-a-root';
    found.set(silent, { from: to, to: from, role: own, contract, at, of: id, verdict });
  }
  return (yield* sortedInPieces([...found.keys()])).flatMap((silent) => found.get(silent) ?? []);
}

/** What is known of a subject in one role; nothing if there is nothing. */
function* roleReputation(
  role: TradeRole,
  inputs: readonly RatingVerdict[],
  defaults: readonly DefaultedRating[],
): Generator<void, RoleReputation[]> {
  const ofRole = inputs.filter((rating) => rating.role === role);
  const having = (verdict: string) =>
    distribution(
      ofRole
        .filter((rating) => rating.verdict === verdict)
        .map(({ from, score, signedAt: at }) => ({ from, score, at })),
    );
  const silent = defaults.filter((one) => one.role === role && one.verdict === 'defaulted');
  const found = {
    active: yield* having('active'),
    late: yield* having('late'),
    defaulted: yield* distribution(silent.map(({ from, at }) => ({ from, at, score: LBTAS.defaulted }))),
    dismissed: yield* having('dismissed'),
  };
  const isKnown = Object.values(found).some(({ ratings }) => ratings > 0);
  const contested = ofRole.filter((rating) => rating.contested && isGiven(rating)).length;
  return isKnown ? [{ role, ...found, contested }] : [];
}

function* sortedById<T extends { readonly id: string }>(
  items: Iterable<T>,
  which: (item: T) => boolean,
): Generator<void, T[]> {
  const found = new Map<string, T>();
  for (const item of items) {
    yield;
    if (which(item)) found.set(item.id, item);
  }
  return (yield* sortedInPieces([...found.keys()])).flatMap((id) => found.get(id) ?? []);
}
