import { AgrinetError } from '../errors.ts';
import { draftFact } from '../ledger/drafts.ts';
import type { Ledger } from '../ledger/types.ts';
import type { PeerId } from '../wire/identity.ts';
import { parseRecordKey, type RecordKey } from '../wire/ids.ts';
import { KeyedQueue } from '../serial-queue.ts';
import { partyOf } from './contract-book/steps.ts';
import type { Actor, HeldContract, ContractView } from './contract-book/types.ts';
import { nodeOf } from './party.ts';
import { type Rating, writeReceipt } from './rating.ts';
import { REASON_WORDS, type RatingReasons } from './rating-reasons.ts';
import type { Ratings } from './ratings.ts';
import { LBTAS } from './lbtas.ts';

/** A rating as a client sends it. */
export interface RatingRequest {
  readonly contract: RecordKey;
  /** The rater, when the caller is not one by itself; a bare name is this node's user. */
  readonly from?: string | undefined;
  /** Checked against the contract when it is given. */
  readonly to?: string | undefined;
  readonly score: number;
  /** Public; of a -1 it is the reason, which only the parties and their operators read. */
  readonly comment?: string | undefined;
  readonly tags?: string | undefined;
}

export interface Submitted {
  readonly rating: Rating;
  /** False when the current rating says the same already. */
  readonly changed: boolean;
}

export interface SubmissionParts {
  readonly self: PeerId;
  readonly ledger: Pick<Ledger, 'write'>;
  readonly ratings: Pick<Ratings, 'read' | 'current'>;
  readonly reasons: Pick<RatingReasons, 'of' | 'write'>;
  /** The contract as its node's operator sees it; throws `not-found`. */
  readonly contract: (key: RecordKey) => Promise<ContractView>;
  readonly now: () => number;
}

/** Writes ratings. */
export interface RatingSubmission {
  /** Throws `rating-score`, `reason-required` (400), `not-found`, `not-a-party`, `forbidden`, `contract-unsettled` (409). */
  submit(request: RatingRequest, actor: Actor): Promise<Submitted>;
}

/** Users of this node rate whom they have settled a contract with; one rating of a contract and rater at a time. */
export function createRatingSubmission(parts: SubmissionParts): RatingSubmission {
  const { self, ledger, ratings, reasons, now } = parts;
  const locks = new KeyedQueue();

  async function submitNow(held: HeldContract, from: string, request: RatingRequest): Promise<Submitted> {
    const to = ratedOf(held, from, request.to);
    const receipt = receiptOf(held);
    const { score, tags } = request;
    const isBreach = score === LBTAS.min;
    const comment = isBreach ? undefined : request.comment;
    const current = await ratings.current(request.contract, from, to);
    // The reason first: after a crash, a rating must not be there without one.
    const reasoned = isBreach && (await reasons.write(request.contract, from, request.comment ?? ''));
    if (current?.score === score && current.comment === (comment ?? '') && current.tags === (tags ?? ''))
      return { rating: current, changed: reasoned };
    const fields = {
      from,
      to,
      score,
      receipt,
      ratedAt: now(),
      comment,
      tags,
      supersedes: current === undefined ? undefined : parseRecordKey(current.id)?.id,
    };
    const { records } = await ledger.write({
      keys: [],
      draft: (writer) => [draftFact(writer, 'ratings', fields)],
    });
    const state = records[0]?.after;
    if (state === undefined) throw new AgrinetError('internal', 'a written rating has no state');
    const rating = ratings.read(state);
    if (rating.problem !== null) throw new AgrinetError('internal', `a written rating is ${rating.problem}`);
    return { rating, changed: true };
  }

  return {
    async submit(request, actor) {
      const { score, contract } = request;
      if (!Number.isInteger(score) || score < LBTAS.min || score > LBTAS.max)
        throw new AgrinetError('rating-score', 'the score must be a whole number from -1 to 4');
      if (score === LBTAS.min) requireReason(request.comment);
      const { held } = await parts.contract(contract);
      if (held === undefined)
        throw new AgrinetError('contract-unsettled', 'this is not a settled contract between two parties');
      const from = partyOf(held, self, actor, request.from);
      return locks.run(`${contract} ${from}`, () => submitNow(held, from, request));
    },
  };
}

/** Throws `reason-required`, `fields-invalid`. */
function requireReason(comment: string | undefined): void {
  const words = (comment ?? '').split(/\s+/u).filter((word) => word !== '').length;
  if (words === 0)
    throw new AgrinetError(
      'reason-required',
      'comment: a rating of -1 records a breach and needs the reason; only the parties and their operators can read it',
    );
  if (words > REASON_WORDS)
    throw new AgrinetError(
      'fields-invalid',
      `comment: the reason has ${words} words; at most ${REASON_WORDS} are allowed`,
    );
}

/** The receipt that entitles to a rating. Throws `contract-unsettled`. */
function receiptOf({ statements, verdict }: HeldContract): string {
  const envelopes = (verdict.receipt ?? []).map(
    (hash) => statements.find(({ transition }) => transition.hash === hash)?.bytes,
  );
  const [one, other] = envelopes;
  if (one !== undefined && other !== undefined) return writeReceipt(one, other);
  throw new AgrinetError(
    'contract-unsettled',
    `the contract is ${verdict.state}; it can be rated once both parties have settled it`,
  );
}

/** The rated party, if `named` is that. Throws `fields-invalid`. */
function ratedOf({ contract }: HeldContract, from: string, named: string | undefined): string {
  const to = contract.parties.find((party) => party !== from) ?? '';
  if (named === undefined || named === to || `${named}@${nodeOf(to) ?? ''}` === to) return to;
  throw new AgrinetError('fields-invalid', `to: the other party of this contract is ${to}`);
}
