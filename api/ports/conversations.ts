import type { Conversations } from '../../protocols/market/conversations.ts';

export type { Caller, Conversation } from '../../protocols/market/conversations.ts';

/** What the routes of conversations and messages need of the node. */
export type ConversationsPort = Omit<Conversations, 'note' | 'forget'>;
