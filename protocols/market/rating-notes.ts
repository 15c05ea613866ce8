import type { Scalar } from '../open-dialog/change.ts';
import { isLocalId, parseRecordKey, recordKey, type RecordKey } from '../wire/ids.ts';
import { nodeOf, parseParty } from './party.ts';
import { displaced } from './displaced.ts';

/** A node's statement on a rating. Nothing is deleted: a note is shown with it. */
export const NOTE_KINDS = ['contest', 'dismiss', 'uphold'] as const;
export type NoteKind = (typeof NOTE_KINDS)[number];

/** The reason, as a code and not a text: nobody must be described in public. */
export const NOTE_REASONS = [
  'abusive',
  'coerced',
  'facts-differ',
  'mistaken',
  'resolved',
  'retaliation',
  'wrong-party',
] as const;
export type NoteReason = (typeof NOTE_REASONS)[number];

export type NoteProblem =
  /** A field is missing, of the wrong type or not one of its values. */
  | 'note-malformed'
  /** Published by another node than that of `by`. */
  | 'note-foreign';

/** A fact of `rating-notes`, read. */
export interface NoteInput {
  /** Record key of the fact. */
  readonly id: string;
  /** Record key of the rating, and the party that it rates: a note that names another party does not apply to that rating. */
  readonly rating: string;
  readonly to: string;
  readonly kind: NoteKind | null;
  /** Its author, `user@peer-id`. */
  readonly by: string;
  readonly why: NoteReason | null;
  /** When it was signed, milliseconds since 1970. */
  readonly signedAt: number;
  /** Record key of the note that this one replaces; null without. */
  readonly supersedes: string | null;
  readonly problem: NoteProblem | null;
}

/** A rating as far as notes are concerned. */
interface NotedRating {
  readonly from: string;
  readonly to: string;
}

/**
 * A note and its verdict: `effective`; `view` (an opinion, without effect here); `superseded` or `duplicate` (by another note of
 * `by`'s node, of which one per rating is current); a `note-...` code.
 */
export interface NoteVerdict extends NoteInput {
  readonly verdict: string;
  /** As whom its node speaks: for the rater, for the rated party, as an adjudicator of the question, or as anybody else. */
  readonly side: 'rater' | 'rated' | 'adjudicator' | 'other';
}

export interface NoteEffect {
  readonly dismissed: boolean;
  readonly contested: boolean;
  readonly upheld: boolean;
}

/** Reads a fact of `rating-notes`, signed at a time in milliseconds. Never throws for bad input; `problem` says what is wrong. */
export function readNote(
  key: RecordKey,
  view: Readonly<Record<string, Scalar>>,
  signedAt: number,
): NoteInput {
  const text = (name: string): string => (typeof view[name] === 'string' ? view[name] : '');
  const owner = parseRecordKey(key)?.owner;
  const older = text('supersedes');
  const note = {
    id: key,
    rating: text('rating'),
    to: text('to'),
    kind: NOTE_KINDS.find((kind) => kind === view['kind']) ?? null,
    by: text('by'),
    why: NOTE_REASONS.find((reason) => reason === view['why']) ?? null,
    signedAt,
    supersedes: owner !== undefined && isLocalId(older) ? recordKey('rating-notes', owner, older) : null,
  };
  const by = parseParty(note.by);
  const isMalformed =
    note.kind === null ||
    note.why === null ||
    by === undefined ||
    parseRecordKey(note.rating)?.collection !== 'ratings' ||
    parseParty(note.to) === undefined ||
    (view['supersedes'] !== undefined && note.supersedes === null);
  if (isMalformed) return { ...note, problem: 'note-malformed' };
  return { ...note, problem: by.node === owner ? null : 'note-foreign' };
}

/**
 * The verdict on each note, in ascending order of ids: of one node's notes on one rating one is current, as with ratings. The
 * rater's node may dismiss its own side's rating or uphold it; the rated party's node may contest; any other node's note is only its
 * view, as are other notes of the rated party's node, so no node can dismiss ratings of its own users. `adjudicators` are the nodes
 * whose notes take effect for this question.
 */
export function* noteVerdicts(
  notes: readonly NoteInput[],
  ratings: ReadonlyMap<string, NotedRating>,
  adjudicators: ReadonlySet<string>,
): Generator<void, NoteVerdict[]> {
  const others = yield* displaced(
    notes.filter(({ problem }) => problem === null),
    placeOf,
  );
  const verdicts: NoteVerdict[] = [];
  for (const note of notes) {
    yield;
    const side = sideOf(note, ratings.get(note.rating), adjudicators);
    const status = hasEffect(note.kind, side) ? 'effective' : 'view';
    const verdict = note.problem ?? others.get(note.id)?.verdict ?? status;
    verdicts.push({ ...noteOf(note), verdict, side });
  }
  return verdicts;
}

/** One note is current for each rating and node. */
export function placeOf({ rating, by }: NoteInput): string {
  return `${rating} ${nodeOf(by) ?? ''}`;
}

/** The result of the notes on one rating. Adjudicators who disagree leave the rating as it is. */
export function effectOf(notes: readonly NoteVerdict[]): NoteEffect {
  const says = (kind: NoteKind, side: NoteVerdict['side']): boolean =>
    notes.some((note) => note.verdict === 'effective' && note.kind === kind && note.side === side);
  return {
    dismissed: says('dismiss', 'rater') || (says('dismiss', 'adjudicator') && !says('uphold', 'adjudicator')),
    contested: says('contest', 'rated'),
    upheld: says('uphold', 'rater') || says('uphold', 'adjudicator'),
  };
}

function sideOf(
  { by }: NoteInput,
  rating: NotedRating | undefined,
  adjudicators: ReadonlySet<string>,
): NoteVerdict['side'] {
  const node = nodeOf(by) ?? '';
  if (rating !== undefined && node === nodeOf(rating.from)) return 'rater';
  if (rating !== undefined && node === nodeOf(rating.to)) return 'rated';
  return adjudicators.has(node) ? 'adjudicator' : 'other';
}

function hasEffect(kind: NoteKind | null, side: NoteVerdict['side']): boolean {
  if (side === 'rated') return kind === 'contest';
  return side !== 'other' && kind !== 'contest';
}

/** Exactly the fields of an input: a caller's may carry more. */
function noteOf({ id, rating, to, kind, by, why, signedAt, supersedes, problem }: NoteInput): NoteInput {
  return { id, rating, to, kind, by, why, signedAt, supersedes, problem };
}
