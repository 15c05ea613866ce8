import { LBTAS, ratingDeadline } from './lbtas.ts';
import { nodeOf } from './party.ts';
import { effectOf, type NoteVerdict } from './rating-notes.ts';
import type { TradeRole } from './roles.ts';
import { displaced } from './displaced.ts';

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
  /** The side of the rated party; null where the receipt does not show it. */
  readonly role: TradeRole | null;
  /** When the rating was signed, and the later of the two settles of its receipt; milliseconds since 1970. */
  readonly signedAt: number;
  readonly settledAt: number;
  /** Record key of the rating that this one corrects; null without. */
  readonly supersedes: string | null;
  /** Why the fact is not a valid rating; null when it is. */
  readonly problem: string | null;
}

/**
 * The verdict on a rating: `active`; `late` (signed after the deadline); `dismissed`; a `rating-...` or `receipt-...` code;
 * `own-node` (rater and rated share a node); `not-a-root`; `superseded` or `duplicate` (of `by`).
 */
export interface RatingVerdict extends RatingInput {
  readonly verdict: string;
  /** The rating in its place. */
  readonly by: string | null;
  /** Whether the rated party's node contests it, and whether the rater's node upholds it. */
  readonly contested: boolean;
  readonly upheld: boolean;
}

/** Whether a rating was signed after its deadline. */
export function isLate({ signedAt, settledAt }: Pick<RatingInput, 'signedAt' | 'settledAt'>): boolean {
  return signedAt > ratingDeadline(settledAt);
}

/** Whether a rating is shown among those given: it was neither dismissed nor replaced. */
export function isGiven({ verdict }: Pick<RatingVerdict, 'verdict'>): boolean {
  return verdict === 'active' || verdict === 'late';
}

/** Exactly the fields of an input: a caller's may carry more. */
export function ratingInput(rating: RatingInput): RatingInput {
  const { id, from, to, score, contract, role, signedAt, settledAt, supersedes, problem } = rating;
  return { id, from, to, score, contract, role, signedAt, settledAt, supersedes, problem };
}

/**
 * The verdict on each rating, given whose ratings count (`roots`) and the notes; both ascend by id. A correction after the deadline
 * does not replace what was said in time: it is shown with it.
 */
export function* ratingVerdicts(
  ratings: readonly RatingInput[],
  roots: ReadonlySet<string>,
  notes: readonly NoteVerdict[],
): Generator<void, RatingVerdict[]> {
  const refused = new Map<string, string>();
  for (const rating of ratings) {
    yield;
    const why = refusal(rating, roots);
    if (why !== undefined) refused.set(rating.id, why);
  }
  const others = yield* displaced(
    ratings.filter(({ id }) => !refused.has(id)),
    ({ from, to, contract, ...times }) => JSON.stringify([from, to, contract, isLate(times)]),
  );
  const noted = Map.groupBy(notes, ({ rating }) => rating);
  const verdicts: RatingVerdict[] = [];
  for (const rating of ratings) {
    yield;
    const { dismissed, ...told } = effectOf(noted.get(rating.id) ?? []);
    const other = others.get(rating.id);
    const status = dismissed ? 'dismissed' : isLate(rating) ? 'late' : 'active';
    const verdict = refused.get(rating.id) ?? other?.verdict ?? status;
    verdicts.push({ ...ratingInput(rating), verdict, by: other?.by ?? null, ...told });
  }
  return verdicts;
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
