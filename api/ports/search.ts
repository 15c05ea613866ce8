import type { Clause } from '../../protocols/market/search-words.ts';
import type { RecordPage } from '../../protocols/unread.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';

/** A list's filter and page, as the storage reader takes them. */
export interface ListQuery {
  readonly fields: Readonly<Record<string, string | undefined>>;
  readonly owner?: string | undefined;
  readonly near?: { readonly lat: number; readonly long: number; readonly km: number } | undefined;
  /** Whether a record is shown at all. */
  readonly keep?: ((state: RecordState) => boolean) | undefined;
}

/** Numbers from the first to the second, both included. */
export interface Span {
  readonly from?: number | undefined;
  readonly to?: number | undefined;
}

/** The criteria of a search in addition to the filters of every list. */
export interface SearchQuery {
  readonly clauses: readonly Clause[];
  readonly price?: Span | undefined;
  readonly quantity?: Span | undefined;
  readonly sort: 'newest' | 'price' | 'distance';
}

export interface SearchPort {
  /** `isBehind`: not all listings are in the index yet. Throws `busy` while a part of it is being rebuilt. */
  page(
    search: SearchQuery,
    query: ListQuery,
    limit: number,
    cursor?: string,
  ): Promise<RecordPage & { readonly isBehind: boolean }>;
}
