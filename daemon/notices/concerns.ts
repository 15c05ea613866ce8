import type { RecordChange } from '../../protocols/ledger/ports.ts';
import { nodeOf } from '../../protocols/market/party.ts';
import { isLive, type RecordState } from '../../protocols/open-dialog/record.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { parseRecordKey, type RecordKey } from '../../protocols/wire/ids.ts';

/**
 * Whether a user of this node may have to be notified of a change: a new fact of a private channel, a rating of the user, or a note
 * on such a rating.
 */
export function concernsUsers({ key, before, after }: RecordChange, self: PeerId): boolean {
  const collection = key.slice(0, key.indexOf('/'));
  switch (collection) {
    case 'transitions':
    case 'pings':
    case 'messages':
      return isLive(after) && !isLive(before);
    case 'ratings':
      return isLive(after) && !isLive(before) && nodeOf(after.view['to']) === self;
    case 'rating-notes':
      return isLive(after) && !isLive(before) && isOfParty(key, after.view, self);
    default:
      return false;
  }
}

/** A note by one side of a rating while the other side is here; notes of others change nothing, and nobody is notified of them. */
function isOfParty(key: RecordKey, view: RecordState['view'], self: PeerId): boolean {
  const by = parseRecordKey(key)?.owner;
  const rated = nodeOf(view['to']);
  const { rating } = view;
  const rater = typeof rating === 'string' ? parseRecordKey(rating)?.owner : undefined;
  return (by === rater && rated === self) || (by === rated && rater === self);
}
