import { AgrinetError } from '../errors.ts';
import { draftFact, type Patch } from '../ledger/drafts.ts';
import type { RecordChange } from '../ledger/ports.ts';
import { isLive, type RecordState } from '../open-dialog/record.ts';
import { base64url } from '../wire/bytes.ts';
import { parsePublicId, parseRecordKey, publicIdOf, recordKey, type RecordKey } from '../wire/ids.ts';
import { type ConversationAccess, conversationOf, notFound } from './conversation-access.ts';
import { editConversation } from './conversation-documents.ts';
import type { Caller, Conversation, ConversationParts, NewMessage } from './conversation-types.ts';
import {
  type ConversationView,
  ConversationViews,
  type IndexPlace,
  indexPlace,
} from './conversation-views.ts';
import { type HiddenReason, placeOf, readSeen, writeSeen } from './message-order.ts';
import { savedOf } from './own-records.ts';
import { parseParty } from './party.ts';
import { readBy, readField, withMark } from './read-marks.ts';

/** The messages of conversations, and how far they have been read. */
export class ConversationMessages {
  readonly #parts: ConversationParts;
  readonly #access: ConversationAccess;
  readonly #views: ConversationViews;

  constructor(parts: ConversationParts, access: ConversationAccess) {
    this.#parts = parts;
    this.#access = access;
    this.#views = new ConversationViews((...args) => parts.reader.newestInChannel(...args), parts.window);
  }

  async send(caller: Caller, id: string, message: NewMessage): Promise<RecordState> {
    const { self, reader, ledger, bytes } = this.#parts;
    const { nonce = base64url(bytes(12)) } = message;
    const { state, participants } = await this.#access.getOpen(caller, id);
    const from = this.#access.speaker(caller, message.from, 'from');
    // A conversation without participants is the operator's, who writes there as any user of this node.
    if (participants.length > 0) requirePart(participants, from, `from: ${message.from}`);
    const channel = state.key;
    const view = await this.#views.of(channel);
    const sent = view
      .order()
      .find((each) => each.nonce === nonce && parseRecordKey(each.key)?.owner === self);
    const known = sent && (await reader.get(sent.key));
    if (isLive(known)) return known;
    const written = await ledger.write({
      keys: [channel],
      draft: (writer, read) => {
        const seen = writeSeen(view.heads((key) => read(key)?.exists === true));
        const fields = { ...this.#fields(message, participants), from, nonce, seen: seen || undefined };
        const draft = draftFact(writer, 'messages', fields, channel);
        const hash = parseRecordKey(draft.key)?.id ?? '';
        const { sentAt } = fields;
        view.drafted = { key: draft.key, hash, seen: readSeen(seen), sentAt, nonce, created: [0, 0] };
        return [draft];
      },
    });
    return savedOf(written, 0).state;
  }

  #fields({ to, type, content, attachments }: NewMessage, participants: readonly string[]) {
    const here = to === undefined ? undefined : this.#access.here(to);
    const addressee = here !== undefined && participants.includes(here) ? here : to;
    return { to: addressee, type, content, attachments, sentAt: this.#parts.now() };
  }

  /** The messages before one, or the newest, oldest first. */
  async list(caller: Caller, id: string, limit: number, before?: string): Promise<readonly RecordState[]> {
    const channel = (await this.#access.get(caller, id)).state.key;
    const view = await this.#views.of(channel);
    const from = before === undefined ? undefined : await this.#shown(channel, before);
    const end = from === undefined ? view.order().length : view.at(from.key);
    if (end === undefined) return from === undefined ? [] : this.#older(channel, limit, indexPlace(from));
    const keys = view
      .order()
      .slice(Math.max(0, end - limit), end)
      .map(({ key }) => key);
    const { oldest } = view;
    const records = (await this.#parts.reader.readable(keys)).filter(isLive);
    if (keys.length === limit || oldest === undefined) return records;
    return [...(await this.#older(channel, limit - keys.length, oldest)), ...records];
  }

  /** Messages older than the view, oldest first, by arrival. */
  async #older(channel: RecordKey, limit: number, before: IndexPlace): Promise<RecordState[]> {
    const page: RecordState[] = [];
    let from = before;
    for (;;) {
      const states = await this.#parts.reader.newestInChannel('messages', channel, limit - page.length, from);
      page.push(...states.filter((state) => typeof placeOf(state) !== 'string'));
      const last = states.at(-1);
      if (last === undefined || page.length >= limit) return page.reverse();
      from = indexPlace(last);
    }
  }

  /** The record of a message of this conversation that is shown; throws `not-found`. */
  async #shown(channel: RecordKey, id: string): Promise<RecordState> {
    const parsed = parsePublicId(id, this.#parts.self);
    if (parsed === undefined) throw notFound();
    const state = await this.#parts.reader.get(recordKey('messages', parsed.owner, parsed.id));
    if (!isLive(state) || state.channel !== channel || typeof placeOf(state) === 'string') throw notFound();
    return state;
  }

  async markRead(caller: Caller, id: string, user: string, messageId: string): Promise<Conversation> {
    const { state, participants } = await this.#access.get(caller, id);
    const reader = this.#access.speaker(caller, user, 'userId');
    requirePart(participants, reader, `userId: ${user}`);
    const { key } = await this.#shown(state.key, messageId);
    const view = await this.#views.of(state.key);
    const marked = await editConversation(this.#parts.ledger, state.key, (known) =>
      this.#mark(known, view, reader, key),
    );
    return conversationOf(marked, participants);
  }

  /** What records that a user has read up to a message; nothing when they had read that far before. */
  #mark(state: RecordState, view: ConversationView, user: string, message: RecordKey): Patch {
    const { self } = this.#parts;
    const field = state.members && readField(state.members, self);
    if (state.members === undefined || field === undefined) return {};
    const last = readBy(state, user);
    const before = last === undefined ? undefined : parsePublicId(last, self);
    const at = before && view.at(recordKey('messages', before.owner, before.id));
    if (before !== undefined && (view.at(message) ?? -1) <= (at ?? -1)) return {};
    const name = parseParty(user)?.user ?? user;
    return { [field]: withMark(state.view[field], state.members, name, publicIdOf(message)) };
  }

  /** Messages that count and are not shown, and why. */
  async hidden({ state }: Conversation): Promise<{ id: string; reason: HiddenReason }[]> {
    const view = await this.#views.of(state.key);
    return view.hidden().map(([key, reason]) => ({ id: publicIdOf(key), reason }));
  }

  note(changes: readonly RecordChange[]): void {
    this.#views.noted(changes);
  }

  forget(): void {
    this.#views.clear();
  }
}

function requirePart(participants: readonly string[], user: string, named: string): void {
  if (!participants.includes(user))
    throw new AgrinetError('forbidden', `${named} is not a participant of this conversation`);
}
