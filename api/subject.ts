import { AgrinetError } from '../protocols/errors.ts';
import { nodeOf } from '../protocols/market/party.ts';
import { parsePeerId, type PeerId } from '../protocols/wire/identity.ts';

/** The subject of a reputation: `user@peer-id`, a peer id, or a user of this node by name. Throws `not-found`. */
export function subjectOf(id: string, self: PeerId): string {
  if (parsePeerId(id) !== undefined || nodeOf(id) !== undefined) return id;
  const own = `${id}@${self}`;
  if (nodeOf(own) === undefined || id.includes('@')) throw new AgrinetError('not-found', 'Not found');
  return own;
}
