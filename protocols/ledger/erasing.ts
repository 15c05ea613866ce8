import type { Entry } from '../feed/entry.ts';
import {
  type ErasedOp,
  entryPlace,
  type Erasure,
  opName,
  placeOf,
  readErasure,
  withoutOps,
} from '../feed/erasure.ts';
import type { FeedState } from '../feed/feed.ts';
import { encodeOp } from '../feed/op.ts';
import { outlastsErasure, readOp } from '../open-dialog/read-op.ts';
import type { OpRef, PlacedOp } from '../open-dialog/record.ts';
import { hex, sha256Hex } from '../wire/bytes.ts';
import { parseRecordKey, type RecordKey } from '../wire/ids.ts';
import { placedOps } from './placed-ops.ts';
import type { LedgerStore } from './ports.ts';
import type { Turn } from './turn.ts';

/**
 * What the erasures of one commit do: complete ops become hashes in the entries held and in those of the same commit; an erasure of
 * an entry not held yet waits for it. If an op is not what its author claims, it is kept.
 */
export class Erasing {
  readonly #store: LedgerStore;
  readonly #turn: Turn;
  readonly #fresh: Erasure[] = [];
  readonly #entries = new Map<string, Entry>();
  readonly #rewritten = new Map<string, Entry>();
  readonly #refs = new Set<string>();
  /** The known erasures of each place examined, with the record that they name. */
  readonly #known = new Map<string, Set<string>>();
  /** To be stored: they prove to later peers that the ops were removed by their author. */
  readonly erasures: Erasure[] = [];
  /** Records whose floors lose their values. */
  readonly unfloored = new Set<RecordKey>();
  /** The ops that are gone. */
  readonly erased: { ref: OpRef; key: RecordKey }[] = [];

  constructor(store: LedgerStore, turn: Turn) {
    this.#store = store;
    this.#turn = turn;
  }

  add(erasure: Erasure): void {
    this.#fresh.push(erasure);
  }

  /** An entry of this commit. */
  entry(entry: Entry): void {
    this.#entries.set(entryPlace(entry), entry);
  }

  /** Ops that go without anybody's word, because this node forgets their entries. */
  drop(refs: readonly OpRef[]): void {
    for (const ref of refs) this.#refs.add(refId(ref));
  }

  isErased(ref: OpRef): boolean {
    return this.#refs.size > 0 && this.#refs.has(refId(ref));
  }

  /** The entry as it is to be stored. */
  asStored(entry: Entry): Entry {
    return this.#rewritten.get(entryPlace(entry)) ?? entry;
  }

