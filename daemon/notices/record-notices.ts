import { isPingOf } from '../../protocols/market/contract-book/news.ts';
import type { ContractBook, HeldContract } from '../../protocols/market/contract-book/types.ts';
import { verifyTransition, type Transition } from '../../protocols/market/contract/statement.ts';
import type { Conversations } from '../../protocols/market/conversation-types.ts';
import { nodeOf, parseParty } from '../../protocols/market/party.ts';
import { type NoteKind, readNote } from '../../protocols/market/rating-notes.ts';
import type { Ratings } from '../../protocols/market/ratings.ts';
import { isLive, type RecordState } from '../../protocols/open-dialog/record.ts';
import { errorCode } from '../../protocols/errors.ts';
import { fromBase64url } from '../../protocols/wire/bytes.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { parseRecordKey, publicIdOf, type RecordKey } from '../../protocols/wire/ids.ts';
import type { Answerable } from '../sms/answer-codes.ts';
import type { Notice } from './notice.ts';
import type { TextName } from './texts.ts';
import { dealOf, shortly, stepText, termsOf } from './step-texts.ts';

export interface RecordNoticesParts {
  readonly self: PeerId;
  readonly reader: { get(key: RecordKey): Promise<RecordState | undefined> };
  readonly contracts: Pick<ContractBook, 'get'>;
  readonly conversations: Pick<Conversations, 'find'>;
  readonly ratings: Pick<Ratings, 'read'>;
  /** How a user of this node is called. */
  readonly nameOf: (userId: string) => string | undefined;
}

/** The result for a record: the notices, and an offer that expires. */
export interface NoticesOf {
  readonly notices: readonly Notice[];
  readonly offer?: Offer;
  /** The contract in which it waits for what it follows. */
  readonly waitsIn?: RecordKey;
  /** The contract that has gone on with it. */
  readonly movedOn?: RecordKey;
}

/** A proposal that is open until a time, and who may accept it. */
export interface Offer {
  readonly contract: RecordKey;
  readonly proposal: string;
  readonly userId: string;
  /** When it was made and when it ends, milliseconds since 1970. */
  readonly from: number;
  readonly until: number;
}

const NOBODY: NoticesOf = { notices: [] };

/** A notice of an expiring offer is due a day before it expires, or when a quarter of its lifetime is left. */
const BEFORE_MS = 24 * 3600 * 1000;

/** When its user is told that an offer ends, milliseconds since 1970. */
export function dueOf({ from, until }: Offer): number {
  return Math.ceil(until - Math.min(BEFORE_MS, (until - from) / 4));
}

/** Determines the notices for records in their current state; each contract is read once, so it is used for one batch. */
export class RecordNotices {
  readonly #parts: RecordNoticesParts;
  readonly #contracts = new Map<RecordKey, Promise<HeldContract | undefined>>();

  constructor(parts: RecordNoticesParts) {
    this.#parts = parts;
  }

  /** The notices for the users of this node about a record that arrived at a time. */
  async of(key: RecordKey, at: number): Promise<NoticesOf> {
    const state = await this.#parts.reader.get(key);
    if (!isLive(state)) return NOBODY;
    switch (parseRecordKey(key)?.collection ?? '') {
      case 'transitions':
        return this.#ofStep(state, at);
      case 'pings':
        return this.#ofPing(state, at);
      case 'messages':
        return this.#ofMessage(state, at);
      case 'ratings':
        return this.#ofRating(state, at);
      case 'rating-notes':
        return this.#ofNote(state, at);
      default:
        return NOBODY;
    }
  }

