import { AgrinetError } from '../errors.ts';
import { draftFact, type Patch } from '../ledger/drafts.ts';
import { isLive, type RecordState } from '../open-dialog/record.ts';
import { base64url } from '../wire/bytes.ts';
import { parsePublicId, parseRecordKey, publicId, recordKey, type RecordKey } from '../wire/ids.ts';
import { ConversationViews, type IndexPlace, indexPlace } from './conversation-views.ts';
import type { Caller, Conversation, ConversationParts, Conversations } from './conversation-types.ts';
import { placeOf, writeSeen } from './message-order.ts';
import { parseParty } from './party.ts';
import { readBy, readField, withMark } from './read-marks.ts';

/** What messages need of the conversations they stand in. */
export interface MessageHost {
  /** Throws `not-found` when there is none that the caller takes part in. */
  readonly found: (caller: Caller, id: string) => Promise<Conversation>;
  /** The same for one that is not archived. */
  readonly open: (caller: Caller, id: string) => Promise<Conversation>;
  readonly whole: (state: RecordState, participants: readonly string[]) => Conversation;
  readonly write: (key: RecordKey, fields: (known: RecordState) => Patch) => Promise<RecordState>;
}

/** As if there were none. */
export const notFound = (): AgrinetError => new AgrinetError('not-found', 'Not found');

function idOf(key: RecordKey): string {
  const parts = parseRecordKey(key);
  return parts === undefined ? key : publicId(parts);
}

/** What is said in conversations, and read. */
export function createConversationMessages(
  { self, ledger, reader, now, bytes, window }: ConversationParts,
  { found, open, whole, write }: MessageHost,
): Pick<Conversations, 'send' | 'messages' | 'read' | 'hidden' | 'noted' | 'forget'> {
  const views = new ConversationViews((...args) => reader.newestInChannel(...args), window);
  const here = (user: string): string => `${user}@${self}`;

  /** The record of a message of this conversation that is shown; throws `not-found`. */
  async function message(channel: RecordKey, id: string): Promise<RecordState> {
    const parsed = parsePublicId(id, self);
    if (parsed === undefined) throw notFound();
    const state = await reader.get(recordKey('messages', parsed.owner, parsed.id));
    if (!isLive(state) || state.channel !== channel || typeof placeOf(state) === 'string') throw notFound();
    return state;
  }

  /** Messages older than the view, oldest first, as they came to be. */
  async function older(channel: RecordKey, limit: number, before: IndexPlace): Promise<RecordState[]> {
    const page: RecordState[] = [];
    let from = before;
    for (;;) {
      const states = await reader.newestInChannel('messages', channel, limit - page.length, from);
      page.push(...states.filter((state) => typeof placeOf(state) !== 'string'));
      const last = states.at(-1);
      if (last === undefined || page.length >= limit) return page.reverse();
      from = indexPlace(last);
    }
  }

  /** A user of this node that the caller speaks for, as `user@peer-id`. Throws `forbidden`, `fields-invalid`. */
  function speaker(caller: Caller, named: string, field: string): string {
    const party = parseParty(named) ?? parseParty(here(named));
    if (party === undefined)
      throw new AgrinetError('fields-invalid', `${field}: 1 to 128 characters, without control characters`);
    if (party.node !== self)
      throw new AgrinetError('forbidden', `${field}: this node speaks for its own users only`);
    if (!caller.operator && party.user !== caller.user)
      throw new AgrinetError('forbidden', `this key acts for ${caller.user ?? 'nobody'} only`);
    return here(party.user);
  }

  return {
    async send(caller, id, { from: named, to, type, content, attachments, nonce = base64url(bytes(12)) }) {
      const { state, participants } = await open(caller, id);
      const from = speaker(caller, named, 'from');
      // One without participants is the operator's, who speaks there as anybody of this node.
      if (participants.length > 0 && !participants.includes(from))
        throw new AgrinetError('forbidden', `from: ${named} takes no part in this conversation`);
      const channel = state.key;
      const view = await views.of(channel);
      const known = view.order().find((each) => each.nonce === nonce && each.key.split('/')[1] === self);
      const old = known && (await reader.get(known.key));
      if (isLive(old)) return old;
      const written = await ledger.write({
        keys: [channel],
        draft(pen, read) {
          const seen = writeSeen(view.heads((key) => read(key)?.exists === true));
          const fields = {
            from,
            ...(to === undefined ? {} : { to: participants.includes(here(to)) ? here(to) : to }),
            type,
            content,
            attachments,
            sentAt: now(),
            nonce,
            ...(seen === '' ? {} : { seen }),
          };
          const draft = draftFact(pen, 'messages', fields, channel);
          view.drafted = {
            key: draft.key,
            hash: draft.key.slice(draft.key.lastIndexOf('/') + 1),
            seen: seen.split(','),
            sentAt: fields.sentAt,
            nonce,
            created: [0, 0],
          };
          return [draft];
        },
      });
      const sent = written.records[0]?.after;
      if (sent === undefined) throw new AgrinetError('internal', 'a written record has no state');
      return sent;
    },
    async messages(caller, id, limit, before) {
      const { state } = await found(caller, id);
      const channel = state.key;
      const view = await views.of(channel);
      const from = before === undefined ? undefined : await message(channel, before);
      const end = from === undefined ? view.order().length : view.at(from.key);
      if (end === undefined) return from === undefined ? [] : older(channel, limit, indexPlace(from));
      const keys = view
        .order()
        .slice(Math.max(0, end - limit), end)
        .map(({ key }) => key);
      const oldest = view.oldest;
      const records = (await reader.readable(keys)).filter(isLive);
      if (keys.length === limit || oldest === undefined) return records;
      return [...(await older(channel, limit - keys.length, oldest)), ...records];
    },
    async read(caller, id, user, messageId) {
      const { state, participants } = await found(caller, id);
      const who = speaker(caller, user, 'userId');
      if (!participants.includes(who))
        throw new AgrinetError('forbidden', `userId: ${user} takes no part in this conversation`);
      const to = await message(state.key, messageId);
      const view = await views.of(state.key);
      const value = idOf(to.key);
      const next = await write(state.key, (known): Patch => {
        const field = known.members && readField(known.members, self);
        if (known.members === undefined || field === undefined) return {};
        const was = readBy(known, who);
        const noted = was === undefined ? undefined : parsePublicId(was, self);
        const at = noted && view.at(recordKey('messages', noted.owner, noted.id));
        if (noted !== undefined && (view.at(to.key) ?? -1) <= (at ?? -1)) return {};
        const name = parseParty(who)?.user ?? who;
        return { [field]: withMark(known.view[field], known.members, name, value) };
      });
      return whole(next, participants);
    },
    async hidden({ state }) {
      const view = await views.of(state.key);
      return view.hidden().map(([key, reason]) => ({ id: idOf(key), reason }));
    },
    noted: (changes) => views.noted(changes),
    forget: () => views.clear(),
  };
}
