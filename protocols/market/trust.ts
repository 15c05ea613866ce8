import { AgrinetError } from '../errors.ts';
import { parsePeerId, type PeerId } from '../wire/identity.ts';
import type { Json } from '../wire/json.ts';
import { nodeOf } from './party.ts';

/**
 * The LBTAS score of a user or node: a pure function of (ratings held, roots), in integers, so that any two nodes with equal
 * facts and roots compute equal bytes. It is a mean over counterparties with a neutral prior. A counterparty is a node: its
 * users share its one weight, because a node can make up as many users and contracts as it likes. Within it each rater has an
 * equal share, and within a rater each contract, so that a thousand contracts of one rater say no more than one.
 */
export const LBTAS = { min: -1, max: 4 } as const;

/** Micro-points: a million to one point of LBTAS. */
const SCALE = 1_000_000;
/** What an unrated party would have: 2, "basic satisfaction", with the weight of five counterparties. */
const PRIOR = { score: 2 * SCALE, weight: 5 } as const;

/** A rating as far as the score is concerned. */
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
  /** Record key of the rating that this one corrects; null without. */
  readonly supersedes: string | null;
  /** Why the fact is no valid rating; null when it is. */
  readonly problem: string | null;
}

/** What shows on a profile. Nothing enters it but what counts. */
export interface TrustScore {
  readonly subject: string;
  /** Micro-points, -1,000,000 to 4,000,000; null is unknown, because no rating counts. */
  readonly score: number | null;
  /** Nodes whose ratings count. */
  readonly counterparties: number;
}

/**
 * What became of an input: `counted`; a `rating-...` or `receipt-...` code; `own-node` (rater and rated share a node);
 * `not-a-root`; `superseded` or `duplicate` (of `by`).
 */
export interface ProofInput extends RatingInput {
  readonly verdict: string;
  /** The rating that stands in its place. */
  readonly by: string | null;
}

/** Everything that the score comes from. Every quotient is rounded down, towards minus infinity. */
export interface TrustProof extends TrustScore {
  readonly v: 1;
  readonly scale: number;
  readonly prior: { readonly score: number; readonly weight: number };
  /** Nodes whose ratings count, sorted. */
  readonly roots: readonly string[];
  /** Sorted by id. */
  readonly inputs: readonly ProofInput[];
  /** Sorted by node, the raters by name: `mean` of a rater is scale * sum / ratings, of a node the mean of its raters. */
  readonly nodes: readonly {
    readonly node: string;
    readonly mean: number;
    readonly raters: readonly {
      readonly rater: string;
      readonly sum: number;
      readonly ratings: number;
      readonly mean: number;
    }[];
  }[];
  /** prior.score * prior.weight and the nodes' means. `score` is sum / divisor. */
  readonly sum: number;
  /** prior.weight and the number of nodes. */
  readonly divisor: number;
}

/**
 * The score of `subject` (`user@peer-id`, or a peer id for all users of a node) with all that leads to it. Ratings of others are
 * left out; given twice, one counts once; the order does not matter. Throws `subject-malformed`.
 */
export function trustProof(
  subject: string,
  ratings: Iterable<RatingInput>,
  roots: Iterable<PeerId>,
): TrustProof {
  const node = parsePeerId(subject);
  if (node === undefined && nodeOf(subject) === undefined)
    throw new AgrinetError('subject-malformed', 'subject: must be user@peer-id or a peer ID');
  const trusted = new Set<string>(roots);
  const inputs = new Map<string, RatingInput>();
  for (const rating of ratings)
    if (rating.to === subject || (node !== undefined && nodeOf(rating.to) === node))
      inputs.set(rating.id, rating);
  const judged = judge([...inputs.values()].sort(byText(({ id }) => id)), trusted);
  const nodes = nodeMeans(judged.filter(({ verdict }) => verdict === 'counted'));
  const divisor = PRIOR.weight + nodes.length;
  const sum = nodes.reduce((total, { mean }) => total + mean, PRIOR.score * PRIOR.weight);
  return {
    v: 1,
    subject,
    score: nodes.length === 0 ? null : quotient(sum, divisor),
    counterparties: nodes.length,
    scale: SCALE,
    prior: PRIOR,
    roots: [...trusted].sort(),
    inputs: judged,
    nodes,
    sum,
    divisor,
  };
}

