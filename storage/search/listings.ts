import type { RecordKey } from '../../protocols/wire/ids.ts';
import { bitmapOf, type Bits, setBit } from './bits.ts';
import type { SearchedListing } from './searched.ts';
import { type ColumnName, COLUMNS } from './segment-rows.ts';

/** A part of the index, for a search. Places count its listings, in the order of their change numbers. */
export interface Part {
  /** Listings when the search began. */
  readonly size: number;
  /** Which listings have a word or term; undefined for none. */
  withWord(word: string): Promise<Bits | undefined>;
  withPrefix(prefix: string): Promise<Bits | undefined>;
  column(name: ColumnName): Promise<ArrayLike<number>>;
  numbers(): Promise<ArrayLike<number>>;
}

/** Listings in memory: the newest ones, or those that become a segment. */
export class Listings {
  readonly numbers: number[] = [];
  readonly columns: Readonly<Record<ColumnName, number[]>> = {
    time: [],
    price: [],
    quantity: [],
    lat: [],
    long: [],
  };
  readonly words = new Map<string, number[]>();
  /** The places of records that were added one by one. */
  readonly #places = new Map<RecordKey, number>();
  /** Numbers that no longer have a record, as far as that is known here. */
  readonly gone = new Set<number>();

  #terms = 0;

  get size(): number {
    return this.numbers.length;
  }

  /** Terms of each listing, added up. */
  get terms(): number {
    return this.#terms;
  }

  /** Adds a listing behind the others. */
  add(number: number, listing: SearchedListing): void {
    const place = this.numbers.push(number) - 1;
    for (const column of COLUMNS) this.columns[column].push(listing[column]);
    for (const term of listing.terms) this.note(term, place);
  }

  /** A record has changed: its old place is outdated. */
  changed(key: RecordKey): void {
    const place = this.#places.get(key);
    if (place === undefined) return;
    this.gone.add(this.numbers[place] ?? 0);
    this.#places.delete(key);
  }

  /** Adds a record's current state. */
  take(key: RecordKey, number: number, listing: SearchedListing): void {
    this.#places.set(key, this.size);
    this.add(number, listing);
  }

  note(term: string, place: number): void {
    const places = this.words.get(term);
    if (places?.at(-1) === place) return;
    this.#terms++;
    if (places === undefined) this.words.set(term, [place]);
    else places.push(place);
  }

  /** These as they are now, whatever is added later. */
  part(): Part {
    const size = this.size;
    const bitsOf = (places: readonly number[], into = bitmapOf(size)): Bits => {
      for (const place of places) if (place < size) setBit(into, place);
      return into;
    };
    return {
      size,
      withWord: async (word) => {
        const places = this.words.get(word);
        return places && bitsOf(places);
      },
      withPrefix: async (prefix) => {
        const bits = bitmapOf(size);
        for (const [word, places] of this.words) if (word.startsWith(prefix)) bitsOf(places, bits);
        return bits;
      },
      column: async (name) => this.columns[name],
      numbers: async () => this.numbers,
    };
  }
}

/** Those that still have their numbers, in steps. */
export function* kept(listings: Listings, stays: (number: number) => boolean): Generator<void, Listings> {
  const left = new Listings();
  const places = listings.numbers.map((number, place) => {
    if (!stays(number)) return -1;
    for (const column of COLUMNS) left.columns[column].push(listings.columns[column][place] ?? Number.NaN);
    return left.numbers.push(number) - 1;
  });
  for (const [word, at] of listings.words) {
    for (const place of at) if ((places[place] ?? -1) >= 0) left.note(word, places[place] ?? 0);
    yield;
  }
  return left;
}
