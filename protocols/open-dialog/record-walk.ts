import { decodeOp } from '../feed/op.ts';
import { sha256 } from '../wire/bytes.ts';
import type { PeerId } from '../wire/identity.ts';
import type { Channel, RecordKey } from '../wire/ids.ts';
import { APPLIED, RECORD_ENDED, RECORD_ERASED } from './fast-path.ts';
import type { Floor } from './floor.ts';
import type { Lack } from './history-types.ts';
import { History } from './history.ts';
import { factFields, readOp, type Reading } from './read-op.ts';
import { contentId } from './membership.ts';
import type { Membership, PlacedOp, RecordState, Verdict } from './record.ts';
import { collectionOf } from './schema.ts';
import { StateBuilder } from './state-builder.ts';
import { writerProblem } from './writer-rule.ts';

/** The ops of one feed, in its order: those from one number up to another. */
export interface FeedOps {
  readonly author: PeerId;
  readonly channel: Channel;
  readonly epoch: string;
  readonly from: number;
  readonly to: number;
}

/** Work that asks for ops by their numbers, each when it needs it and as often as it does; undefined is a moment for others. */
export type Asking<T> = Generator<number | undefined, T, PlacedOp | undefined>;

type Change = Extract<Reading, { kind: 'change' }>['change'];

/** A feed as far as it has been walked. */
interface WalkedFeed extends FeedOps {
  /** The first op that has not been read. */
  read: number;
  /** Where its changes wait: the op, its hash as a change, and what it waits for. */
  waits: Waits | undefined;
}

interface Waits extends Lack {
  readonly at: number;
  readonly hash: string;
}

/** The decision on an op, besides its code. */
const KIND = { none: 0, problem: 1, upgrade: 2, lasting: 3, other: 4, fact: 5, change: 6 } as const;

/**
 * Goes through the ops of a record, feed by feed, and evaluates each. A feed is followed up to a change that depends on one not yet
 * applied, and continued when that has been applied; the waiting change is then read again. So only a few numbers are kept of each
 * op, and one op is read at a time, however many the record has.
 */
export class RecordWalk {
  readonly history: History;
  readonly #key: RecordKey;
  readonly #feeds: readonly WalkedFeed[];
  readonly #channelMembers: Membership | undefined;
  readonly #kinds: Uint8Array;
  /** By number, of each op. */
  readonly #codes: Uint8Array;
  readonly #sizes: Uint32Array;
  readonly #names: string[] = [''];
  /** Applied ops; and of those, the ones that an erasure does not remove. */
  readonly #result: StateBuilder;
  readonly #lasting: StateBuilder;
  /** Feeds by the change, or the private record, that they miss. */
  readonly #blocked = new Map<string, WalkedFeed[]>();
  readonly #mayGoOn: WalkedFeed[] = [];
  readonly #floor: Floor | undefined;
  #factBytes: Uint8Array | undefined;
  #isErased = false;
  #bytes = 0;

  constructor(
    key: RecordKey,
    feeds: readonly FeedOps[],
    channelMembers: Membership | undefined,
    floor?: Floor,
  ) {
    this.#key = key;
    this.#floor = floor;
    this.#channelMembers = channelMembers;
    this.#feeds = feeds.map((feed) => ({ ...feed, read: feed.from, waits: undefined }));
    const count = feeds.reduce((most, { to }) => Math.max(most, to), 0);
    this.#kinds = new Uint8Array(count);
    this.#codes = new Uint8Array(count);
    this.#sizes = new Uint32Array(count);
    this.history = new History(collectionOf(key), floor);
    const channel = feeds[0]?.channel ?? 'public';
    this.#result = new StateBuilder(key, channel);
    this.#lasting = new StateBuilder(key, channel);
    if (floor !== undefined) this.#begin(floor);
  }

