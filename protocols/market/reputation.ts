import { AgrinetError } from '../errors.ts';
import { parsePeerId, type PeerId } from '../wire/identity.ts';
import type { Json } from '../wire/json.ts';
import { nodeOf } from './party.ts';
import { effectOf, type NoteInput, type NoteVerdict, verdictsOfNotes } from './rating-notes.ts';
import { TRADE_ROLES, type TradeRole } from './roles.ts';

/**
 * The reputation of a user or node as LBTAS (P3-014) has it: how often each level was given, per role, and never a mean. It is a pure
 * function of (ratings, notes, roots, adjudicators, as of when), so that nodes with equal facts and the same question compute equal bytes.
 *
 * A level is given by a counterparty *node*, once: at the lower median of its users' ratings. A node can make up as many users and contracts
 * as it likes, and a thousand of them say no more than one.
 */
export const LBTAS = {
  min: -1,
  max: 4,
  levels: [
    'No Trust',
    'Cynical Satisfaction',
    'Basic Promise',
    'Basic Satisfaction',
    'No Negative Consequences',
    'Delight',
  ],
  /** Days after which a party that has not rated counts as having given `defaulted`. */
  ratingDays: 90,
  defaulted: 2,
} as const;

const DEADLINE_MS = LBTAS.ratingDays * 86_400_000;

/** A rating as far as a reputation is concerned. */
export interface RatingInput {
  /** Record key of the fact. */
  readonly id: string;
  /** Rater and rated, `user@peer-id`. */
  readonly from: string;
  readonly to: string;
  /** A whole number from -1 to 4. */
  readonly score: number;
  /** Record key of the settled contract. */
  readonly contract: string;
  /** The side of the rated party; null where the receipt does not tell it. */
  readonly role: TradeRole | null;
  /** When the rating was signed, and the later of the two settles of its receipt; milliseconds since 1970. */
  readonly signedAt: number;
  readonly settledAt: number;
  /** Record key of the rating that this one corrects; null without. */
  readonly supersedes: string | null;
  /** Why the fact is no valid rating; null when it is. */
  readonly problem: string | null;
}

/** All facts that a reputation can come from. */
export interface ReputationFacts {
  /** Ratings of the subject. Those of others are left out; given twice, one counts once. */
  readonly received: Iterable<RatingInput>;
  /** Ratings by the subject: who has not answered one in time counts as having given the default. */
  readonly given?: Iterable<RatingInput>;
  readonly notes?: Iterable<NoteInput>;
}

/** Whose word counts, and when. */
export interface ReputationView {
  /** Nodes whose ratings count. */
  readonly roots: Iterable<PeerId>;
  /** Nodes whose notes on others' ratings take effect, but for those on ratings of their own users. */
  readonly adjudicators: Iterable<PeerId>;
  /** Milliseconds since 1970. */
  readonly asOf: number;
}

/**
 * What became of a rating: `active`; `late` (signed after the deadline); `dismissed`; a `rating-...` or `receipt-...` code; `own-node` (rater
 * and rated share a node); `not-a-root`; `superseded` or `duplicate` (of `by`).
 */
export interface ProofInput extends RatingInput {
  readonly verdict: string;
  /** The rating that stands in its place. */
  readonly by: string | null;
  /** Whether the rated party's node contests it, and whether the rater's node stands by it all the same. */
  readonly contested: boolean;
  readonly upheld: boolean;
}

/** A +2 that nobody gave: the rater was silent until the deadline. `of` is the rating that makes the contract public. */
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

/** How often each level was given. */
export interface Distribution {
  /** Nodes by the level they gave, from -1 to 4. */
  readonly levels: readonly [number, number, number, number, number, number];
  /** The sum of `levels`. */
  readonly nodes: number;
  /** Ratings of these nodes, each by itself. */
  readonly ratings: number;
  /** Nodes that gave any -1. */
  readonly breaches: number;
  /** When the first and the last of these ratings was signed, milliseconds since 1970; null without one. */
  readonly first: number | null;
  readonly last: number | null;
}

/** Each list by itself: nothing of one is hidden in another. */
export interface RoleReputation {
  readonly role: TradeRole;
  readonly active: Distribution;
  readonly late: Distribution;
  readonly defaulted: Distribution;
  readonly dismissed: Distribution;
  /** Of the active and late ratings, how many are contested. */
  readonly contested: number;
}

export interface Reputation {
  readonly subject: string;
  /** Roles in which anything is known. */
  readonly roles: readonly RoleReputation[];
  /** Contracts of which a rating of the subject is active or late, and how many of them have no -1 among these. */
  readonly contracts: number;
  readonly kept: number;
}

/** Everything that a reputation comes from. */
export interface ReputationProof extends Reputation {
  readonly v: 2;
  readonly asOf: number;
  /** Sorted. */
  readonly roots: readonly string[];
  readonly adjudicators: readonly string[];
  /** Sorted by id. */
  readonly inputs: readonly ProofInput[];
  /** Ratings by the subject, sorted by id: what defaults come from. */
  readonly given: readonly RatingInput[];
  /** Sorted by contract and rater. */
  readonly defaults: readonly DefaultedRating[];
  /** Sorted by id. */
  readonly notes: readonly NoteVerdict[];
}

