import { isOperator, type Principal } from '../../api/access.ts';
import type { RecordReader } from '../../api/context.ts';
import { isLive, type RecordState } from '../../protocols/open-dialog/record.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { parsePublicId, recordKey } from '../../protocols/wire/ids.ts';

/**
 * Who may listen to a conversation: the operator, and the users that its metadata names as participants. Resolves to its record
 * key, or undefined, which a route answers as if there were none.
 */
export function conversationEar(
  reader: Pick<RecordReader, 'get'>,
  self: PeerId,
): (principal: Principal, conversationId: string) => Promise<string | undefined> {
  return async (principal, conversationId) => {
    const id = parsePublicId(conversationId, self);
    if (id === undefined) return undefined;
    const key = recordKey('conversations', id.owner, id.id);
    const state = await reader.get(key);
    if (!isLive(state)) return undefined;
    return isOperator(principal) || takesPart(state, self, principal.userId) ? key : undefined;
  };
}

function takesPart({ view }: RecordState, self: PeerId, userId: string | undefined): boolean {
  if (userId === undefined || typeof view['metadata'] !== 'string') return false;
  try {
    const metadata: unknown = JSON.parse(view['metadata']);
    if (typeof metadata !== 'object' || metadata === null || !('participants' in metadata)) return false;
    const { participants } = metadata;
    return (
      Array.isArray(participants) &&
      participants.some((each: unknown) => each === userId || each === `${userId}@${self}`)
    );
  } catch {
    return false; // metadata is free text; what is no JSON names nobody
  }
}
