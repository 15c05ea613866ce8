import { LRUCache } from 'lru-cache';
import { atMost } from '../lru-bound.ts';
import type { Scalar } from '../open-dialog/change.ts';
import { contentId, encodeMembership } from '../open-dialog/membership.ts';
import type { Membership, PlacedOp, RecordState } from '../open-dialog/record.ts';
import { base64url, sha256 } from '../wire/bytes.ts';
import { parseRecordKey, type RecordKey } from '../wire/ids.ts';
import { parsedJson } from '../wire/json.ts';
import { parseParty } from './party.ts';

/** The field `participants`: a JSON list of users as `user@peer-id`, and at its end 16 bytes of salt, base64url. */
export function writeParticipants(users: readonly string[], salt: Uint8Array): string {
  return JSON.stringify([...users, base64url(salt)]);
}

/**
 * The nonce of a conversation's creation. It binds the users: the participating nodes are in the creation itself, but any of them
 * can edit the document that names their users.
 */
export function participantsNonce(field: string): Uint8Array {
  return sha256(new TextEncoder().encode(field)).subarray(0, 16);
}

/** Whether a text is the field `participants` as it was at the creation. */
export function isOriginal(key: string, members: Membership, field: string): boolean {
  return contentId(sha256(encodeMembership(members, participantsNonce(field)))) === parseRecordKey(key)?.id;
}

/**
 * The users who take part in a conversation, as `user@peer-id`: those of its creation, whoever has overwritten them since. Undefined
 * when the list of the creation is not among the field's values.
 */
export function participantsOf({
  key,
  members,
  view,
  conflicts,
}: RecordState): readonly string[] | undefined {
  if (members === undefined) return undefined;
  const values = [view['participants'], ...(conflicts['participants'] ?? []).map(({ value }) => value)];
  for (const value of values)
    if (typeof value === 'string' && isOriginal(key, members, value)) return usersOf(value);
  return undefined;
}

/** A value that a document's field was set to, and the place of the op that did it. */
export interface PastValue extends Pick<PlacedOp, 'author' | 'time' | 'epoch' | 'seq' | 'index'> {
  readonly value: Scalar;
}

/** Every value that a document's field was set to, in no order that other nodes would have, too. */
export type FieldHistory = (key: RecordKey, field: string) => AsyncIterable<PastValue>;

/** Lists found in histories that are remembered. */
const REMEMBERED = 10_000;

interface FoundUsers {
  readonly users: readonly string[];
  /** Where nothing was found, it is looked for again with the next change. */
  readonly heads?: string;
}

/**
 * The users who take part, also where a node has overwritten the list: then it is searched for in the document's history, so that
 * nobody can shut others out.
 */
export class ParticipantLists {
  readonly #history: FieldHistory;
  readonly #found = new LRUCache<RecordKey, FoundUsers>(atMost(REMEMBERED));

  constructor(history: FieldHistory) {
    this.#history = history;
  }

  /** Empty when the creation bound no list that was ever written. */
  async of(state: RecordState): Promise<readonly string[]> {
    const { key, members } = state;
    const users = participantsOf(state);
    if (users !== undefined || members === undefined) return users ?? [];
    const heads = state.heads.join();
    const known = this.#found.get(key);
    if (known !== undefined && (known.heads === undefined || known.heads === heads)) return known.users;
    const original = await this.#original(key, members);
    const found = original === undefined ? { users: [], heads } : { users: usersOf(original) };
    this.#found.set(key, found);
    return found.users;
  }

  async #original(key: RecordKey, members: Membership): Promise<string | undefined> {
    for await (const { value } of this.#history(key, 'participants'))
      if (typeof value === 'string' && isOriginal(key, members, value)) return value;
    return undefined;
  }
}

/** The users that a field `participants` names; nobody where its creator wrote something else. */
export function usersOf(field: string): string[] {
  const list = parsedJson(field);
  if (!Array.isArray(list)) return [];
  return list.filter((each: unknown): each is string => parseParty(each) !== undefined);
}
