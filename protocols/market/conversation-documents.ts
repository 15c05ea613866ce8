import { AgrinetError } from '../errors.ts';
import { draftEdit, type Patch } from '../ledger/drafts.ts';
import type { Ledger } from '../ledger/types.ts';
import type { RecordState } from '../open-dialog/record.ts';
import { type Page, paged, readOne, type Unread } from '../unread.ts';
import type { RecordKey } from '../wire/ids.ts';
import { LIMITS } from '../wire/limits.ts';
import { type ConversationAccess, conversationOf, notFound } from './conversation-access.ts';
import { participantsNonce, writeParticipants } from './conversation-members.ts';
import type {
  Caller,
  Conversation,
  ConversationFields,
  ConversationParts,
  ConversationQuery,
  NewConversation,
} from './conversation-types.ts';
import { nonceFor, OwnRecords, savedOf } from './own-records.ts';
import { nodeOf } from './party.ts';

/** Conversations read for one page of a list. */
const SCANNED = 5000;

/** Writes fields of a conversation, based on its record at that time. */
export async function editConversation(
  ledger: Pick<Ledger, 'write'>,
  key: RecordKey,
  fields: (state: RecordState) => Patch,
): Promise<RecordState> {
  const written = await ledger.write({
    keys: [key],
    draft(writer, read) {
      const state = read(key);
      if (state?.members === undefined) throw notFound();
      return [draftEdit(writer, key, state.channel, state, fields(state))];
    },
  });
  return savedOf(written, 0).state;
}

/** The documents of conversations: title, participants, whether it is pinned or archived. */
export class ConversationDocuments {
  readonly #parts: ConversationParts;
  readonly #access: ConversationAccess;

  constructor(parts: ConversationParts, access: ConversationAccess) {
    this.#parts = parts;
    this.#access = access;
  }

  async create(
    caller: Caller,
    { title, participants, metadata }: NewConversation,
    id?: string,
  ): Promise<Conversation> {
    const { self, bytes, ledger } = this.#parts;
    const named = [...(caller.user === undefined ? [] : [caller.user]), ...participants];
    const users = [...new Set(named.map((user) => this.#access.participant(user, caller)))];
    const nodes = [...new Set([self, ...users.flatMap((user) => nodeOf(user) ?? [])])];
    if (nodes.length > LIMITS.participants)
      throw new AgrinetError(
        'fields-invalid',
        `participants: must be users of at most ${LIMITS.participants} nodes`,
      );
    const field = writeParticipants(users, nonceFor(id, bytes));
    const fields = { title, pinned: false, participants: field, metadata };
    const records = new OwnRecords(ledger, self);
    const saved = await records.savePrivate('conversations', nodes, participantsNonce(field), fields);
    return conversationOf(saved.state, users);
  }

  async list(caller: Caller, { participant, limit, cursor }: ConversationQuery): Promise<Page<Conversation>> {
    const { reader } = this.#parts;
    const wanted = participant === undefined ? undefined : this.#access.qualified(participant);
    const items: Conversation[] = [];
    const unread: Unread[] = [];
    let next = cursor;
    let scanned = 0;
    do {
      const page = await reader.list('conversations', { fields: {} }, limit - items.length, next);
      unread.push(...(page.unread ?? []));
      for (const state of page.records) {
        const conversation = await readOne(
          state.key,
          () => this.#access.visible(caller, state),
          (one) => unread.push(one),
        );
        if (conversation === undefined || state.view['archived'] === true) continue;
        if (wanted === undefined || conversation.participants.includes(wanted)) items.push(conversation);
      }
      scanned += page.records.length;
      next = page.cursor;
    } while (next !== undefined && items.length < limit && scanned < SCANNED);
    return { items, ...paged(unread, next) };
  }

  async edit(caller: Caller, id: string, fields: ConversationFields): Promise<Conversation> {
    const { state, participants } = await this.#access.getOpen(caller, id);
    const edited = await editConversation(this.#parts.ledger, state.key, () => fields);
    return conversationOf(edited, participants);
  }
}