  #begin(floor: Floor): void {
    const collection = collectionOf(this.#key);
    if (floor.kind === 'document') this.#result.begin(floor, { exists: true, floored: 'open' });
    else if (floor.kind === 'fact') {
      const fields = collection && factFields(collection, floor.d);
      if (typeof fields !== 'object') throw new TypeError(`the floor of ${this.#key} is no fact`);
      this.#factBytes = floor.d;
      const heads = [contentId(sha256(floor.d))];
      this.#result.begin(floor, { exists: true, heads, view: fields });
    } else {
      const { tombstone, erased } = floor;
      this.#isErased = erased;
      // Times of what an erasure does not take are not told apart from the others.
      for (const each of [this.#result, this.#lasting])
        each.begin(floor, { tombstone, floored: 'ended', ...(erased ? { erased } : {}) });
    }
  }

  /** Whether changes have effect. */
  get hasChanges(): boolean {
    return !this.#isErased && (this.history.length > 0 || this.#floor?.kind === 'document');
  }

  /** The payload of the fact that is applied. */
  get fact(): Uint8Array | undefined {
    return this.#factBytes;
  }

  /** Bytes of the ops whose changes are applied. */
  get bytes(): number {
    return this.#bytes;
  }

  *walk(): Asking<void> {
    for (const feed of this.#feeds)
      for (feed.read = feed.from; feed.read < feed.to;) {
        const placed = yield feed.read;
        const at = feed.read++;
        if (placed !== undefined) yield* this.#meet(feed, at, placed);
      }
  }

  /** Bytes of an op. */
  sizeOf(at: number): number {
    return this.#sizes[at] ?? 0;
  }

  /** Undefined where there is no such op. */
  verdictOf(at: number): Verdict | undefined {
    const code = this.#names[this.#codes[at] ?? 0] ?? '';
    switch (this.#kinds[at]) {
      case KIND.lasting:
        return APPLIED;
      case KIND.upgrade:
        return { state: 'pending', code, missing: 'upgrade' };
      case KIND.problem:
        return { state: 'rejected', code };
      case KIND.fact:
        return this.#factVerdict(at, code);
      case KIND.change:
        return this.#isErased ? ERASED : this.#changeVerdict(at, code);
      case KIND.other:
        return this.#isErased ? ERASED : APPLIED;
      case undefined:
      default:
        return undefined;
    }
  }

  #factVerdict(at: number, code: string): Verdict {
    if (code === '') return APPLIED;
    const missing = this.#feedOf(at)?.channel ?? '';
    return code === 'channel-unknown' ? { state: 'pending', code, missing } : { state: 'rejected', code };
  }

  /** Everything of a feed from its first pending change on is pending with it. */
  #changeVerdict(at: number, code: string): Verdict {
    const waits = this.#feedOf(at)?.waits;
    if (waits !== undefined && at >= waits.at) {
      const { code: why, missing } = at === waits.at ? waits : { code: WAITS, missing: waits.hash };
      return { state: 'pending', code: why, missing };
    }
    return code === '' ? APPLIED : { state: 'rejected', code };
  }

  #feedOf(at: number): WalkedFeed | undefined {
    let [low, high] = [0, this.#feeds.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#feeds[middle]?.from ?? 0) <= at) low = middle + 1;
      else high = middle;
    }
    return this.#feeds[low - 1];
  }

  /** The state as all of it gives it, without the values of its changes. */
  *finish(heads: readonly string[]): Generator<void, RecordState> {
    let [count, pending] = [0, 0];
    for (let at = 0; at < this.#kinds.length; at++) {
      const verdict = this.verdictOf(at);
      if (verdict !== undefined) count++;
      if (verdict?.state === 'pending') pending++;
      yield;
    }
    const result = this.#isErased ? this.#lasting : this.#result;
    return result.finish(count, pending, this.hasChanges ? yield* this.history.end(heads) : {});
  }