/** The score alone: byte-equal with and without any rating that does not count. Throws `subject-malformed`. */
export function trustScore(
  subject: string,
  ratings: Iterable<RatingInput>,
  roots: Iterable<PeerId>,
): TrustScore {
  const { score, counterparties } = trustProof(subject, ratings, roots);
  return { subject, score, counterparties };
}

/** True when the proof's inputs and roots give exactly this proof; says nothing of whether the facts are signed or all there are. */
export function trustProofHolds(proof: TrustProof): boolean {
  const roots = proof.roots.map(parsePeerId).filter((id) => id !== undefined);
  return trustText(trustProof(proof.subject, proof.inputs, roots)) === trustText(proof);
}

/** The canonical JSON (RFC 8785) of a score or proof: no spaces, keys sorted by UTF-16 code units. */
export function trustText(value: TrustScore | TrustProof): string {
  return JSON.stringify(value, (_key, inner: Json) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(byText(([name]) => name)))
      : inner,
  );
}

/** Of the ratings by one rater for one contract one counts: of those that no other corrects, the one with the lowest id. */
function judge(inputs: readonly RatingInput[], roots: ReadonlySet<string>): ProofInput[] {
  const refused = inputs.map((rating) => refusal(rating, roots));
  const place = ({ from, to, contract }: RatingInput): string => JSON.stringify([from, to, contract]);
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
  const standing = new Map<string, string>();
  return inputs.map((rating, index) => {
    const outcome = (verdict: string, by: string | null = null): ProofInput => ({
      id: rating.id,
      from: rating.from,
      to: rating.to,
      score: rating.score,
      contract: rating.contract,
      supersedes: rating.supersedes,
      problem: rating.problem,
      verdict,
      by,
    });
    const why = refused[index];
    if (why !== undefined) return outcome(why);
    const newer = correctedBy.get(rating.id);
    if (newer !== undefined) return outcome('superseded', newer);
    const first = standing.get(place(rating));
    if (first !== undefined) return outcome('duplicate', first);
    standing.set(place(rating), rating.id);
    return outcome('counted');
  });
}

function refusal(rating: RatingInput, roots: ReadonlySet<string>): string | undefined {
  if (rating.problem !== null) return rating.problem;
  const node = nodeOf(rating.from);
  if (node === undefined) return 'rating-party';
  if (!Number.isInteger(rating.score) || rating.score < LBTAS.min || rating.score > LBTAS.max)
    return 'rating-score';
  if (node === nodeOf(rating.to)) return 'own-node';
  return roots.has(node) ? undefined : 'not-a-root';
}

function nodeMeans(counted: readonly RatingInput[]): TrustProof['nodes'] {
  const raters = new Map<string, { rater: string; node: string; sum: number; ratings: number }>();
  for (const { from, score } of counted) {
    const known = raters.get(from) ?? { rater: from, node: nodeOf(from) ?? '', sum: 0, ratings: 0 };
    known.sum += score;
    known.ratings++;
    raters.set(from, known);
  }
  const nodes = Map.groupBy([...raters.values()].sort(byText(({ rater }) => rater)), ({ node }) => node);
  return [...nodes].sort(byText(([node]) => node)).map(([node, users]) => {
    const means = users.map(({ rater, sum, ratings }) => ({
      rater,
      sum,
      ratings,
      mean: quotient(sum * SCALE, ratings),
    }));
    return {
      node,
      mean: quotient(
        means.reduce((total, { mean }) => total + mean, 0),
        means.length,
      ),
      raters: means,
    };
  });
}

/** a / b of whole numbers, rounded down; exact, because no double is involved. b is over 0. */
function quotient(a: number, b: number): number {
  const [n, d] = [BigInt(a), BigInt(b)];
  const cut = n / d;
  return Number(n % d < 0n ? cut - 1n : cut);
}

function byText<T>(text: (item: T) => string): (a: T, b: T) => number {
  return (a, b) => {
    const [first, second] = [text(a), text(b)];
    if (first === second) return 0;
    return first < second ? -1 : 1;
  };
}
