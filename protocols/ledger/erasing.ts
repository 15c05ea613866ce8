import type { Entry } from '../feed/entry.ts';
import { entryPlace, type Erasure, isErasedBy, openErasure, placeOf, withoutOps } from '../feed/erasure.ts';
import type { FeedState } from '../feed/feed.ts';
import { readOp } from '../open-dialog/read-op.ts';
import type { OpRef, PlacedOp } from '../open-dialog/record.ts';
import { sha256Hex } from '../wire/bytes.ts';
import type { RecordKey } from '../wire/ids.ts';
import { placedOps } from './placed-ops.ts';
import type { LedgerStore } from './ports.ts';

/**
 * What the erasures of one commit do: whole ops become hashes in the entries that are held, and of those that come in the same
 * commit; a statement about an entry not held yet waits for it. Where an op is not what its author says it is, it stays.
 */
export class Erasing {
  readonly #store: LedgerStore;
  readonly #fresh: Erasure[] = [];
  readonly #entries = new Map<string, Entry>();
  readonly #rewritten = new Map<string, Entry>();
  readonly #refs = new Set<string>();
  /** To be kept: they prove to whoever comes later that the ops are gone by their author's will. */
  readonly erasures: Erasure[] = [];
  /** The ops that are gone. */
  readonly erased: { ref: OpRef; key: RecordKey }[] = [];

  constructor(store: LedgerStore) {
    this.#store = store;
  }

  add(erasure: Erasure): void {
    this.#fresh.push(erasure);
  }

  /** An entry of this commit. */
  entry(entry: Entry): void {
    this.#entries.set(entryPlace(entry), entry);
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

  /** Takes what was added; the records that have to be judged without the ops that are gone. */
  async apply(): Promise<Set<RecordKey>> {
    const records = new Set<RecordKey>();
    for (const erasure of this.#fresh.splice(0)) if (await this.#apply(erasure)) records.add(erasure.record);
    return records;
  }

  async #apply(erasure: Erasure): Promise<boolean> {
    const place = placeOf(erasure);
    const known = [...(await erasuresAt(this.#store, erasure)), ...this.erasures];
    const here = known.filter((each) => placeOf(each) === place);
    const isNew = erasure.ops.some(({ index, hash }) => !isErasedBy(here, index, hash));
    const entry = await this.#held(place, erasure);
    if (entry === undefined) {
      if (isNew) this.erasures.push(erasure);
      return false;
    }
    const gone = erasable(entry, [erasure]);
    const missing = erasure.ops.some(({ index }) => 'erased' in (entry.body[index] ?? {}));
    // One that names nothing of the record it speaks of takes no place.
    if (isNew && (gone.length > 0 || missing)) this.erasures.push(erasure);
    if (gone.length === 0) return false;
    this.#rewritten.set(place, withoutOps(entry, new Set(gone.map(({ index }) => index))));
    for (const ref of gone) {
      this.#refs.add(refId(ref));
      this.erased.push({ ref, key: erasure.record });
    }
    return true;
  }

  async #held(place: string, { author, channel, epoch, seq }: Erasure): Promise<Entry | undefined> {
    const here = this.#rewritten.get(place) ?? this.#entries.get(place);
    if (here !== undefined) return here;
    const feed = this.#store.feed(author, channel, epoch);
    return feed === undefined || feed.seq < seq ? undefined : this.#store.entry(feed.no, seq);
  }
}

/** The whole ops of an entry that these statements of its place erase: of the record that they name, and no tombstone. */
export function erasable(entry: Entry, erasures: readonly Erasure[]): PlacedOp[] {
  if (erasures.length === 0) return [];
  return placedOps(entry).filter((placed) => {
    const hash = sha256Hex(placed.bytes);
    const named = erasures.filter((each) => isErasedBy([each], placed.index, hash));
    if (named.length === 0) return false;
    const read = readOp(placed);
    if (!('problem' in read) && read.reading.kind === 'tombstone') return false;
    return named.some(({ record }) => record === read.key);
  });
}

/** What is kept for the place of an entry. */
export async function erasuresAt(
  store: Pick<LedgerStore, 'erasures'>,
  at: Pick<Erasure, 'author' | 'channel' | 'epoch' | 'seq'>,
): Promise<Erasure[]> {
  return (await store.erasures(at, at.seq, at.seq)).map(({ bytes }) => openErasure(bytes));
}

const refId = (ref: OpRef): string => `${placeOf(ref)}|${ref.index}`;
