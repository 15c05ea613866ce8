import type { RecordChange } from '../../protocols/ledger/ports.ts';
import { nodeOf } from '../../protocols/market/party.ts';
import { isLive } from '../../protocols/open-dialog/record.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';

/** Whether a change may be one that a user of this node has to be told of: a new fact of a private channel, or a rating of one. */
export function concernsUsers({ key, before, after }: RecordChange, self: PeerId): boolean {
  const collection = key.slice(0, key.indexOf('/'));
  switch (collection) {
    case 'transitions':
    case 'pings':
    case 'messages':
      return isLive(after) && !isLive(before);
    case 'ratings':
      return isLive(after) && !isLive(before) && nodeOf(after.view['to']) === self;
    default:
      return false;
  }
}
