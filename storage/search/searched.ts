import { type RecordState, isLive } from '../../protocols/open-dialog/record.ts';
import { listedTimes } from '../../protocols/open-dialog/record-times.ts';
import { wordsOf } from '../../protocols/market/search-words.ts';
import { coordinatesOf, indexValue } from '../indexes.ts';

/** Fields whose words are searched. */
const TEXTS = ['title', 'description', 'commodity'] as const;
/**
 * Fields found by their whole value, as in lists. Fields with mostly unique values are not among them: each value would be a word of
 * its own.
 */
const EXACT = { type: 't', status: 's', region: 'r', commodity: 'c', currency: 'm', unit: 'u' } as const;
export type ExactField = keyof typeof EXACT;

export const isExact = (field: string): field is ExactField => Object.hasOwn(EXACT, field);

const EXACT_FIELDS = Object.keys(EXACT) as ExactField[];

/** Terms that are remembered, of each field: values of a market repeat. */
const REMEMBERED = 10_000;
const remembered = new Map(EXACT_FIELDS.map((field) => [field, new Map<string, string>()]));

/** The prefix of a field's whole value among the words; no word begins with it. */
export function exactTerm(field: ExactField, value: string): string {
  const terms = remembered.get(field);
  const known = terms?.get(value);
  if (known !== undefined) return known;
  const term = `=${EXACT[field]}${indexValue(value)}`;
  if ((terms?.size ?? 0) >= REMEMBERED) terms?.clear();
  terms?.set(value, term);
  return term;
}
export const ownerTerm = (owner: string): string => `=o${owner}`;

/** Unset among the numbers. */
export const NONE = Number.NaN;

/** What a listing is found and sorted by. */
export interface SearchedListing {
  /** Words and exact terms; some may be there twice. */
  readonly terms: readonly string[];
  /** Of its last change as lists have it, milliseconds since 1970. */
  readonly time: number;
  readonly price: number;
  readonly quantity: number;
  /** In 1e-6 degrees, as exactly as listings say it. */
  readonly lat: number;
  readonly long: number;
}

/** Undefined for anything but a listing to be found. */
export function searchedOf(state: RecordState | undefined): SearchedListing | undefined {
  if (!isLive(state) || state.channel !== 'public' || !state.key.startsWith('listings/')) return undefined;
  const { view } = state;
  let text = '';
  for (const field of TEXTS) {
    const value = view[field];
    if (typeof value === 'string') text += `${value}\n`;
  }
  const terms = wordsOf(text);
  for (const field of EXACT_FIELDS) {
    const value = view[field];
    if (typeof value === 'string') terms.push(exactTerm(field, value));
  }
  terms.push(ownerTerm(state.key.slice('listings/'.length, state.key.lastIndexOf('/'))));
  const at = coordinatesOf(view);
  return {
    terms,
    time: listedTimes(state).updated[0],
    price: numberOf(view['price']),
    quantity: numberOf(view['quantity']),
    lat: at === undefined ? NONE : Math.round(at.lat * 1e6),
    long: at === undefined ? NONE : Math.round(at.long * 1e6),
  };
}

const numberOf = (value: unknown): number => (typeof value === 'number' ? value : NONE);
