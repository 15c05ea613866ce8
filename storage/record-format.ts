import type { RecordState } from '../protocols/open-dialog/record.ts';
import type { RecordKey } from '../protocols/wire/ids.ts';
import { NumberBytesError } from './number-bytes.ts';

/**
 * The state of a record as bytes; README, *Records*, has the layout: first all numbers, then all texts, concatenated. Each state has
 * one encoding, and a reader accepts no other, so damage is detected and never misread.
 */
export const COMPACT = 1;

export const FLAG = {
  exists: 1,
  tombstone: 2,
  private: 4,
  /** Created and updated at one time. */
  oneTime: 8,
  /** The one head is the hash that the local id is: a public fact's. */
  headIsId: 16,
  /** Rare fields, as JSON at the end of the texts. */
  tail: 32,
} as const;
export const ALL_FLAGS = 63;

/** The kind of a field's value, in the low bits; the number of its visible ops, above them. */
export const KIND = {
  none: 0,
  text: 1,
  whole: 2,
  negative: 3,
  tenths: 4,
  hundredths: 5,
  double: 6,
  true: 7,
  false: 8,
  null: 9,
} as const;
export const KINDS = 16;
/** The first counter of an op that sets a field, behind the genesis: ops of a creation are 0 from there. */
export const FIRST_OP = 2;

export const ACTOR_DIGITS = 32;
export const HASH_DIGITS = 64;
const HEX = /^[0-9a-f]*$/;
export const isHex = (text: string, digits: number): boolean => text.length === digits && HEX.test(text);

/** Names that an object does not keep, or not in their place. */
export const isOddName = (name: string): boolean => name in Object.prototype || /^\d+$/.test(name);

type Placed =
  | 'key'
  | 'channel'
  | 'heads'
  | 'view'
  | 'fieldOps'
  | 'seqs'
  | 'maxOp'
  | 'created'
  | 'updated'
  | 'tombstone'
  | 'exists'
  | 'pending'
  | 'ops';
type Rare = Exclude<keyof RecordState, Placed>;
/** All fields that have no place among the numbers, in the order of the tail; complete by its type. */
const RARE_FIELDS = {
  conflicts: true,
  listed: true,
  erased: true,
  members: true,
  rest: true,
  unmerged: true,
  floored: true,
} as const satisfies Readonly<Record<Rare, true>>;
export const RARE = Object.keys(RARE_FIELDS) as readonly Rare[];
export type Tail = { readonly [N in Rare]?: RecordState[N] };

/** What only JSON can represent. */
export const odd = (what: string): NumberBytesError => new NumberBytesError(`${what} has no compact form`);

/** Prices have two decimals: as whole hundredths they take two or three bytes, not eight. */
export function partsOf(kind: number): number {
  if (kind === KIND.tenths) return 10;
  return kind === KIND.hundredths ? 100 : 1;
}

/** The kind of a number; throws for anything else. */
export function kindOfNumber(value: number): number {
  if (Number.isSafeInteger(value)) return value < 0 ? KIND.negative : KIND.whole;
  if (!Number.isFinite(value)) throw odd('no number');
  for (const kind of [KIND.tenths, KIND.hundredths]) {
    const parts = Math.round(value * partsOf(kind));
    if (parts > 0 && Number.isSafeInteger(parts) && parts / partsOf(kind) === value) return kind;
  }
  return KIND.double;
}

/** The end of a key. */
export function localIdOf(key: RecordKey): string {
  return key.slice(key.lastIndexOf('/') + 1);
}
