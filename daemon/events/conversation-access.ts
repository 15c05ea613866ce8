import { isOperator, type Principal } from '../../api/access.ts';
import type { ConversationsPort } from '../../api/ports/conversations.ts';

/**
 * Who may listen to a conversation: the operator, and the users of this node who take part. Resolves to its record key, or
 * undefined, which a route answers as if the conversation did not exist.
 */
export function conversationAccess(
  conversations: Pick<ConversationsPort, 'find'>,
): (principal: Principal, conversationId: string) => Promise<string | undefined> {
  return async (principal, conversationId) => {
    const caller = { user: principal.userId, operator: isOperator(principal) };
    return (await conversations.find(caller, conversationId))?.state.key;
  };
}
