import { feedId } from '../feed/feed.ts';
import { NumberColumn } from '../open-dialog/number-column.ts';
import type { OpRef, PlacedOp } from '../open-dialog/record.ts';
import type { Asking, FeedOps } from '../open-dialog/record-walk.ts';
import type { RecordKey } from '../wire/ids.ts';
import { LIMITS } from '../wire/limits.ts';
import type { Erasing } from './erasing.ts';
import type { LedgerStore, OpPlace } from './ports.ts';
import type { Turn } from './turn.ts';

/** Places that are read together. */
const PLACES_AT_ONCE = 512;

/** A feed's part of a record. */
interface FeedPart extends FeedOps {
  /** Undefined where nothing of the feed is stored. */
  readonly no: number | undefined;
}

/**
 * All ops of a record that have effect by their numbers, in the order of their feeds. Their places are kept in memory, at a few bytes
 * each; their content is read on demand.
 */
export class OpsOfRecord {
  readonly #store: LedgerStore;
  readonly #key: RecordKey;
  readonly #turn: Turn;
  readonly #seqs = new NumberColumn();
  readonly #indexes = new NumberColumn();
  readonly #fresh = new Map<number, PlacedOp>();
  readonly #parts: FeedPart[] = [];

  constructor(store: LedgerStore, key: RecordKey, turn: Turn) {
    this.#store = store;
    this.#key = key;
    this.#turn = turn;
  }

  get feeds(): readonly FeedOps[] {
    return this.#parts;
  }

  /** All, by number. */
  *effective(): Generator<number> {
    for (let at = 0; at < this.#seqs.length; at++) yield at;
  }

  /** Whether the op is part of this commit. */
  isFresh(at: number): boolean {
    return this.#fresh.has(at);
  }

  refAt(at: number): OpRef {
    const { author, channel, epoch } = this.#partOf(at);
    return { author, channel, epoch, seq: this.#seqs.get(at), index: this.#indexes.get(at) };
  }

  /** Undefined where it is erased. */
  async read(at: number): Promise<PlacedOp | undefined> {
    const fresh = this.#fresh.get(at);
    const { no } = this.#partOf(at);
    if (fresh !== undefined || no === undefined) return fresh;
    return this.#store.opAt(this.#key, no, { seq: this.#seqs.get(at), index: this.#indexes.get(at) });
  }

  /** Runs work that asks for these ops, and yields whenever the slice is over. */
  async answer<T>(work: Asking<T>): Promise<T> {
    for (let step = work.next(); ;) {
      if (step.done === true) return step.value;
      if (this.#turn.isOver()) await this.#turn.next();
      step = work.next(step.value === undefined ? undefined : await this.read(step.value));
    }
  }

  /** Adds a feed's part: its stored ops and those of this commit, in the feed's order. */
  async add(
    feed: Pick<FeedOps, 'author' | 'channel' | 'epoch'> & { readonly no: number | undefined },
    fresh: readonly PlacedOp[],
    hasEffect: (ref: OpRef) => boolean,
    cover = 0,
  ): Promise<void> {
    const { author, channel, epoch, no } = feed;
    const from = this.#seqs.length;
    const note = (place: OpPlace, placed?: PlacedOp): void => {
      if (!hasEffect({ author, channel, epoch, seq: place.seq, index: place.index })) return;
      const at = this.#seqs.push(place.seq);
      this.#indexes.push(place.index);
      if (placed !== undefined) this.#fresh.set(at, placed);
    };
    const coming = fresh.toSorted(inOrder);
    let next = 0;
    const noteComing = (before?: OpPlace): void => {
      for (let each = coming[next]; each !== undefined; each = coming[++next]) {
        if (before !== undefined && inOrder(each, before) > 0) return;
        note(each, each);
      }
    };
    for await (const place of this.#places(no, cover)) {
      noteComing(place);
      note(place);
    }
    noteComing();
    this.#parts.push({ author, channel, epoch, no, from, to: this.#seqs.length });
  }

  /** Those behind what is covered: a floor stands for the others, however many these are. */
  async *#places(no: number | undefined, cover: number): AsyncGenerator<OpPlace> {
    if (no === undefined) return;
    for (let above: OpPlace | undefined = cover === 0 ? undefined : lastOf(cover); ;) {
      const some = await this.#store.opPlaces(this.#key, no, { above }, PLACES_AT_ONCE);
      yield* some;
      if (this.#turn.isOver()) await this.#turn.next();
      above = some.at(-1);
      if (some.length < PLACES_AT_ONCE || above === undefined) return;
    }
  }

  #partOf(at: number): FeedPart {
    let [low, high] = [0, this.#parts.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#parts[middle]?.from ?? 0) <= at) low = middle + 1;
      else high = middle;
    }
    const part = this.#parts[low - 1];
    if (part === undefined) throw new TypeError(`no op ${at} of ${this.#key}`);
    return part;
  }
}

/** The ops of records: those that are stored and those of one commit. */
export class RecordOps {
  readonly #store: LedgerStore;
  readonly #turn: Turn;
  readonly #isEffective: (ref: OpRef) => boolean;
  readonly #erasing: Pick<Erasing, 'isErased'>;
  readonly #floors: Pick<LedgerStore, 'coverOf'>;
  readonly #fresh = new Map<RecordKey, PlacedOp[]>();

  /** `isEffective` says whether a stored op is below every fork of its feed. */
  constructor(
    store: LedgerStore,
    isEffective: (ref: OpRef) => boolean,
    erasing: Pick<Erasing, 'isErased'>,
    turn: Turn,
    floors: Pick<LedgerStore, 'coverOf'> = store,
  ) {
    this.#store = store;
    this.#floors = floors;
    this.#isEffective = isEffective;
    this.#erasing = erasing;
    this.#turn = turn;
  }

  add(key: RecordKey, placed: PlacedOp): void {
    const fresh = this.#fresh.get(key);
    if (fresh === undefined) this.#fresh.set(key, [placed]);
    else fresh.push(placed);
  }

  /** Whether a feed holds an op of this record, including this commit. */
  async hasOf(
    key: RecordKey,
    { author, channel, epoch }: Pick<PlacedOp, 'author' | 'channel' | 'epoch'>,
  ): Promise<boolean> {
    const isFresh = this.#fresh.get(key)?.some((op) => op.author === author && op.epoch === epoch) === true;
    return isFresh || (await this.#store.hasOps(key, { author, channel, epoch }));
  }

  async of(key: RecordKey): Promise<OpsOfRecord> {
    const ops = new OpsOfRecord(this.#store, key, this.#turn);
    const fresh = Map.groupBy(this.#fresh.get(key) ?? [], feedId);
    const hasEffect = (ref: OpRef): boolean => !this.#erasing.isErased(ref) && this.#isEffective(ref);
    for (const feed of await this.#store.opFeeds(key)) {
      if (this.#turn.isOver()) await this.#turn.next();
      const cover = this.#floors.coverOf(key, feed);
      await ops.add(feed, fresh.get(feedId(feed)) ?? [], hasEffect, cover);
      fresh.delete(feedId(feed));
    }
    for (const [, [...some]] of fresh) {
      const [first] = some;
      if (first !== undefined) await ops.add({ ...first, no: undefined }, some, hasEffect);
    }
    return ops;
  }
}

/** Behind every op of this entry, and before those of the next. */
const lastOf = (seq: number): OpPlace => ({ seq, index: LIMITS.entryOps });

function inOrder(a: Pick<OpRef, 'seq' | 'index'>, b: Pick<OpRef, 'seq' | 'index'>): number {
  return a.seq - b.seq || a.index - b.index;
}