  /** Entries stored before this commit that it rewrites, with their feeds. */
  rewritten(): { feed: FeedState; entry: Entry }[] {
    return [...this.#rewritten].flatMap(([place, entry]) => {
      const feed = this.#store.feed(entry.author, entry.header.channel, entry.header.epoch);
      return this.#entries.has(place) || feed === undefined ? [] : [{ feed, entry }];
    });
  }

  /** Takes what was added; the records that have to be evaluated without the ops that are gone. */
  async apply(): Promise<Set<RecordKey>> {
    const records = new Set<RecordKey>();
    for (const erasure of this.#fresh.splice(0)) {
      if (await this.#apply(erasure)) records.add(erasure.record);
      if (this.#turn.isOver()) await this.#turn.next();
    }
    return records;
  }

  async #apply(erasure: Erasure): Promise<boolean> {
    const place = placeOf(erasure);
    const known = await this.#knownAt(place, erasure);
    // Known erasures have taken effect, or will when their entry arrives: nothing is loaded or evaluated for them.
    if (erasure.ops.every((op) => known.has(nameOf(erasure, op)))) return false;
    const isUnfloored = await this.#unfloors(erasure);
    if (isUnfloored) this.unfloored.add(erasure.record);
    const entry = await this.#held(place, erasure);
    if (entry === undefined) {
      this.#keep(erasure, known);
      return isUnfloored;
    }
    const gone = await erasable(entry, [erasure], this.#turn);
    // An erasure that names no op of its record takes up no space.
    if (gone.length > 0 || isUnfloored || isMissing(entry, erasure)) this.#keep(erasure, known);
    if (gone.length === 0) return isUnfloored;
    this.#rewritten.set(place, withoutOps(entry, new Set(gone.map(({ index }) => index))));
    for (const ref of gone) {
      this.#refs.add(refId(ref));
      this.erased.push({ ref, key: erasure.record });
    }
    return true;
  }

  /**
   * Whether a floor says what this erasure takes out: that of a fact by the very op, that of a document whatever of it the author has
   * named, because a floor is not made anew without it.
   */
  async #unfloors({ record, author, channel, epoch, seq, ops }: Erasure): Promise<boolean> {
    if (channel !== 'public' || parseRecordKey(record)?.owner !== author) return false;
    const floor = await this.#store.floor(record);
    if (floor?.kind === 'document') return seq <= this.#store.coverOf(record, { author, channel, epoch });
    if (floor?.kind !== 'fact') return false;
    const c = record.slice(0, record.indexOf('/'));
    const hash = sha256Hex(encodeOp({ v: 1, c, k: '', t: 'fact', d: floor.d }));
    return ops.some((op) => op.hash === hash);
  }

  async #knownAt(place: string, erasure: Erasure): Promise<Set<string>> {
    const cached = this.#known.get(place);
    if (cached !== undefined) return cached;
    const known = new Set<string>();
    for (const each of await erasuresAt(this.#store, erasure, this.#turn))
      for (const op of each.ops) known.add(nameOf(each, op));
    this.#known.set(place, known);
    return known;
  }

  #keep(erasure: Erasure, known: Set<string>): void {
    this.erasures.push(erasure);
    for (const op of erasure.ops) known.add(nameOf(erasure, op));
  }

  async #held(place: string, { author, channel, epoch, seq }: Erasure): Promise<Entry | undefined> {
    const here = this.#rewritten.get(place) ?? this.#entries.get(place);
    if (here !== undefined) return here;
    const feed = this.#store.feed(author, channel, epoch);
    if (feed === undefined) return undefined;
    const isHeld = seq <= feed.seq || this.#store.gap(feed.no)?.kept.has(seq) === true;
    return isHeld ? this.#store.entry(feed.no, seq) : undefined;
  }
}

/** The whole ops of an entry that these statements of its place erase: of the record that they name, neither tombstone nor erasure. */
export async function erasable(entry: Entry, erasures: readonly Erasure[], turn: Turn): Promise<PlacedOp[]> {
  if (erasures.length === 0) return [];
  const named = new Set(erasures.flatMap((each) => each.ops.map((op) => nameOf(each, op))));
  const indexes = new Set(erasures.flatMap(({ ops }) => ops.map(({ index }) => index)));
  const gone: PlacedOp[] = [];
  for (const placed of placedOps(entry)) {
    if (!indexes.has(placed.index)) continue;
    if (turn.isOver()) await turn.next();
    const read = readOp(placed);
    if (read.key === undefined || ('reading' in read && outlastsErasure(read.reading))) continue;
    const op = { index: placed.index, hash: sha256Hex(placed.bytes) };
    if (named.has(nameOf({ record: read.key }, op))) gone.push(placed);
  }
  return gone;
}

/** What is stored for the place of an entry. */
export async function erasuresAt(
  store: Pick<LedgerStore, 'erasures'>,
  at: Pick<Erasure, 'author' | 'channel' | 'epoch' | 'seq'>,
  turn: Turn,
): Promise<Erasure[]> {
  const read: Erasure[] = [];
  for (const { bytes } of await store.erasures(at, at.seq, at.seq)) {
    read.push(readErasure(bytes));
    if (turn.isOver()) await turn.next();
  }
  return read;
}

/** Whether a named op is already erased: peers that join later need this erasure too. */
function isMissing(entry: Entry, erasure: Erasure): boolean {
  return erasure.ops.some(({ index, hash }) => {
    const item = entry.body[index];
    return item !== undefined && 'erased' in item && hex(item.erased) === hash;
  });
}

const nameOf = ({ record }: Pick<Erasure, 'record'>, op: ErasedOp): string => `${opName(op)} ${record}`;

const refId = (ref: OpRef): string => `${placeOf(ref)}|${ref.index}`;
