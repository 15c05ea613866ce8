import { compareTimes, type HlcTime } from '../feed/clock.ts';
import type { RecordChange } from '../ledger/ports.ts';
import { isLive, type RecordState } from '../open-dialog/record.ts';
import { listedTimes } from '../open-dialog/record-times.ts';
import type { Channel, RecordKey } from '../wire/ids.ts';
import { headsOf, type HiddenReason, messageOrder, type MessagePlace, placeOf } from './message-order.ts';

/** A place in the index of a channel: by creation as lists have it, then by key. */
export interface IndexPlace {
  readonly key: RecordKey;
  readonly created: HlcTime;
}

/** A record's position in the index of its channel. */
export function indexPlace(state: RecordState): IndexPlace {
  return { key: state.key, created: listedTimes(state).created };
}

/** Live records of a collection in a private channel, newest first; `before` continues after that one. */
export type ReadChannel = (
  collection: string,
  channel: Channel,
  limit: number,
  before?: IndexPlace,
) => Promise<readonly RecordState[]>;

/** The newest messages of one conversation, which are in the exact order; older ones are paged by arrival. */
export const WINDOW = 10_000;
/** Places kept of all conversations together, some 300 bytes each. */
const KEPT = 100_000;
/** Read at once: their texts are let go before the next are read. */
const CHUNK = 250;
const LISTED_HIDDEN = 100;

const isBefore = (a: IndexPlace, b: IndexPlace): boolean => {
  const times = compareTimes(a.created, b.created);
  return times !== 0 ? times < 0 : a.key < b.key;
};

/** The messages of one conversation in their order, without their texts. */
export class ConversationView {
  readonly #messages = new Map<RecordKey, MessagePlace>();
  readonly #hidden = new Map<RecordKey, HiddenReason>();
  /** The messages older than the view; undefined when there are none. */
  oldest: IndexPlace | undefined;
  /** The message of this node that was drafted last and may not be on disk yet. */
  drafted: MessagePlace | undefined;
  #known:
    | { readonly order: MessagePlace[]; readonly at: Map<RecordKey, number>; heads: string[] }
    | undefined;

  /** A message arrived or was erased. */
  note(state: RecordState): void {
    const { key } = state;
    const was = this.#messages.get(key);
    const place = isLive(state) && !this.#isOlder(state) ? placeOf(state) : undefined;
    this.#hidden.delete(key);
    if (typeof place === 'string' && this.#hidden.size < LISTED_HIDDEN) this.#hidden.set(key, place);
    if (typeof place !== 'object') {
      if (this.#messages.delete(key)) this.#known = undefined;
    } else if (was === undefined || was.created !== place.created) {
      this.#messages.set(key, place);
      this.#follow(place);
    }
  }

  #isOlder(state: RecordState): boolean {
    return this.oldest !== undefined && isBefore(indexPlace(state), this.oldest);
  }

  /** A message that has seen all heads comes after everything, so the order of the others does not change. */
  #follow(place: MessagePlace): void {
    const known = this.#known;
    if (known?.at.has(place.key) !== false || !known.heads.every((head) => place.seen.includes(head)))
      this.#known = undefined;
    else {
      known.at.set(place.key, known.order.push(place) - 1);
      known.heads = [place.hash];
    }
  }

  get size(): number {
    return this.#messages.size;
  }

  #now() {
    if (this.#known === undefined) {
      const order = messageOrder(this.#messages.values());
      const at = new Map(order.map((message, i) => [message.key, i]));
      this.#known = { order, at, heads: headsOf(order) };
    }
    return this.#known;
  }

  order(): readonly MessagePlace[] {
    return this.#now().order;
  }

  /** A message's position in the order. */
  at(key: RecordKey): number | undefined {
    return this.#now().at.get(key);
  }

  /** What a new message has seen: this node's last one, if it is there by now, and what that one has not. */
  heads(isThere: (key: RecordKey) => boolean): readonly string[] {
    const { heads } = this.#now();
    const last = this.drafted;
    if (last === undefined || this.#messages.has(last.key) || !isThere(last.key)) return heads;
    return [...heads.filter((hash) => !last.seen.includes(hash)), last.hash];
  }

  /** Messages that are not shown, and why; the first hundred. */
  hidden(): readonly (readonly [RecordKey, HiddenReason])[] {
    return [...this.#hidden];
  }
}

/** The views of the conversations used last, kept right by every commit. */
export class ConversationViews {
  readonly #read: ReadChannel;
  readonly #window: number;
  readonly #views = new Map<Channel, ConversationView>();
  readonly #loading = new Map<Channel, { view: Promise<ConversationView>; since: RecordState[] }>();

  constructor(read: ReadChannel, window = WINDOW) {
    this.#read = read;
    this.#window = window;
  }

  async of(channel: Channel): Promise<ConversationView> {
    const known = this.#views.get(channel);
    if (known !== undefined) {
      this.#views.delete(channel);
      this.#views.set(channel, known);
      return known;
    }
    let loading = this.#loading.get(channel);
    if (loading === undefined) {
      const since: RecordState[] = [];
      const view = this.#load(channel, since).finally(() => this.#loading.delete(channel));
      loading = { view, since };
      this.#loading.set(channel, loading);
    }
    return loading.view;
  }

  async #load(channel: Channel, since: readonly RecordState[]): Promise<ConversationView> {
    const view = new ConversationView();
    let last: RecordState | undefined;
    for (let left = this.#window; left > 0;) {
      const most = Math.min(left, CHUNK);
      const states = await this.#read('messages', channel, most, last && indexPlace(last));
      for (const state of states) view.note(state);
      last = states.at(-1);
      left -= states.length;
      if (last === undefined || states.length < most) break;
      if (left === 0) view.oldest = indexPlace(last);
    }
    for (const state of since) view.note(state);
    this.#keep(channel, view);
    return view;
  }

  #keep(channel: Channel, view: ConversationView): void {
    this.#views.set(channel, view);
    let kept = 0;
    for (const each of this.#views.values()) kept += each.size;
    for (const [oldest, each] of this.#views) {
      if (kept <= KEPT || oldest === channel) break;
      this.#views.delete(oldest);
      kept -= each.size;
    }
  }

  /** To be called for every commit. */
  noted(changes: readonly RecordChange[]): void {
    for (const { key, after } of changes) {
      if (after.channel === 'public' || !key.startsWith('messages/')) continue;
      this.#loading.get(after.channel)?.since.push(after);
      const view = this.#views.get(after.channel);
      view?.note(after);
      // Read again when it is asked for: the window then ends nearer to its newest message.
      if (view !== undefined && view.size > this.#window * 1.1) this.#views.delete(after.channel);
    }
  }

  /** After the database was reopened. */
  clear(): void {
    this.#views.clear();
  }
}
