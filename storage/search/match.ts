import { type Clause, matchesClause } from '../../protocols/market/search-words.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import { indexValue } from '../indexes.ts';
import { type ListFilter, matches } from '../list-filter.ts';
import { exactTerm, isExact, ownerTerm, type SearchedListing } from './searched.ts';

/** Numbers from the first to the second, both included. */
export interface Span {
  readonly from?: number | undefined;
  readonly to?: number | undefined;
}

export type SortOrder = 'newest' | 'price' | 'distance';

/** The criteria of a search in addition to a list's filter. */
export interface Search {
  /** All of them are wanted. */
  readonly clauses: readonly Clause[];
  readonly price?: Span | undefined;
  readonly quantity?: Span | undefined;
  /** `distance` is that from the middle of `near`. */
  readonly sort: SortOrder;
}

export function isIn(span: Span | undefined, value = Number.NaN): boolean {
  if (span === undefined) return true;
  const { from = -Infinity, to = Infinity } = span;
  return value >= from && value <= to;
}

/** Terms that a listing has to have for the exact values of a filter. */
export function termsOf({ fields, owner }: ListFilter): string[] {
  const terms = owner === undefined ? [] : [ownerTerm(owner)];
  for (const [field, value] of Object.entries(fields))
    if (value !== undefined && isExact(field) && indexValue(value) !== '')
      terms.push(exactTerm(field, value));
  return terms;
}

/** A listing to be matched against searches. */
export interface Held {
  readonly state: RecordState;
  readonly listing: SearchedListing;
  /** Its terms. */
  readonly words: ReadonlySet<string>;
}

/** The criteria for matching listings: a search and a filter, or without a search what a list shows. */
export interface Asked {
  readonly search: Search | undefined;
  readonly filter: ListFilter;
  /** `termsOf` the filter. */
  readonly terms: readonly string[];
}

/**
 * Whether a listing is one that is found by a search and a filter: without an index, and the same as `Searches` would find in one. Throws what
 * the filter's `keep` throws.
 */
export function isMatch({ state, listing, words }: Held, { search, filter, terms }: Asked): boolean {
  if (search !== undefined) {
    const { clauses, price, quantity } = search;
    if (!isIn(price, listing.price) || !isIn(quantity, listing.quantity)) return false;
    if (!terms.every((term) => words.has(term))) return false;
    if (!clauses.every((clause) => matchesClause(words, clause))) return false;
  }
  return matches(state, filter);
}