  /** An op that is read the first time. */
  *#meet(feed: WalkedFeed, at: number, placed: PlacedOp): Asking<void> {
    const read = readOp(placed);
    this.#sizes[at] = placed.bytes.length;
    if ('problem' in read) return this.#note(at, read.isPending ? KIND.upgrade : KIND.problem, read.problem);
    const { reading } = read;
    if (reading.kind === 'change') {
      this.#note(at, KIND.change, this.#floor?.kind === 'ended' ? RECORD_ENDED : '');
      if (this.#floor?.kind === 'ended' || this.#isErased || feed.waits !== undefined) return;
      yield* this.#evaluate(feed, at, placed, reading.change);
    } else if (reading.kind === 'fact') this.#fact(at, placed, reading);
    else if (reading.kind === 'members') {
      this.#note(at, KIND.other);
      this.#result.apply(placed, { exists: true, members: reading.members });
      this.#free(this.#key);
    } else {
      const patch = reading.kind === 'erasure' ? ({ erased: true } as const) : { tombstone: true };
      this.#isErased ||= reading.kind === 'erasure';
      this.#note(at, KIND.lasting);
      for (const each of [this.#result, this.#lasting]) each.apply(placed, patch);
    }
    yield* this.#goOn();
  }

  #fact(at: number, placed: PlacedOp, { fields, hash }: Extract<Reading, { kind: 'fact' }>): void {
    const members = this.#channelMembers;
    if (placed.channel === 'public' || members?.writers.includes(placed.author) === true) {
      this.#note(at, KIND.fact);
      this.#factBytes ??= decodeOp(placed.bytes)?.d.slice();
      this.#result.apply(placed, { exists: true, heads: [hash], view: fields });
    } else this.#note(at, KIND.fact, members === undefined ? 'channel-unknown' : 'not-a-writer');
  }

  /** Pending feeds continue as far as they can. */
  *#goOn(): Asking<void> {
    for (let feed = this.#mayGoOn.pop(); feed !== undefined; feed = this.#mayGoOn.pop()) {
      const from = feed.waits?.at ?? feed.read;
      feed.waits = undefined;
      for (let at = from; at < feed.read && feed.waits === undefined && !this.#isErased; at++) {
        if (this.#kinds[at] !== KIND.change) continue;
        const placed = yield at;
        const read = placed && readOp(placed);
        if (placed === undefined || read === undefined || 'problem' in read) continue;
        if (read.reading.kind === 'change') yield* this.#evaluate(feed, at, placed, read.reading.change);
      }
    }
  }

  *#evaluate(feed: WalkedFeed, at: number, placed: PlacedOp, change: Change): Asking<void> {
    const { members } = this.#result;
    const isPublic = placed.channel === 'public';
    const lack =
      !isPublic && members === undefined ? { missing: this.#key, code: WAITS } : this.history.lacks(change);
    if (lack !== undefined) return this.#wait(feed, { at, hash: change.hash, ...lack });
    const code = yield* this.#codeOf(placed, change, at, members);
    if (code !== undefined) return this.#note(at, KIND.change, code);
    this.#result.apply(placed, isPublic ? { exists: true } : {});
    this.#bytes += placed.bytes.length;
    this.#free(change.hash);
  }

  /** Why a change is rejected; undefined when it is applied. */
  *#codeOf(
    { channel, author }: PlacedOp,
    change: Change,
    at: number,
    members: Membership | undefined,
  ): Asking<string | undefined> {
    const collection = collectionOf(this.#key);
    const isPublic = channel === 'public' || collection === undefined;
    const problem = isPublic ? undefined : writerProblem(collection, members, author, change);
    const ancestry = problem ?? (yield* paused(this.history.check(change)));
    if (typeof ancestry === 'string') return ancestry;
    this.history.apply(at, change, ancestry);
    return undefined;
  }

  #wait(feed: WalkedFeed, waits: Waits): void {
    feed.waits = waits;
    const others = this.#blocked.get(waits.missing);
    if (others === undefined) this.#blocked.set(waits.missing, [feed]);
    else others.push(feed);
  }

  /** Feeds that have waited for this change, or record, may continue. */
  #free(what: string): void {
    const waiting = this.#blocked.get(what);
    if (waiting === undefined) return;
    for (const feed of waiting) this.#mayGoOn.push(feed);
    this.#blocked.delete(what);
  }

  #note(at: number, kind: number, code = ''): void {
    const known = this.#names.indexOf(code);
    this.#codes[at] = known < 0 ? this.#names.push(code) - 1 : known;
    this.#kinds[at] = kind;
  }
}

const WAITS = 'dependency-missing';
const ERASED: Verdict = { state: 'rejected', code: RECORD_ERASED };

/** Work that asks for nothing, within some that does. */
export function* paused<T>(work: Generator<void, T>): Asking<T> {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
    yield undefined;
  }
}