/**
 * The reputation of `subject` (`user@peer-id`, or a peer id for all users of a node) with all that leads to it; the order of the facts does
 * not matter. Throws `subject-malformed`.
 */
export function reputationProof(
  subject: string,
  facts: ReputationFacts,
  view: ReputationView,
): ReputationProof {
  const is = isSubject(subject);
  const roots = new Set<string>(view.roots);
  const adjudicators = new Set<string>(view.adjudicators);
  const received = sortedById(facts.received, ({ to }) => is(to));
  const given = sortedById(facts.given ?? [], ({ from, problem }) => is(from) && problem === null);
  const known = new Map(received.map((rating) => [rating.id, rating]));
  const notes = verdictsOfNotes(
    sortedById(facts.notes ?? [], ({ rating }) => known.has(rating)),
    known,
    adjudicators,
  );
  const inputs = evaluate(received, roots, notes);
  const defaults = defaultsOf(received, given, roots, view.asOf);
  const contracts = Map.groupBy(
    inputs.filter(({ verdict }) => verdict === 'active' || verdict === 'late'),
    ({ contract }) => contract,
  );
  return {
    v: 2,
    subject,
    asOf: view.asOf,
    roots: [...roots].sort(),
    adjudicators: [...adjudicators].sort(),
    roles: TRADE_ROLES.flatMap((role) => roleReputation(role, inputs, defaults)),
    contracts: contracts.size,
    kept: [...contracts.values()].filter((ratings) => ratings.every(({ score }) => score !== LBTAS.min))
      .length,
    inputs,
    given: given.map(inputOf),
    defaults,
    notes,
  };
}

/** Whether a party is the subject. Throws `subject-malformed`. */
function isSubject(subject: string): (party: string) => boolean {
  const node = parsePeerId(subject);
  if (node === undefined && nodeOf(subject) === undefined)
    throw new AgrinetError('subject-malformed', 'subject: must be user@peer-id or a peer ID');
  return (party) => party === subject || (node !== undefined && nodeOf(party) === node);
}

/** Whole percent of the publicly rated contracts without a breach, rounded down; null where there is none. */
export function percentKept({ contracts, kept }: Pick<Reputation, 'contracts' | 'kept'>): number | null {
  return contracts === 0 ? null : Math.floor((100 * kept) / contracts);
}

/** True when the proof's own inputs give exactly this proof; says nothing of whether the facts are signed or all there are. */
export function reputationProofHolds(proof: ReputationProof): boolean {
  const peers = (ids: readonly string[]): PeerId[] => ids.map(parsePeerId).filter((id) => id !== undefined);
  const again = reputationProof(
    proof.subject,
    { received: proof.inputs, given: proof.given, notes: proof.notes },
    { roots: peers(proof.roots), adjudicators: peers(proof.adjudicators), asOf: proof.asOf },
  );
  return reputationText(again) === reputationText(proof);
}

/** The canonical JSON (RFC 8785) of a reputation or proof: no spaces, keys sorted by UTF-16 code units. */
export function reputationText(value: Reputation | ReputationProof): string {
  return JSON.stringify(value, (_key, inner: Json) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(byText(([name]) => name)))
      : inner,
  );
}

/** Of the ratings by one rater for one contract one counts: of those that no other corrects, the one with the lowest id. */
function evaluate(
  inputs: readonly RatingInput[],
  roots: ReadonlySet<string>,
  notes: readonly NoteVerdict[],
): ProofInput[] {
  const refused = inputs.map((rating) => refusal(rating, roots));
  // A correction after the deadline takes nothing back that was said in time: it is shown beside it.
  const place = ({ from, to, contract, ...times }: RatingInput): string =>
    JSON.stringify([from, to, contract, isLate(times)]);
  const valid = new Map<string, RatingInput>();
  inputs.forEach((rating, index) => {
    if (refused[index] === undefined) valid.set(rating.id, rating);
  });
  const correctedBy = new Map<string, string>();
  for (const rating of valid.values()) {
    const older = rating.supersedes === null ? undefined : valid.get(rating.supersedes);
    if (older === undefined || older === rating || place(older) !== place(rating)) continue;
    if (!correctedBy.has(older.id)) correctedBy.set(older.id, rating.id);
  }
  const effects = Map.groupBy(notes, ({ rating }) => rating);
  const standing = new Map<string, string>();
  return inputs.map((rating, index) => {
    const { dismissed, contested, upheld } = effectOf(effects.get(rating.id) ?? []);
    const outcome = (verdict: string, by: string | null = null): ProofInput => ({
      ...inputOf(rating),
      verdict,
      by,
      contested,
      upheld,
    });
    const why = refused[index];
    if (why !== undefined) return outcome(why);
    const newer = correctedBy.get(rating.id);
    if (newer !== undefined) return outcome('superseded', newer);
    const first = standing.get(place(rating));
    if (first !== undefined) return outcome('duplicate', first);
    standing.set(place(rating), rating.id);
    if (dismissed) return outcome('dismissed');
    return outcome(isLate(rating) ? 'late' : 'active');
  });
}

