import type { HlcTime } from '../feed/clock.ts';
import type { RecordState } from '../open-dialog/record.ts';
import { listedTimes } from '../open-dialog/record-times.ts';
import { parseRecordKey, type RecordKey } from '../wire/ids.ts';
import { parseParty } from './party.ts';

/** The inputs of the order of a conversation: only what the authors have signed. */
export interface OrderedMessage {
  /** The message's local id, a hash over its bytes and its channel. */
  readonly hash: string;
  /** Hashes of messages that its author's node held when it was written. */
  readonly seen: readonly string[];
  /** Milliseconds since 1970 by the author's clock. */
  readonly sentAt: number;
}

/** A message of a conversation without its text. */
export interface MessagePlace extends OrderedMessage {
  readonly key: RecordKey;
  readonly nonce: string;
  /** When its author's feed took it in, as lists have it: its place in the index. */
  readonly created: HlcTime;
}

/** Why a message that counts is not shown. */
export type HiddenReason =
  /** `from` is not `user@peer-id`: read elsewhere it would be that node's user. */
  | 'from-malformed'
  /** `from` is a user of another node than the one that signed it. */
  | 'from-foreign';

const HASH = /^[A-Za-z0-9_-]{43}$/;
/** The limits of the field `seen`. */
const MAX_SEEN = 46;

/**
 * A message with its position's inputs, or why it is not shown: a pure function of the fact. A node signs for its users, so it alone
 * decides which of them take part; no node signs for the users of another.
 */
export function placeOf(state: RecordState): MessagePlace | HiddenReason {
  const { key, view } = state;
  const parts = parseRecordKey(key);
  const from = parseParty(view['from']);
  if (parts === undefined || from === undefined) return 'from-malformed';
  if (from.node !== parts.owner) return 'from-foreign';
  const { sentAt, seen, nonce } = view;
  return {
    key,
    hash: parts.id,
    seen: typeof seen === 'string' ? readSeen(seen) : [],
    sentAt: typeof sentAt === 'number' ? sentAt : 0,
    nonce: typeof nonce === 'string' ? nonce : '',
    created: listedTimes(state).created,
  };
}

/** Reads the field `seen`; values that are not hashes are ignored. */
export function readSeen(text: string): string[] {
  return [...new Set(text.split(',').filter((hash) => HASH.test(hash)))].slice(0, MAX_SEEN);
}

/** Writes the field `seen`; of more than fit, the last. */
export function writeSeen(hashes: readonly string[]): string {
  return hashes.slice(-MAX_SEEN).join(',');
}

/** Whether a `sentAt` can be shown as a date. */
export function isMessageTime(value: unknown): value is number {
  return typeof value === 'number' && !Number.isNaN(new Date(value).getTime());
}

/** Earlier first: by the authors' clocks, then by hash. Only between messages of which neither follows the other. */
function before(a: OrderedMessage, b: OrderedMessage): boolean {
  return a.sentAt !== b.sentAt ? a.sentAt < b.sentAt : a.hash < b.hash;
}

/**
 * The one order of a set of messages, the same wherever the set is held and however it arrived: no message comes before one that it
 * has seen; of those that may come next, the earliest does. What is seen but not held does not matter. Each hash once.
 */
export function messageOrder<M extends OrderedMessage>(messages: Iterable<M>): M[] {
  const held = new Map<string, M>();
  for (const message of messages) held.set(message.hash, message);
  const lacks = new Map<string, number>();
  const followers = new Map<string, M[]>();
  const ready: M[] = [];
  for (const message of held.values()) {
    const seen = message.seen.filter((hash) => held.has(hash));
    lacks.set(message.hash, seen.length);
    if (seen.length === 0) push(ready, message);
    for (const hash of seen) {
      const known = followers.get(hash);
      if (known === undefined) followers.set(hash, [message]);
      else known.push(message);
    }
  }
  const order: M[] = [];
  for (let next = pop(ready); next !== undefined; next = pop(ready)) {
    order.push(next);
    held.delete(next.hash);
    for (const follower of followers.get(next.hash) ?? []) {
      const left = (lacks.get(follower.hash) ?? 1) - 1;
      lacks.set(follower.hash, left);
      if (left === 0) push(ready, follower);
    }
  }
  // Hashes make no circles; what could be one all the same is not lost.
  return [...order, ...[...held.values()].sort((a, b) => (before(a, b) ? -1 : 1))];
}

/** The messages of an order that no other has seen, in that order: what a new one names. */
export function headsOf(order: readonly OrderedMessage[]): string[] {
  const seen = new Set(order.flatMap((message) => message.seen));
  return order.filter(({ hash }) => !seen.has(hash)).map(({ hash }) => hash);
}

/** A binary heap, the earliest at its root. */
function push<M extends OrderedMessage>(heap: M[], message: M): void {
  let at = heap.push(message) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    const above = heap[parent];
    if (above === undefined || !before(message, above)) break;
    heap[at] = above;
    at = parent;
  }
  heap[at] = message;
}

function pop<M extends OrderedMessage>(heap: M[]): M | undefined {
  const [first] = heap;
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return first;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    let below = heap[child];
    const other = heap[child + 1];
    if (below !== undefined && other !== undefined && before(other, below)) {
      below = other;
      child++;
    }
    if (below === undefined || !before(below, last)) break;
    heap[at] = below;
    at = child;
  }
  heap[at] = last;
  return first;
}
