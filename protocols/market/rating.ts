import { AgrinetError } from '../errors.ts';
import type { Scalar } from '../open-dialog/change.ts';
import { base64url, fromBase64url } from '../wire/bytes.ts';
import type { PeerId } from '../wire/identity.ts';
import { isLocalId, parseRecordKey, recordKey, type RecordKey } from '../wire/ids.ts';
import { verifyTransition, type Transition } from './contract/statement.ts';
import { nodeOf, parseParty } from './party.ts';
import { LBTAS } from './lbtas.ts';
import type { RatingInput } from './rating-verdicts.ts';

/**
 * A rating fact, read. With a problem it never counts, and whatever only the receipt shows is empty, null or 0 when it is not known.
 */
export interface Rating extends RatingInput {
  readonly id: RecordKey;
  readonly comment: string;
  readonly tags: string;
  /** Milliseconds since 1970, by the rater's clock. */
  readonly ratedAt: number;
  readonly problem: RatingProblem | null;
}

export type RatingProblem =
  /** A field is missing or of the wrong type. */
  | 'rating-malformed'
  /** Not a whole number from -1 to 4. */
  | 'rating-score'
  /** `from` or `to` is not `user@peer-id`, or both are the same. */
  | 'rating-party'
  /** Published by another node than the rater's. */
  | 'rating-foreign'
  /** `supersedes` is not a local id. */
  | 'rating-supersedes'
  /** Not two different base64url texts joined by a dot. */
  | 'receipt-malformed'
  /** A statement cannot be opened: its form or signature is wrong, or not its party's node signed. */
  | 'receipt-signature'
  /** A statement of another network. */
  | 'receipt-net'
  /** A statement other than `settle`. */
  | 'receipt-kind'
  /** The statements name two contracts, or a contract that neither party's node began. */
  | 'receipt-contract'
  /** The statements are not by exactly the rater and the rated. */
  | 'receipt-party'
  /** Both statements name the same side of the trade. */
  | 'receipt-role';

/** The `receipt` field of two signed `settle` statements, the same whichever is given first. */
export function writeReceipt(one: Uint8Array, other: Uint8Array): string {
  return [base64url(one), base64url(other)].sort().join('.');
}

/**
 * Reads a fact of `ratings`, signed at a time in milliseconds, and evaluates it by itself: it is a rating only with the receipt of a
 * contract that both parties settled. Never throws for bad input; `problem` says what is wrong.
 */
export function readRating(
  key: RecordKey,
  view: Readonly<Record<string, Scalar>>,
  net: string,
  signedAt: number,
): Rating {
  const text = (name: string): string => (typeof view[name] === 'string' ? view[name] : '');
  const owner = parseRecordKey(key)?.owner;
  const older = text('supersedes');
  const rating = {
    id: key,
    from: text('from'),
    to: text('to'),
    score: typeof view['score'] === 'number' ? view['score'] : Number.NaN,
    comment: text('comment'),
    tags: text('tags'),
    ratedAt: typeof view['ratedAt'] === 'number' ? view['ratedAt'] : Number.NaN,
    contract: '',
    role: null,
    signedAt,
    settledAt: 0,
    supersedes: owner !== undefined && isLocalId(older) ? recordKey('ratings', owner, older) : null,
  };
  const problem = fieldProblem(rating, owner, view);
  if (problem !== null) return { ...rating, problem };
  const receipt = readReceipt(text('receipt'));
  if (typeof receipt === 'string') return { ...rating, problem: receipt };
  const rated = receipt.find(({ party }) => party === rating.to);
  return {
    ...rating,
    contract: receipt[0].contract,
    role: rated?.kind === 'settle' ? rated.role : null,
    settledAt: Math.max(receipt[0].at, receipt[1].at),
    problem: receiptProblem(receipt, rating, net),
  };
}

type Receipt = readonly [Transition, Transition];

function fieldProblem(
  rating: Pick<Rating, 'from' | 'to' | 'score' | 'ratedAt' | 'supersedes'>,
  owner: PeerId | undefined,
  view: Readonly<Record<string, Scalar>>,
): RatingProblem | null {
  if (Number.isNaN(rating.score) || Number.isNaN(rating.ratedAt)) return 'rating-malformed';
  if (!Number.isInteger(rating.score) || rating.score < LBTAS.min || rating.score > LBTAS.max)
    return 'rating-score';
  const from = parseParty(rating.from);
  if (from === undefined || parseParty(rating.to) === undefined || rating.from === rating.to)
    return 'rating-party';
  if (from.node !== owner) return 'rating-foreign';
  return view['supersedes'] !== undefined && rating.supersedes === null ? 'rating-supersedes' : null;
}

function readReceipt(text: string): Receipt | RatingProblem {
  const parts = text.split('.');
  const [one, other] = parts.map(fromBase64url);
  if (parts.length !== 2 || !one?.length || !other?.length || parts[0] === parts[1])
    return 'receipt-malformed';
  try {
    return [verifyTransition(one), verifyTransition(other)];
  } catch (error) {
    if (error instanceof AgrinetError) return 'receipt-signature';
    throw error;
  }
}

function receiptProblem(
  receipt: Receipt,
  { from, to }: Pick<Rating, 'from' | 'to'>,
  net: string,
): RatingProblem | null {
  const [one, other] = receipt;
  if (receipt.some((step) => step.net !== net)) return 'receipt-net';
  if (one.kind !== 'settle' || other.kind !== 'settle') return 'receipt-kind';
  const parts = parseRecordKey(one.contract);
  const begun =
    parts?.collection === 'contracts' && receipt.some(({ party }) => nodeOf(party) === parts.owner);
  if (!begun || one.contract !== other.contract) return 'receipt-contract';
  const theirs = (a: Transition, b: Transition): boolean => a.party === from && b.party === to;
  if (!theirs(one, other) && !theirs(other, one)) return 'receipt-party';
  return one.role === other.role ? 'receipt-role' : null;
}