  /** That an offer ends, while it is open. */
  async ofOffer(offer: Offer, at: number): Promise<NoticesOf> {
    const { contract, proposal, userId, until } = offer;
    const held = await this.#contract(contract);
    const steps = held?.statements.map(({ transition }) => transition) ?? [];
    const step = steps.find((each) => each.hash === proposal);
    const isOver = steps.some(
      (each) => each.kind !== 'propose' && 'proposal' in each && each.proposal === proposal,
    );
    if (
      held === undefined ||
      step === undefined ||
      isOver ||
      held.verdict.state !== 'proposed' ||
      until <= at
    )
      return NOBODY;
    const values = { from: this.#name(step.party), deal: dealOf(termsOf(held, step)), until };
    const about = { contractId: publicIdOf(contract), step: 'hold', proposal, from: step.party };
    const event = `hold ${proposal}`;
    const causedBy = nodeOf(step.party);
    const when = { at, signedAt: dueOf(offer) };
    return {
      notices: [{ userId, event, ...when, kind: 'hold', causedBy, text: 'hold.ends', values, about }],
    };
  }

  async #ofStep({ channel, view, created }: RecordState, at: number): Promise<NoticesOf> {
    const step = statementIn(view['statement']);
    const held = await this.#contract(channel as RecordKey); // a fact of a contract's channel
    if (step === undefined || held === undefined || step.contract !== held.contract.key) return NOBODY;
    const { applied, pending } = held.verdict;
    const movedOn = held.contract.key as RecordKey; // of a record that is held
    if (pending.some(([hash]) => hash === step.hash)) return { notices: [], waitsIn: movedOn };
    if (!applied.includes(step.hash)) return NOBODY;
    const { kind, text } = stepText(held, step);
    const until = step.kind === 'propose' ? step.validUntil : undefined;
    const values = {
      from: this.#name(step.party),
      deal: dealOf(termsOf(held, step)),
      ...(until === undefined ? {} : { until }),
    };
    const about = { contractId: publicIdOf(held.contract.key), step: step.kind, from: step.party };
    const named = step.kind === 'propose' ? { ...about, proposal: step.hash } : about;
    // That a hold has ended was not its supplier's own doing: the node ends it.
    const users = this.#usersAmong(held.contract.parties, step.kind === 'expire' ? undefined : step.party);
    const answer = answerable(movedOn, step);
    const notices = users.map((userId) => ({
      userId,
      event: `step ${step.hash}`,
      at,
      signedAt: created[0],
      kind,
      causedBy: nodeOf(step.party),
      text,
      values,
      about: named,
      ...(answer === undefined ? {} : { answer }),
    }));
    const [userId] = users;
    if (until === undefined || userId === undefined) return { notices, movedOn };
    const offer = { contract: movedOn, proposal: step.hash, userId, from: at, until };
    return { notices, movedOn, offer };
  }

