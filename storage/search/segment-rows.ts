import { fullKey, numberKey } from '../keyspace.ts';
import { NumberReader, NumberWriter } from '../number-bytes.ts';
import { bitmapOf, bitmapSize } from './bits.ts';
import type { Listings } from './listings.ts';

/**
 * The rows of a segment of the search index: its listings by their change numbers, a column for each of their figures, and the words
 * in blocks, each word with the listings that have it. Keys of a segment begin with its number; a row's name follows.
 */
export const COLUMNS = ['time', 'price', 'quantity', 'lat', 'long'] as const;
export type ColumnName = (typeof COLUMNS)[number];

/** Bytes of a block: one is read to find a word, and LevelDB keeps many in a table. */
const BLOCK_BYTES = 4096;

export const segmentStart = (no: number): string => fullKey('search', numberKey(no));
export const blockKey = (no: number, index: number): string => `${segmentStart(no)}w${numberKey(index, 4)}`;
export const numbersKey = (no: number): string => `${segmentStart(no)}n`;
export const columnKey = (no: number, column: ColumnName): string => `${segmentStart(no)}c${column}`;
export const directoryKey = (no: number): string => `${segmentStart(no)}d`;

/** The rows of a segment without their checksums; `words` are those of the listings, sorted. The same listings give the same bytes. */
export function* encodedRows(
  no: number,
  listings: Listings,
  words: readonly string[],
): Generator<[key: string, value: Uint8Array]> {
  const writer = new NumberWriter();
  let before = 0;
  for (const number of listings.numbers) {
    writer.whole(number - before);
    before = number;
  }
  yield [numbersKey(no), writer.taken()];
  for (const column of COLUMNS)
    yield [columnKey(no, column), encodedColumn(column, listings.columns[column])];
  const directory: string[] = [];
  for (const [first, block] of encodedBlocks(listings, words)) {
    yield [blockKey(no, directory.length), block];
    directory.push(first);
  }
  yield [directoryKey(no), Buffer.from(JSON.stringify(directory))];
}

/** Blocks of words in order, each with its first word. */
function* encodedBlocks(
  { words: places, size }: Listings,
  words: readonly string[],
): Generator<[first: string, block: Uint8Array]> {
  const writer = new NumberWriter();
  let [first, before] = ['', Buffer.alloc(0)];
  for (const word of words) {
    if (writer.length === 0) [first, before] = [word, Buffer.alloc(0)];
    const bytes = Buffer.from(word);
    const shared = sharedLength(before, bytes);
    writer.whole(shared);
    writer.whole(bytes.length - shared);
    writer.bytes(bytes.subarray(shared));
    writePostings(writer, places.get(word) ?? [], size);
    before = bytes;
    if (writer.length < BLOCK_BYTES) continue;
    yield [first, writer.taken()];
    writer.begin();
  }
  if (writer.length > 0) yield [first, writer.taken()];
}

function sharedLength(a: Uint8Array, b: Uint8Array): number {
  let at = 0;
  while (at < a.length && at < b.length && a[at] === b[at]) at++;
  return at;
}

/** Twice their number, and one more when a bit for each listing of the segment follows instead of the distances between them. */
function writePostings(writer: NumberWriter, places: readonly number[], size: number): void {
  const dense = places.length > bitmapSize(size);
  writer.whole(places.length * 2 + Number(dense));
  if (dense) {
    const bits = bitmapOf(size);
    for (const place of places) bits[place >> 3] = (bits[place >> 3] ?? 0) | (1 << (place & 7));
    writer.bytes(bits);
    return;
  }
  let before = 0;
  for (const place of places) {
    writer.whole(place - before);
    before = place;
  }
}

/** Reads the listings at the reader, calling `take` with each place. */
export function readPostings(reader: NumberReader, size: number, take: (place: number) => void): void {
  const head = reader.whole();
  if (head % 2 === 1) {
    const bits = reader.bytes(bitmapSize(size));
    for (let place = 0; place < size; place++)
      if (((bits[place >> 3] ?? 0) >> (place & 7)) % 2 === 1) take(place);
    return;
  }
  let place = 0;
  for (let left = head / 2; left > 0; left--) take((place += reader.whole()));
}

/** The words of a block, each as its bytes, valid until the next, with the reader before its listings: `visit` reads or skips them. */
export function eachWord(
  block: Uint8Array,
  size: number,
  visit: (word: Uint8Array, reader: NumberReader) => boolean,
): void {
  const reader = new NumberReader(block);
  let word = Buffer.alloc(256);
  while (!reader.isDone()) {
    const shared = reader.whole();
    const length = shared + reader.whole();
    if (length > word.length) word = Buffer.concat([word, Buffer.alloc(length)]);
    word.set(reader.bytes(length - shared), shared);
    if (!visit(word.subarray(0, length), reader)) skipPostings(reader, size);
  }
}

function skipPostings(reader: NumberReader, size: number): void {
  const head = reader.whole();
  if (head % 2 === 1) reader.skip(bitmapSize(size));
  else for (let left = head / 2; left > 0; left--) reader.whole();
}

export function decodedNumbers(bytes: Uint8Array): number[] {
  const reader = new NumberReader(bytes);
  const numbers: number[] = [];
  for (let number = 0; !reader.isDone();) numbers.push((number += reader.whole()));
  return numbers;
}

/** Places need fewer bytes than figures do. */
const isPlace = (column: ColumnName): boolean => column === 'lat' || column === 'long';
/** For a place that is not there. */
const NOWHERE = 0x7fffffff;

function encodedColumn(column: ColumnName, values: readonly number[]): Uint8Array {
  const array = isPlace(column)
    ? Int32Array.from(values, (value) => (Number.isNaN(value) ? NOWHERE : value))
    : Float64Array.from(values);
  return new Uint8Array(array.buffer);
}

export function decodedColumn(column: ColumnName, bytes: Uint8Array): Float64Array {
  const { buffer } = new Uint8Array(bytes); // aligned
  if (!isPlace(column)) return new Float64Array(buffer);
  return Float64Array.from(new Int32Array(buffer), (value) => (value === NOWHERE ? Number.NaN : value));
}
