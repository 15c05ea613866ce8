import { AgrinetError } from '../errors.ts';
import { draftFact } from '../ledger/drafts.ts';
import type { Ledger } from '../ledger/types.ts';
import { KeyedQueue } from '../serial-queue.ts';
import type { PeerId } from '../wire/identity.ts';
import { parseRecordKey, type RecordKey } from '../wire/ids.ts';
import type { Actor } from './contract-book/types.ts';
import { nodeOf, parseParty } from './party.ts';
import { type NoteInput, type NoteKind, type NoteReason, readNote } from './rating-notes.ts';
import type { Rating } from './rating.ts';
import { type Ratings, currentOf } from './ratings.ts';

/** A note as a client sends it. */
export interface NoteRequest {
  readonly rating: RecordKey;
  readonly kind: NoteKind;
  readonly why: NoteReason;
}

export interface Annotated {
  readonly note: NoteInput;
  /** False when the current note says the same already. */
  readonly changed: boolean;
}

export interface AnnotationParts {
  readonly self: PeerId;
  readonly ledger: Pick<Ledger, 'write'>;
  readonly ratings: Pick<Ratings, 'get' | 'notesOf'>;
  readonly now: () => number;
}

/** Writes notes on ratings. */
export interface RatingAnnotation {
  /** Throws `not-found`, `forbidden` (403). */
  annotate(request: NoteRequest, actor: Actor): Promise<Annotated>;
}

/** One note by a node on a rating is current at a time: a later one replaces it, and the earlier one stays readable. */
export function createRatingAnnotation(parts: AnnotationParts): RatingAnnotation {
  const { self, ledger, ratings, now } = parts;
  const locks = new KeyedQueue();

  async function annotateNow(of: Rating, { kind, why }: NoteRequest, by: string): Promise<Annotated> {
    const own = (await ratings.notesOf(of)).filter(
      (note) => note.problem === null && nodeOf(note.by) === self,
    );
    const current = currentOf(own);
    if (current?.kind === kind && current.why === why && current.by === by)
      return { note: current, changed: false };
    const supersedes = current === undefined ? undefined : parseRecordKey(current.id)?.id;
    const fields = { rating: of.id, to: of.to, kind, by, why, notedAt: now(), supersedes };
    const { records } = await ledger.write({
      keys: [],
      draft: (writer) => [draftFact(writer, 'rating-notes', fields)],
    });
    const state = records[0]?.after;
    if (state === undefined) throw new AgrinetError('internal', 'a written note has no state');
    return { note: readNote(state.key, state.view, state.created[0]), changed: true };
  }

  return {
    async annotate(request, actor) {
      const rating = await ratings.get(request.rating);
      if (rating === undefined) throw new AgrinetError('not-found', 'this node has no such rating');
      const by = annotator(rating, request.kind, self, actor);
      return locks.run(request.rating, () => annotateNow(rating, request, by));
    },
  };
}

/**
 * As whom a caller speaks. The rated party contests, and takes a contest back by upholding; the rater's side dismisses or upholds; the operator
 * of any other node states its view. Throws `forbidden`.
 */
function annotator({ from, to }: Rating, kind: NoteKind, self: PeerId, actor: Actor): string {
  const [rater, rated] = [nodeOf(from) === self, nodeOf(to) === self];
  if (kind === 'contest' && !rated)
    throw new AgrinetError('forbidden', 'only the rated user can contest a rating, at its own node');
  if (kind === 'dismiss' && rated && !rater)
    throw new AgrinetError(
      'forbidden',
      'the node of the rated user cannot dismiss the rating; contest it instead',
    );
  if (!rater && !rated) {
    if (!actor.operator)
      throw new AgrinetError('forbidden', 'only an operator can state this node’s view of a rating');
    return `${actor.userId ?? 'operator'}@${self}`;
  }
  const party = kind === 'contest' || !rater ? to : from;
  if (actor.operator || parseParty(party)?.user === actor.userId) return party;
  throw new AgrinetError(
    'forbidden',
    party === to
      ? 'only the rated user contests a rating, or takes that back'
      : 'only the rater takes a rating back or stands by it',
  );
}