  async #ofPing(state: RecordState, at: number): Promise<NoticesOf> {
    const held = await this.#contract(state.channel as RecordKey); // a fact of a contract's channel
    if (held === undefined || !isPingOf(held, state)) return NOBODY;
    const { status, percentComplete, from } = state.view;
    const progress = [shortly(status), typeof percentComplete === 'number' ? `${percentComplete} %` : '']
      .filter((part) => part !== '')
      .join(', ');
    const values = { from: this.#name(from), deal: dealOf(termsOf(held)), progress: progress || '–' };
    const about = { contractId: publicIdOf(held.contract.key), step: 'ping', from: String(from) };
    return this.#tell(this.#usersAmong(held.contract.parties, from), {
      event: `ping ${state.key}`,
      at,
      signedAt: state.created[0],
      kind: 'progress',
      causedBy: nodeOf(from),
      text: 'progress',
      values,
      about,
    });
  }

  async #ofMessage({ key, channel, view, created }: RecordState, at: number): Promise<NoticesOf> {
    const conversation = await this.#parts.conversations.find({ operator: true }, publicIdOf(channel));
    const { from } = view;
    if (conversation === undefined || !conversation.participants.includes(String(from))) return NOBODY;
    // A node speaks for its own users only.
    if (parseParty(from)?.node !== parseRecordKey(key)?.owner) return NOBODY;
    return this.#tell(this.#usersAmong(conversation.participants, from), {
      event: `message ${key}`,
      at,
      signedAt: created[0],
      kind: 'message',
      causedBy: nodeOf(from),
      text: 'message',
      values: { from: this.#name(from), title: shortly(conversation.state.view['title']) },
      about: { conversationId: publicIdOf(channel), messageId: publicIdOf(key), from: String(from) },
    });
  }

  async #ofRating(state: RecordState, at: number): Promise<NoticesOf> {
    const { problem, contract, from, to, score } = this.#parts.ratings.read(state);
    if (problem !== null) return NOBODY;
    const held = await this.#contract(contract as RecordKey); // a rating without a problem names one
    return this.#tell(this.#usersAmong([to], from), {
      event: `rating ${state.key}`,
      at,
      signedAt: state.created[0],
      kind: 'rating',
      causedBy: nodeOf(from),
      text: 'rating',
      values: {
        from: this.#name(from),
        score: String(score),
        deal: held === undefined ? '?' : dealOf(termsOf(held)),
      },
      about: { ratingId: publicIdOf(state.key), contractId: publicIdOf(contract), from },
    });
  }

  /** What one side of a rating says about it, for the other. */
  async #ofNote({ key, view, created }: RecordState, at: number): Promise<NoticesOf> {
    const note = readNote(key, view, created[0]);
    const state = note.problem === null ? await this.#parts.reader.get(note.rating as RecordKey) : undefined; // as read
    if (!isLive(state) || note.kind === null) return NOBODY;
    const { problem, contract, from, to, score } = this.#parts.ratings.read(state);
    const isRaters = nodeOf(note.by) === nodeOf(from) && note.kind !== 'contest';
    const isRateds = nodeOf(note.by) === nodeOf(to) && note.kind !== 'dismiss';
    const party = note.by === to || !isRaters ? to : from;
    if (problem !== null || note.to !== to || (!isRaters && !isRateds)) return NOBODY;
    const held = await this.#contract(contract as RecordKey); // a rating without a problem names one
    return this.#tell(this.#usersAmong([party === to ? from : to], note.by), {
      event: `note ${key}`,
      at,
      signedAt: created[0],
      kind: 'rating',
      causedBy: nodeOf(note.by),
      text: noteText(note.kind, party === to),
      values: {
        from: this.#name(note.by),
        score: String(score),
        deal: held === undefined ? '?' : dealOf(termsOf(held)),
      },
      about: {
        ratingId: publicIdOf(state.key),
        contractId: publicIdOf(contract),
        step: note.kind,
        from: note.by,
      },
    });
  }

  #tell(users: readonly string[], notice: Omit<Notice, 'userId'>): NoticesOf {
    return { notices: users.map((userId) => ({ ...notice, userId })) };
  }

  /** Users of this node among parties, by their bare names, without the author. */
  #usersAmong(parties: readonly string[], but: unknown): string[] {
    const users = parties.flatMap((party) => {
      const { user, node } = parseParty(party) ?? {};
      return user !== undefined && node === this.#parts.self && party !== but ? [user] : [];
    });
    return [...new Set(users)];
  }

  #name(party: unknown): string {
    const { user = '', node } = parseParty(party) ?? {};
    return shortly((node === this.#parts.self ? this.#parts.nameOf(user) : undefined) ?? user);
  }

  #contract(key: RecordKey): Promise<HeldContract | undefined> {
    const contract = this.#contracts.get(key) ?? this.#load(key);
    this.#contracts.set(key, contract);
    return contract;
  }

  async #load(key: RecordKey): Promise<HeldContract | undefined> {
    try {
      return (await this.#parts.contracts.get(key, { operator: true })).held;
    } catch (error) {
      if (errorCode(error) === 'not-found') return undefined;
      throw error;
    }
  }
}

function noteText(kind: NoteKind, byRated: boolean): TextName {
  if (kind === 'contest') return 'rating.contested';
  if (kind === 'dismiss') return 'rating.dismissed';
  return byRated ? 'rating.accepted' : 'rating.upheld';
}

/** A proposal with its terms in words. */
function answerable(contract: RecordKey, step: Transition): Answerable | undefined {
  if (step.kind !== 'propose') return undefined;
  const { quantity, price, currency } = step.terms;
  if (typeof quantity !== 'number' || typeof price !== 'number' || typeof currency !== 'string')
    return undefined;
  return { contract, proposal: step.hash, sum: quantity * price, currency };
}

function statementIn(field: unknown): Transition | undefined {
  const bytes = typeof field === 'string' ? fromBase64url(field) : undefined;
  try {
    return bytes && verifyTransition(bytes);
  } catch (error) {
    if (errorCode(error) === 'transition-invalid') return undefined; // as good as not written
    throw error;
  }
}
