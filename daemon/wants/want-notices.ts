import { isLive, type RecordState } from '../../protocols/open-dialog/record.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { parseRecordKey, publicIdOf } from '../../protocols/wire/ids.ts';
import { indexValue } from '../../storage/indexes.ts';
import { searchedOf } from '../../storage/search/searched.ts';
import type { ChangedListings } from '../../storage/want-table.ts';
import type { Notice } from '../notices/notice.ts';
import { dealOf, shortly } from '../notices/step-texts.ts';
import type { LiveWant, WantBook } from './want-book.ts';

/** Which users are notified of a listing in its current state. */
export function* noticesOf(
  book: Pick<WantBook, 'matching'>,
  self: PeerId,
  state: RecordState | undefined,
  row: Pick<ChangedListings, 'no' | 'at'>,
  mayNotify: (userId: string) => boolean,
): Generator<Notice> {
  const listing = searchedOf(state);
  if (!isLive(state) || listing === undefined) return;
  const { key, view } = state;
  const listingId = publicIdOf(key);
  let title: string | undefined;
  for (const want of book.matching({ state, listing, words: new Set(listing.terms) }, row, mayNotify)) {
    if (!isNews(want, self, state)) continue;
    title ??= dealOf(view);
    yield {
      userId: want.userId,
      event: `want ${want.id} ${key}`,
      at: row.at,
      signedAt: state.updated[0],
      kind: 'want',
      causedBy: parseRecordKey(key)?.owner,
      text: 'want',
      values: { want: nameOf(want), title },
      about: { wantId: want.id, listingId },
    };
  }
}

/** Users are not notified of their own listings, and of ended ones only if their search names a status. */
function isNews({ userId, query }: LiveWant, self: PeerId, { key, view }: RecordState): boolean {
  if (view['userId'] === userId && key.split('/')[1] === self) return false;
  const status = indexValue(String(view['status'] ?? ''));
  return status === 'active' || status === '' || (query.status ?? '') !== '';
}

/** One notice for all others of a day, for a user who has reached the daily limit. */
export function dailyLimitNotice({ userId, causedBy, values }: Notice, now: number): Notice {
  return {
    userId,
    event: `wants of day ${dayOf(now)}`,
    at: now,
    signedAt: now,
    kind: 'want',
    causedBy,
    text: 'want.more',
    values: { want: values['want'] ?? '' },
    about: {},
  };
}

/** Days since 1970, in UTC. */
export const dayOf = (at: number): number => Math.floor(at / 86_400_000);

/** The user's name for it, or its criteria. */
function nameOf({ label, query }: LiveWant): string {
  if (label !== undefined) return shortly(label);
  if (query.q !== undefined) return shortly(query.q);
  return shortly(
    Object.entries(query)
      .map(([name, value]) => `${name}=${value}`)
      .join(' '),
  );
}
