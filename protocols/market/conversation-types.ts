import type { Env } from '../env.ts';
import type { RecordChange } from '../ledger/ports.ts';
import type { Ledger } from '../ledger/types.ts';
import type { RecordState } from '../open-dialog/record.ts';
import type { PeerId } from '../wire/identity.ts';
import type { RecordKey } from '../wire/ids.ts';
import type { FieldHistory } from './conversation-members.ts';
import type { ReadChannel } from './conversation-views.ts';
import type { HiddenReason } from './message-order.ts';
import type { OnUnread, Page, RecordPage } from '../unread.ts';

/** The caller: a user of this node, or its operator, who may see and do everything here. */
export interface Caller {
  readonly user?: string | undefined;
  readonly operator: boolean;
}

export interface NewConversation {
  readonly title: string;
  readonly participants: readonly string[];
  readonly metadata?: string;
}

export type ConversationFields = {
  readonly title?: string;
  readonly pinned?: boolean;
  readonly archived?: true;
};

export interface ConversationQuery {
  readonly participant?: string | undefined;
  readonly limit: number;
  readonly cursor?: string | undefined;
}

export interface NewMessage {
  /** A user of this node, bare or as `user@peer-id`. */
  readonly from: string;
  readonly to?: string | undefined;
  readonly type: string;
  readonly content: string;
  /** JSON. */
  readonly attachments?: string | undefined;
  /** Of a request that may be repeated: the message is written once. */
  readonly nonce?: string | undefined;
}

/** A conversation as far as its participants see it. */
export interface Conversation {
  readonly state: RecordState;
  readonly participants: readonly string[];
  /** The newest message that each has read, by its public id. */
  readonly read: Readonly<Record<string, string>>;
}

export interface ConversationReader {
  get(key: RecordKey): Promise<RecordState | undefined>;
  many(keys: readonly RecordKey[]): Promise<readonly (RecordState | undefined)[]>;
  list(
    collection: string,
    filter: { readonly fields: {} },
    limit: number,
    cursor?: string,
  ): Promise<RecordPage>;
  /** As `many`, without those whose rows are damaged. */
  readable(keys: readonly RecordKey[], onUnread?: OnUnread): Promise<readonly (RecordState | undefined)[]>;
  readonly newestInChannel: ReadChannel;
}

/** Conversations of this node's users. For a user who does not take part in one, it does not exist: `not-found`. */
export interface Conversations {
  /**
   * Begins a private conversation between users here and elsewhere; the participants are fixed and always include the caller. Throws
   * `party-unknown`, `fields-invalid`. With the `id` of a request that may be repeated, it is created once.
   */
  create(caller: Caller, asked: NewConversation, id?: string): Promise<Conversation>;
  /** Undefined when there is none in which the caller takes part. */
  find(caller: Caller, id: string): Promise<Conversation | undefined>;
  /** Those in which the caller takes part, without archived ones. A page may be short; `cursor` continues. */
  list(caller: Caller, query: ConversationQuery): Promise<Page<Conversation>>;
  /** For all participants. An archived one can be read, but no longer changed. */
  edit(caller: Caller, id: string, fields: ConversationFields): Promise<Conversation>;
  /** Throws `forbidden` for a `from` that is not here or takes no part. */
  send(caller: Caller, id: string, message: NewMessage): Promise<RecordState>;
  /** The messages before one, or the newest, oldest first. */
  messages(caller: Caller, id: string, limit: number, before?: string): Promise<readonly RecordState[]>;
  /** Notes the newest message a user of this node has read; never one before what was noted. */
  markRead(caller: Caller, id: string, user: string, messageId: string): Promise<Conversation>;
  /** Messages that count and are not shown, and why. */
  hidden(
    conversation: Conversation,
  ): Promise<readonly { readonly id: string; readonly reason: HiddenReason }[]>;
  /** To be called for every commit. */
  note(changes: readonly RecordChange[]): void;
  /** After the database was reopened. */
  forget(): void;
}

export interface ConversationParts {
  readonly self: PeerId;
  readonly ledger: Pick<Ledger, 'write'>;
  readonly reader: ConversationReader;
  readonly history: FieldHistory;
  /** Whether a node is registered here and active. */
  readonly isActive: (peer: PeerId) => boolean;
  readonly bytes: Env['bytes'];
  readonly now: () => number;
  /** Another window than the usual, for tests. */
  readonly window?: number;
}
