import { isLive, type RecordState } from '../../protocols/open-dialog/record.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { publicIdOf } from '../../protocols/wire/ids.ts';
import { indexValue } from '../../storage/indexes.ts';
import type { Held } from '../../storage/search/meets.ts';
import { searchedOf } from '../../storage/search/searched.ts';
import type { ChangedListings } from '../../storage/want-table.ts';
import type { Notice } from '../notices/notice.ts';
import { dealOf, shortly } from '../notices/step-texts.ts';
import type { LiveWant, WantBook } from './want-book.ts';

/** Whom a listing is told to, as it stands now. */
export function* noticesOf(
  book: Pick<WantBook, 'matching'>,
  self: PeerId,
  state: RecordState | undefined,
  { no, at }: Pick<ChangedListings, 'no' | 'at'>,
): Generator<Notice> {
  const listing = searchedOf(state);
  if (!isLive(state) || listing === undefined) return;
  const held: Held = { state, listing, words: new Set(listing.terms) };
  for (const want of book.matching(held, no, at))
    if (isNews(want, self, state)) yield noticeOf(want, state, at);
}

/** Nobody looks for the own listings, and for what has ended only who names its status. */
function isNews({ userId, query }: LiveWant, self: PeerId, { key, view }: RecordState): boolean {
  if (view['userId'] === userId && key.split('/')[1] === self) return false;
  const status = indexValue(String(view['status'] ?? ''));
  return status === 'active' || status === '' || (query.status ?? '') !== '';
}

function noticeOf(want: LiveWant, { key, view }: RecordState, at: number): Notice {
  return {
    userId: want.userId,
    event: `want ${want.id} ${key}`,
    at,
    kind: 'want',
    text: 'want',
    values: { want: nameOf(want), title: dealOf(view) },
    about: { wantId: want.id, listingId: publicIdOf(key) },
  };
}

/** What stands for all others of a day, of a user who is told of no more of them. */
export function moreThanIsTold({ userId, values }: Notice, now: number): Notice {
  return {
    userId,
    event: `wants of day ${dayOf(now)}`,
    at: now,
    kind: 'want',
    text: 'want.more',
    values: { want: values['want'] ?? '' },
    about: {},
  };
}

/** Days since 1970, in UTC. */
export const dayOf = (at: number): number => Math.floor(at / 86_400_000);

/** What its user calls it, or what it asks for. */
function nameOf({ label, query }: LiveWant): string {
  if (label !== undefined) return shortly(label);
  if (query.q !== undefined) return shortly(query.q);
  return shortly(
    Object.entries(query)
      .map(([name, value]) => `${name}=${value}`)
      .join(' '),
  );
}
