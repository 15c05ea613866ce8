import { AgrinetError } from '../../protocols/errors.ts';
import type { Turn } from '../../protocols/ledger/turn.ts';
import { isOfOneRecord } from '../../protocols/unread.ts';
import { LRUCache } from 'lru-cache';
import type { Database } from '../database.ts';
import { valueDamaged, verifyChecksum } from '../values.ts';
import { bitmapOf, type Bits, setBit } from './bits.ts';
import type { Listings, Part } from './listings.ts';
import {
  blockKey,
  type ColumnName,
  COLUMNS,
  columnKey,
  decodedColumn,
  decodedNumbers,
  directoryKey,
  eachWord,
  numbersKey,
  readPostings,
} from './segment-rows.ts';

/** Listings of a segment, and how many terms they have altogether. */
export interface SegmentSize {
  readonly size: number;
  readonly terms: number;
}

/** A segment as the manifest has it: the listings among changes behind `from`, up to `to`. */
export interface SegmentHead extends SegmentSize {
  readonly no: number;
  readonly from: number;
  readonly to: number;
}

/** Rows of segments that are kept in memory, in bytes: the columns of 300,000 listings, or the words of many searches. */
const KEPT_BYTES = 8 * 1024 * 1024;

type Row = string[] | number[] | Float64Array | Uint8Array;

/** Reads rows of segments, and caches those used often. */
export class SegmentReader {
  readonly #db: Pick<Database, 'level'>;
  readonly #kept = new LRUCache<string, Row>({
    maxSize: KEPT_BYTES,
    sizeCalculation: (row, key) => key.length + 64 + ('byteLength' in row ? row.byteLength : row.length * 16),
  });

  constructor(db: Pick<Database, 'level'>) {
    this.#db = db;
  }

  forget(): void {
    this.#kept.clear();
  }

  directory = (no: number): Promise<string[]> =>
    this.#row(directoryKey(no), (bytes) => JSON.parse(Buffer.from(bytes).toString()) as string[]);
  numbers = (no: number): Promise<number[]> => this.#row(numbersKey(no), decodedNumbers);
  column = (no: number, name: ColumnName): Promise<Float64Array> =>
    this.#row(columnKey(no, name), (bytes) => decodedColumn(name, bytes));
  block = (no: number, index: number): Promise<Uint8Array> =>
    this.#row(blockKey(no, index), (bytes) => bytes);

  /** Throws `value-damaged`, also for a row that is not there: then the segment was replaced, or is damaged. */
  async #row<T extends Row>(key: string, decode: (bytes: Uint8Array) => T): Promise<T> {
    const known = this.#kept.get(key);
    if (known !== undefined) return known as T; // a key has one kind of row
    const value = await this.#db.level.get(key);
    if (value === undefined)
      throw new AgrinetError('value-damaged', 'a row of the search index is missing', { details: { key } });
    const bytes = verifyChecksum(key, value);
    const row = soundly(key, () => decode(bytes));
    this.#kept.set(key, row);
    return row;
  }
}

/** Reads the row of a key; throws `value-damaged` where it is malformed though its checksum is right. */
function soundly<T>(key: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!isOfOneRecord(error)) throw error;
    throw valueDamaged(key, error);
  }
}

/** A segment that is searched. */
export class Segment implements Part {
  readonly head: SegmentHead;
  readonly #rows: SegmentReader;

  constructor(head: SegmentHead, rows: SegmentReader) {
    this.head = head;
    this.#rows = rows;
  }

  get size(): number {
    return this.head.size;
  }

  column(name: ColumnName): Promise<Float64Array> {
    return this.#rows.column(this.head.no, name);
  }

  numbers(): Promise<number[]> {
    return this.#rows.numbers(this.head.no);
  }

  /** See `eachWord`; of the block of this number. */
  async #eachWord(index: number, visit: Parameters<typeof eachWord>[2]): Promise<void> {
    const { no, size } = this.head;
    const block = await this.#rows.block(no, index);
    soundly(blockKey(no, index), () => eachWord(block, size, visit));
  }

  async withWord(word: string): Promise<Bits | undefined> {
    const { no, size } = this.head;
    const at = lastNotBehind(await this.#rows.directory(no), word);
    if (at < 0) return undefined;
    const wanted = Buffer.from(word);
    let bits: Bits | undefined;
    await this.#eachWord(at, (found, reader) => {
      if (bits !== undefined || !wanted.equals(found)) return false;
      const into = (bits = bitmapOf(size));
      readPostings(reader, size, (place) => setBit(into, place));
      return true;
    });
    return bits;
  }

  async withPrefix(prefix: string): Promise<Bits> {
    const { no, size } = this.head;
    const directory = await this.#rows.directory(no);
    const bits = bitmapOf(size);
    const wanted = Buffer.from(prefix);
    for (let at = Math.max(0, lastNotBehind(directory, prefix)); at < directory.length; at++) {
      const first = directory[at] ?? '';
      if (first > prefix && !first.startsWith(prefix)) break;
      await this.#eachWord(at, (found, reader) => {
        if (found.length < wanted.length || !wanted.equals(found.subarray(0, wanted.length))) return false;
        readPostings(reader, size, (place) => setBit(bits, place));
        return true;
      });
    }
    return bits;
  }

  /** All of it, or the listings that `keeps` names, appended to others before them. */
  async addTo(listings: Listings, keeps: (number: number) => boolean, turn: Turn): Promise<void> {
    const { no, size } = this.head;
    const numbers = await this.numbers();
    const columns = await Promise.all(COLUMNS.map((name) => this.column(name)));
    const places = new Int32Array(size).fill(-1);
    for (const [place, number] of numbers.entries()) {
      if (!keeps(number)) continue;
      places[place] = listings.numbers.push(number) - 1;
      for (const [i, name] of COLUMNS.entries())
        listings.columns[name].push(columns[i]?.[place] ?? Number.NaN);
    }
    for (const at of (await this.#rows.directory(no)).keys()) {
      await this.#eachWord(at, (found, reader) => {
        const word = Buffer.from(found).toString();
        readPostings(reader, size, (place) => {
          const to = places[place] ?? -1;
          if (to >= 0) listings.note(word, to);
        });
        return true;
      });
      if (turn.isOver()) await turn.next();
    }
  }
}

/** The last block whose first word is not after this one; -1 when all begin later. */
function lastNotBehind(directory: readonly string[], word: string): number {
  let [low, high] = [0, directory.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((directory[middle] ?? '') <= word) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
