import { AgrinetError } from '../errors.ts';
import { draftEdit, draftPrivate, type Patch } from '../ledger/drafts.ts';
import { isLive, type RecordState } from '../open-dialog/record.ts';
import { sha256 } from '../wire/bytes.ts';
import { LIMITS } from '../wire/limits.ts';
import { parsePublicId, recordKey, type RecordKey } from '../wire/ids.ts';
import { createParticipantLists, participantsNonce, writeParticipants } from './conversation-members.ts';
import { createConversationMessages, notFound } from './conversation-messages.ts';
import type { Caller, Conversation, ConversationParts, Conversations } from './conversation-types.ts';
import { parseParty } from './party.ts';
import { readBy } from './read-marks.ts';
import { readOne, type Unread } from '../unread.ts';

export type { Caller, Conversation, Conversations } from './conversation-types.ts';

/** Conversations looked at for one page of a list. */
const SCANNED = 5000;

export function createConversations(parts: ConversationParts): Conversations {
  const { self, ledger, reader, isActive, bytes } = parts;
  const here = (user: string): string => `${user}@${self}`;
  /** `user@peer-id`; a bare name is this node's user. */
  const qualified = (text: string): string => (parseParty(text) === undefined ? here(text) : text);

  function mayUse(caller: Caller, participants: readonly string[]): boolean {
    return caller.operator || (caller.user !== undefined && participants.includes(here(caller.user)));
  }
  function whole(state: RecordState, participants: readonly string[]): Conversation {
    const noted = participants.flatMap((user) => {
      const id = readBy(state, user);
      return id === undefined ? [] : [[user, id] as const];
    });
    return { state, participants, read: Object.fromEntries(noted) };
  }
  const participantsIn = createParticipantLists(parts.history);
  async function seenBy(caller: Caller, state: RecordState | undefined): Promise<Conversation | undefined> {
    if (!isLive(state) || state.members === undefined) return undefined;
    const participants = await participantsIn(state);
    return mayUse(caller, participants) ? whole(state, participants) : undefined;
  }
  async function find(caller: Caller, id: string): Promise<Conversation | undefined> {
    const parsed = parsePublicId(id, self);
    if (parsed === undefined) return undefined;
    return seenBy(caller, await reader.get(recordKey('conversations', parsed.owner, parsed.id)));
  }
  async function found(caller: Caller, id: string): Promise<Conversation> {
    const conversation = await find(caller, id);
    if (conversation === undefined) throw notFound();
    return conversation;
  }
  async function open(caller: Caller, id: string): Promise<Conversation> {
    const conversation = await found(caller, id);
    if (conversation.state.view['archived'] === true) throw notFound();
    return conversation;
  }

  /** A user to take part; throws `party-unknown`. */
  function party(text: string, caller: Caller): string {
    const whole = text === caller.user ? here(text) : qualified(text);
    const read = parseParty(whole);
    if (read === undefined)
      throw new AgrinetError(
        'fields-invalid',
        'participants: 1 to 128 characters, without control characters',
      );
    // A name that holds an @ is meant for another node: taken for one of ours, it would reach nobody.
    const meant = read.node !== self || parseParty(text) !== undefined || text === caller.user;
    if ((!meant && text.includes('@')) || (read.node !== self && !isActive(read.node)))
      throw new AgrinetError(
        'party-unknown',
        `participants: the node of ${text} is not registered here, or not active; register it with: agrinet join <its url> --key <its key>`,
      );
    return whole;
  }

  async function write(key: RecordKey, fields: (known: RecordState) => Patch): Promise<RecordState> {
    const written = await ledger.write({
      keys: [key],
      draft(pen, read) {
        const known = read(key);
        if (known?.members === undefined) throw notFound();
        return [draftEdit(pen, key, known.channel, known, fields(known))];
      },
    });
    const state = written.records[0]?.after;
    if (state === undefined) throw new AgrinetError('internal', 'a written record has no state');
    return state;
  }

  return {
    find,
    async create(caller, { title, participants, metadata }, id) {
      const users = [...(caller.user === undefined ? [] : [caller.user]), ...participants];
      const named = [...new Set(users.map((user) => party(user, caller)))];
      const nodes = [...new Set([self, ...named.flatMap((user) => parseParty(user)?.node ?? [])])];
      if (nodes.length > LIMITS.participants)
        throw new AgrinetError('fields-invalid', `participants: of at most ${LIMITS.participants} nodes`);
      const salt = id === undefined ? bytes(16) : sha256(new TextEncoder().encode(id)).subarray(0, 16);
      const field = writeParticipants(named, salt);
      const members = { writers: nodes, participants: nodes };
      const created = draftPrivate({ author: self }, 'conversations', members, participantsNonce(field));
      const { key, channel } = created;
      const fields = {
        title,
        pinned: false,
        participants: field,
        ...(metadata === undefined ? {} : { metadata }),
      };
      const written = await ledger.write({
        keys: [key],
        draft(pen, read) {
          const known = read(key);
          if (known?.exists === true) return [draftEdit(pen, key, channel, known, {})];
          return [created, draftEdit(pen, key, channel, undefined, fields)];
        },
      });
      const state = written.records.at(-1)?.after;
      if (state === undefined) throw new AgrinetError('internal', 'a written record has no state');
      return whole(state, named);
    },
    async list(caller, { participant, limit, cursor: from }) {
      const conversations: Conversation[] = [];
      const wanted = participant === undefined ? undefined : qualified(participant);
      const left: Unread[] = [];
      const pageTo = (cursor?: string) => ({
        conversations,
        ...(left.length === 0 ? {} : { unread: left }),
        ...(cursor === undefined ? {} : { cursor }),
      });
      let cursor = from;
      for (let scanned = 0; ;) {
        const page = await reader.list('conversations', { fields: {} }, limit - conversations.length, cursor);
        left.push(...(page.unread ?? []));
        for (const state of page.records) {
          const conversation = await readOne(
            state.key,
            () => seenBy(caller, state),
            (unread) => left.push(unread),
          );
          if (conversation === undefined || state.view['archived'] === true) continue;
          if (wanted === undefined || conversation.participants.includes(wanted))
            conversations.push(conversation);
        }
        scanned += page.records.length;
        cursor = page.cursor;
        if (cursor === undefined) return pageTo();
        if (conversations.length >= limit || scanned >= SCANNED) return pageTo(cursor);
      }
    },
    async edit(caller, id, fields) {
      const { state, participants } = await open(caller, id);
      return whole(await write(state.key, () => fields), participants);
    },
    ...createConversationMessages(parts, { found, open, whole, write }),
  };
}
