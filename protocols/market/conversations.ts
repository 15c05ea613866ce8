import { ConversationAccess } from './conversation-access.ts';
import { ConversationDocuments } from './conversation-documents.ts';
import { ConversationMessages } from './conversation-messages.ts';
import type { ConversationParts, Conversations } from './conversation-types.ts';

export type { Caller, Conversation, Conversations } from './conversation-types.ts';

export function createConversations(parts: ConversationParts): Conversations {
  const access = new ConversationAccess(parts);
  const documents = new ConversationDocuments(parts, access);
  const messages = new ConversationMessages(parts, access);
  return {
    find: (...query) => access.find(...query),
    create: (...asked) => documents.create(...asked),
    list: (...query) => documents.list(...query),
    edit: (...asked) => documents.edit(...asked),
    send: (...asked) => messages.send(...asked),
    messages: (...query) => messages.list(...query),
    markRead: (...asked) => messages.markRead(...asked),
    hidden: (conversation) => messages.hidden(conversation),
    note: (changes) => messages.note(changes),
    forget: () => messages.forget(),
  };
}