/** Exactly the fields of an input: a caller's may carry more. */
function inputOf(rating: RatingInput): RatingInput {
  const { id, from, to, score, contract, role, signedAt, settledAt, supersedes, problem } = rating;
  return { id, from, to, score, contract, role, signedAt, settledAt, supersedes, problem };
}

function isLate({ signedAt, settledAt }: Pick<RatingInput, 'signedAt' | 'settledAt'>): boolean {
  return signedAt > settledAt + DEADLINE_MS;
}

function refusal(rating: RatingInput, roots: ReadonlySet<string>): string | undefined {
  if (rating.problem !== null) return rating.problem;
  const node = nodeOf(rating.from);
  if (node === undefined) return 'rating-party';
  if (!Number.isInteger(rating.score) || rating.score < LBTAS.min || rating.score > LBTAS.max)
    return 'rating-score';
  if (rating.role === null) return 'receipt-role';
  if (node === nodeOf(rating.to)) return 'own-node';
  return roots.has(node) ? undefined : 'not-a-root';
}

/**
 * Who was rated by the subject and has not rated it by the deadline counts as having given the default: only then is there a public receipt
 * of the contract.
 */
function defaultsOf(
  received: readonly RatingInput[],
  given: readonly RatingInput[],
  roots: ReadonlySet<string>,
  asOf: number,
): DefaultedRating[] {
  const place = (contract: string, from: string, to: string): string => JSON.stringify([contract, from, to]);
  const inTime = new Set(
    received
      .filter((rating) => rating.problem === null && !isLate(rating))
      .map(({ contract, from, to }) => place(contract, from, to)),
  );
  const found = new Map<string, DefaultedRating>();
  for (const { id, from, to, contract, role, settledAt } of given) {
    const at = settledAt + DEADLINE_MS;
    const silent = place(contract, to, from);
    if (role === null || asOf <= at || inTime.has(silent) || found.has(silent)) continue;
    const own: TradeRole = role === 'market_seller' ? 'market_buyer' : 'market_seller';
    const node = nodeOf(to) ?? '';
    const verdict = node === nodeOf(from) ? 'own-node' : roots.has(node) ? 'defaulted' : 'not-a-root';
    found.set(silent, { from: to, to: from, role: own, contract, at, of: id, verdict });
  }
  return [...found].sort(byText(([where]) => where)).map(([, one]) => one);
}

/** What is known of a subject in one role; nothing where that is nothing. */
function roleReputation(
  role: TradeRole,
  inputs: readonly ProofInput[],
  defaults: readonly DefaultedRating[],
): RoleReputation[] {
  const ofRole = inputs.filter((rating) => rating.role === role);
  const having = (verdict: string): Distribution =>
    distributionOf(
      ofRole
        .filter((rating) => rating.verdict === verdict)
        .map(({ from, score, signedAt: at }) => ({ from, score, at })),
    );
  const silent = defaults.filter((one) => one.role === role && one.verdict === 'defaulted');
  const found = {
    active: having('active'),
    late: having('late'),
    defaulted: distributionOf(silent.map(({ from, at }) => ({ from, at, score: LBTAS.defaulted }))),
    dismissed: having('dismissed'),
  };
  const isKnown = Object.values(found).some(({ ratings }) => ratings > 0);
  const contested = ofRole.filter(
    (rating) => rating.contested && (rating.verdict === 'active' || rating.verdict === 'late'),
  ).length;
  return isKnown ? [{ role, ...found, contested }] : [];
}

/** Each node once, at the lower median of what its users gave. */
function distributionOf(
  ratings: readonly { readonly from: string; readonly score: number; readonly at: number }[],
): Distribution {
  const levels: [number, number, number, number, number, number] = [0, 0, 0, 0, 0, 0];
  const nodes = Map.groupBy(ratings, ({ from }) => nodeOf(from));
  let breaches = 0;
  for (const users of nodes.values()) {
    const scores = users.map(({ score }) => score).sort((a, b) => a - b);
    const level = (scores[Math.floor((scores.length - 1) / 2)] ?? 0) - LBTAS.min;
    levels[level] = (levels[level] ?? 0) + 1;
    if (scores[0] === LBTAS.min) breaches++;
  }
  let [first, last] = [Infinity, -Infinity];
  for (const { at } of ratings) [first, last] = [Math.min(first, at), Math.max(last, at)];
  return {
    levels,
    nodes: nodes.size,
    ratings: ratings.length,
    breaches,
    first: ratings.length === 0 ? null : first,
    last: ratings.length === 0 ? null : last,
  };
}

function sortedById<T extends { readonly id: string }>(items: Iterable<T>, which: (item: T) => boolean): T[] {
  const found = new Map<string, T>();
  for (const item of items) if (which(item)) found.set(item.id, item);
  return [...found.values()].sort(byText(({ id }) => id));
}

function byText<T>(text: (item: T) => string): (a: T, b: T) => number {
  return (a, b) => {
    const [first, second] = [text(a), text(b)];
    if (first === second) return 0;
    return first < second ? -1 : 1;
  };
}
