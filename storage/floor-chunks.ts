import { type ChunkItem, chunkOf } from '../protocols/checkpoint/chunk.ts';
import { coverItem } from '../protocols/checkpoint/items.ts';
import { fromHex } from '../protocols/wire/bytes.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import { recordKey, type RecordKey } from '../protocols/wire/ids.ts';
import type { Database } from './database.ts';
import { itemsIn } from './floor-rows.ts';
import type { ChunkRow } from './floor-staging.ts';
import { chunkKey, erasedKey, evidenceKey, floorKey, slotStart, type StoredFloors } from './floor-table.ts';
import { range } from './keyspace.ts';
import { chunks, type Level } from './level.ts';
import { verifiedJson } from './values.ts';

/** Rows read together: of records they are a few hundred bytes, and of those with many values as much as a chunk. */
const ROWS_AT_ONCE = 32;
/** The same of chunks and entries that stay, of which a row is a few bytes. */
const PLACES_AT_ONCE = 512;

/** An entry that stays as evidence, and the indexes of those of its ops that do. */
export interface EvidencePlace {
  readonly epoch: string;
  readonly seq: number;
  readonly indexes: readonly number[];
}

/** The chunks of the floors of one checkpoint, cut anew from the only copy of what is in them. */
export class FloorChunks {
  readonly #level: Level;
  readonly #owner: PeerId;
  readonly #floors: Pick<StoredFloors, 'slot' | 'covers'>;

  constructor(
    { level }: Pick<Database, 'level'>,
    owner: PeerId,
    floors: Pick<StoredFloors, 'slot' | 'covers'>,
  ) {
    this.#level = level;
    this.#owner = owner;
    this.#floors = floors;
  }

  /** Hashes of the chunks of covers and records, in order, hex. Throws `value-damaged`. */
  async *hashes(): AsyncGenerator<string> {
    for await (const { hash } of this.#places(0)) yield hash;
  }

  /** These chunks, in order; fewer where what is stored gives others. Throws `value-damaged`. */
  async *chunks(first: number, last: number): AsyncGenerator<Uint8Array> {
    const places = this.#places(first);
    let { value: here } = await places.next();
    if (here === undefined) return;
    const items = this.#itemsFrom(here);
    const cutter = new Cutter(items);
    try {
      for (let number = first; here !== undefined && number <= last; number++) {
        const { value: next }: { value: ChunkRow | undefined } = await places.next();
        const chunk = chunkOf(await cutter.until(next));
        if (chunk.hash !== here.hash) return;
        yield chunk.bytes;
        here = next;
      }
    } finally {
      await places.return(undefined);
      await items.return(undefined);
    }
  }

  /** Entries that stay as evidence, in order, from a place on. Throws `value-damaged`. */
  async *evidence(from?: Pick<EvidencePlace, 'epoch' | 'seq'>): AsyncGenerator<EvidencePlace> {
    const { gte, lt } = range('floors', slotStart('e', this.#owner, this.#floors.slot));
    const begin =
      from === undefined ? gte : evidenceKey(this.#owner, this.#floors.slot, from.epoch, from.seq);
    for await (const some of chunks(this.#level.iterator({ gte: begin, lt }), PLACES_AT_ONCE))
      for (const [full, value] of some) {
        const [epoch = '', seq = ''] = full.slice(gte.length).split('\0');
        yield { epoch, seq: Number.parseInt(seq, 16), indexes: verifiedJson<number[]>(full, value) };
      }
  }

  async *#places(first: number): AsyncGenerator<ChunkRow, undefined> {
    const { slot } = this.#floors;
    const { lt } = range('floors', slotStart('c', this.#owner, slot));
    const rows = this.#level.iterator({ gte: chunkKey(this.#owner, slot, first), lt });
    for await (const some of chunks(rows, PLACES_AT_ONCE))
      for (const [full, value] of some) yield verifiedJson<ChunkRow>(full, value);
    return undefined;
  }

  /** All items from the place where a chunk begins, each with its own. */
  async *#itemsFrom({ record, item }: Omit<ChunkRow, 'hash'>): AsyncGenerator<PlacedItem, undefined> {
    for await (const each of this.#records(record)) {
      const { key, items } = each;
      for (const [at, chunkItem] of items.entries())
        if (key !== record || at >= item) yield { record: key, item: at, chunkItem };
    }
    return undefined;
  }

  /** Records from one on, the first of all being the covers: their items, and the erased ones behind them. */
  async *#records(from: RecordKey | ''): AsyncGenerator<ItemsOfRecord> {
    const { slot, covers } = this.#floors;
    const erased = this.#erased(from);
    let { value: next } = await erased.next();
    const behind = async (key: RecordKey | ''): Promise<readonly ChunkItem[]> => {
      if (next?.key !== key) return [];
      const { items } = next;
      ({ value: next } = await erased.next());
      return items;
    };
    if (from === '') yield { key: '', items: [...covers.map(coverItem), ...(await behind(''))] };
    const { gte, lt } = range('floors', slotStart('r', this.#owner, slot));
    const rows = this.#level.iterator({ gte: from === '' ? gte : floorKey(from, slot), lt });
    for await (const some of chunks(rows, ROWS_AT_ONCE))
      for (const [full, value] of some) {
        const key = this.#keyOf(full.slice(gte.length));
        yield { key, items: [...itemsIn(full, value), ...(await behind(key))] };
      }
  }

  /** Erased items whose records nobody knows, by the record before them. */
  async *#erased(from: RecordKey | ''): AsyncGenerator<ItemsOfRecord, undefined> {
    const { gte, lt } = range('floors', slotStart('x', this.#owner, this.#floors.slot));
    const rows = this.#level.iterator({ gte: erasedKey(this.#owner, this.#floors.slot, from), lt });
    for await (const some of chunks(rows, ROWS_AT_ONCE))
      for (const [full, value] of some) {
        const name = full.slice(gte.length);
        const items = verifiedJson<string[]>(full, value).map((hash): ChunkItem => ({
          bytes: undefined,
          hash: fromHex(hash),
        }));
        yield { key: name === '' ? '' : this.#keyOf(name), items };
      }
    return undefined;
  }

  #keyOf(name: string): RecordKey {
    const [collection = '', id = ''] = name.split('\0');
    return recordKey(collection, this.#owner, id);
  }
}

interface ItemsOfRecord {
  readonly key: RecordKey | '';
  readonly items: readonly ChunkItem[];
}

interface PlacedItem {
  readonly record: RecordKey | '';
  readonly item: number;
  readonly chunkItem: ChunkItem;
}

/** Cuts items where chunks begin. */
class Cutter {
  readonly #items: AsyncGenerator<PlacedItem>;
  /** The item with which the next chunk begins. */
  #held: ChunkItem | undefined;

  constructor(items: AsyncGenerator<PlacedItem>) {
    this.#items = items;
  }

  /** The items before that place; all that are left where there is none. */
  async until(place: Omit<ChunkRow, 'hash'> | undefined): Promise<ChunkItem[]> {
    const found = this.#held === undefined ? [] : [this.#held];
    this.#held = undefined;
    for (;;) {
      const { value } = await this.#items.next();
      const each: PlacedItem | undefined = value;
      if (each === undefined) return found;
      if (place !== undefined && each.record === place.record && each.item === place.item) {
        this.#held = each.chunkItem;
        return found;
      }
      found.push(each.chunkItem);
    }
  }
}
