import { AgrinetError } from '../errors.ts';
import { isLive, type RecordState } from '../open-dialog/record.ts';
import type { PeerId } from '../wire/identity.ts';
import { parsePublicId, recordKey } from '../wire/ids.ts';
import { ParticipantLists } from './conversation-members.ts';
import type { Caller, Conversation, ConversationParts } from './conversation-types.ts';
import { type Party, parseParty } from './party.ts';
import { readBy } from './read-marks.ts';

type AccessParts = Pick<ConversationParts, 'self' | 'reader' | 'history' | 'isActive'>;

/** As if there were none. */
export const notFound = (): AgrinetError => new AgrinetError('not-found', 'Not found');

/** A conversation as its participants see it. */
export function conversationOf(state: RecordState, participants: readonly string[]): Conversation {
  const marks = participants.flatMap((user) => {
    const id = readBy(state, user);
    return id === undefined ? [] : [[user, id] as const];
  });
  return { state, participants, read: Object.fromEntries(marks) };
}

/** Who takes part in which conversation, and who may write there. */
export class ConversationAccess {
  readonly #self: PeerId;
  readonly #reader: AccessParts['reader'];
  readonly #isActive: AccessParts['isActive'];
  readonly #participants: ParticipantLists;

  constructor({ self, reader, history, isActive }: AccessParts) {
    this.#self = self;
    this.#reader = reader;
    this.#isActive = isActive;
    this.#participants = new ParticipantLists(history);
  }

  /** Undefined when there is none in which the caller takes part. */
  async find(caller: Caller, id: string): Promise<Conversation | undefined> {
    const parsed = parsePublicId(id, this.#self);
    if (parsed === undefined) return undefined;
    return this.visible(caller, await this.#reader.get(recordKey('conversations', parsed.owner, parsed.id)));
  }

  /** The same; throws `not-found`. */
  async get(caller: Caller, id: string): Promise<Conversation> {
    const conversation = await this.find(caller, id);
    if (conversation === undefined) throw notFound();
    return conversation;
  }

  /** One that is not archived; throws `not-found`. */
  async getOpen(caller: Caller, id: string): Promise<Conversation> {
    const conversation = await this.get(caller, id);
    if (conversation.state.view['archived'] === true) throw notFound();
    return conversation;
  }

  async visible(caller: Caller, state: RecordState | undefined): Promise<Conversation | undefined> {
    if (!isLive(state) || state.members === undefined) return undefined;
    const participants = await this.#participants.of(state);
    const takesPart = caller.user !== undefined && participants.includes(this.here(caller.user));
    return caller.operator || takesPart ? conversationOf(state, participants) : undefined;
  }

  /** A user of this node as `user@peer-id`. */
  here(user: string): string {
    return `${user}@${this.#self}`;
  }

  /** `user@peer-id`; a bare name is this node's user. */
  qualified(text: string): string {
    return parseParty(text) === undefined ? this.here(text) : text;
  }

  /** A user to take part, as `user@peer-id`. Throws `fields-invalid`, `party-unknown`. */
  participant(text: string, caller: Caller): string {
    const isCaller = text === caller.user;
    const qualified = isCaller ? this.here(text) : this.qualified(text);
    const { node } = readParty(qualified, 'participants');
    // A name with an @ is meant for another node: treated as one of ours, it would reach nobody.
    const isBare = !isCaller && node === this.#self && parseParty(text) === undefined;
    if ((isBare && text.includes('@')) || (node !== this.#self && !this.#isActive(node)))
      throw new AgrinetError(
        'party-unknown',
        `participants: the node of ${text} is not registered here, or not active; register it with: agrinet join <its url> --key <its key>`,
      );
    return qualified;
  }

  /** A user of this node whom the caller speaks for, as `user@peer-id`. Throws `forbidden`, `fields-invalid`. */
  speaker(caller: Caller, named: string, field: string): string {
    const { user, node } = readParty(this.qualified(named), field);
    if (node !== this.#self) throw new AgrinetError('forbidden', `${field}: must be a user of this node`);
    if (!caller.operator && user !== caller.user)
      throw new AgrinetError('forbidden', `this key acts for ${caller.user ?? 'nobody'} only`);
    return this.here(user);
  }
}

function readParty(text: string, field: string): Party {
  const party = parseParty(text);
  if (party === undefined)
    throw new AgrinetError('fields-invalid', `${field}: 1 to 128 characters, without control characters`);
  return party;
}
