import type { AskedListings } from '../../api/asked-listings.ts';
import type { Clause } from '../../protocols/market/search-words.ts';
import { coordinatesOf, indexValue } from '../../storage/indexes.ts';
import type { ListFilter } from '../../storage/list-filter.ts';
import { type Asked, type Held, isMatch, termsOf } from '../../storage/search/match.ts';
import { Counts } from '../../protocols/counts.ts';

/** A search to match against listings. */
export interface Wanted {
  readonly asked: AskedListings;
}

/** Terms of which a listing has one at least, if a want finds it, and how common such terms are among listings. */
interface Required {
  readonly terms: readonly string[];
  readonly share: number;
}

/** The rough share of a value among listings, where a word of their texts has 1. */
const SHARES: Readonly<Record<string, number>> = {
  productId: 1,
  commodity: 2,
  region: 10,
  currency: 30,
  unit: 30,
  status: 100,
  type: 100,
};
const REGION = 'region';
const OWNER_SHARE = 5;
/** The share of words in one place among all words. */
const PAIR_SHARE = 0.1;
const MOST_PAIRS = 64;
const CELL_SHARE = 3;
/** Prefixes up to this many letters match many words. */
const SHORT = 2;
const SHORT_SHARE = 10;
const ANY: Required = { terms: [''], share: 1000 };

/** Sides of the cells of a grid, in degrees; a circle uses the finest grid in which it covers few cells. */
const GRIDS = [0.5, 2, 8];
const MOST_CELLS = 16;
/** Less than a degree of a meridian, km. */
const DEGREE_KM = 111;
/** Nearer to a pole meridians are too close for cells. */
const POLAR = 85;

/**
 * Searches by what a listing must have. Each is indexed under the terms of one of its requirements: the one with the fewest other
 * searches, weighted by how often listings have such terms. So a listing is matched against few of them, whatever most of them ask
 * for.
 */
export class WantIndex<W extends Wanted> {
  readonly #byTerm = new Map<string, Set<W>>();
  readonly #wants = new Map<W, { readonly asked: Asked; readonly under: readonly string[] }>();
  /** Indexed prefixes of words, by their length. */
  readonly #lengths = new Counts<number>();

  add(want: W): void {
    const { terms: under } = requiredBy(want.asked)
      .map((each) => ({ ...each, cost: this.#load(each.terms) * each.share }))
      .reduce((best, each) => (each.cost < best.cost ? each : best));
    this.#wants.set(want, { asked: { ...want.asked, terms: termsOf(want.asked.filter) }, under });
    for (const term of under) {
      const wants = this.#byTerm.get(term);
      if (wants === undefined) this.#byTerm.set(term, new Set([want]));
      else wants.add(want);
      this.#countLength(term, 1);
    }
  }

  remove(want: W): void {
    for (const term of this.#wants.get(want)?.under ?? []) {
      const wants = this.#byTerm.get(term);
      if (wants?.delete(want) === true && wants.size === 0) this.#byTerm.delete(term);
      this.#countLength(term, -1);
    }
    this.#wants.delete(want);
  }

  /** Candidates for a listing: all searches that match it are among them. */
  candidates({ state, words }: Held): Set<W> {
    const found = new Set<W>();
    const look = (term: string): void => {
      for (const want of this.#byTerm.get(term) ?? []) found.add(want);
    };
    const places = [valueTerm(REGION, String(state.view[REGION] ?? ''))];
    const at = coordinatesOf(state.view);
    if (at !== undefined) for (const side of GRIDS) places.push(cellOf(side, at.lat, at.long));
    look('');
    for (const place of places) look(place);
    for (const word of words) {
      look(word);
      for (const place of places) look(pairOf(word, place));
      for (const length of this.#lengths.keys())
        if (word.length >= length) look(beginning(word.slice(0, length)));
    }
    for (const field of Object.keys(SHARES))
      if (field !== REGION) look(valueTerm(field, String(state.view[field] ?? '')));
    look(ownerOf(state.key.split('/')[1] ?? ''));
    return found;
  }

  /** Those of which `counts` is true that find a listing. */
  *matching(held: Held, counts: (want: W) => boolean = () => true): Generator<W> {
    for (const want of this.candidates(held)) {
      const asked = counts(want) ? this.#wants.get(want)?.asked : undefined;
      if (asked !== undefined && isMatch(held, asked)) yield want;
    }
  }

  #load(terms: readonly string[]): number {
    return 1 + Math.max(...terms.map((term) => this.#byTerm.get(term)?.size ?? 0));
  }

  #countLength(term: string, by: number): void {
    if (term.endsWith(BEGINNING)) this.#lengths.add(term.length - BEGINNING.length, by);
  }
}

/** No word and no value ends so. */
const BEGINNING = '\0*';
const beginning = (letters: string): string => letters + BEGINNING;
const valueTerm = (field: string, value: string): string => `${field}\0${indexValue(value)}`;
const pairOf = (word: string, place: string): string => `${word}\0${place}`;
const ownerOf = (owner: string): string => `owner\0${owner}`;
const cellOf = (side: number, lat: number, long: number): string =>
  `${side}\0${Math.floor(lat / side)}\0${Math.floor(((((long + 180) % 360) + 360) % 360) / side)}`;

/** All requirements, each of which is required alone; for words and places each pair, too. */
function requiredBy({ search, filter }: AskedListings): readonly Required[] {
  const clauses = (search?.clauses ?? []).map(ofClause);
  const region = ofField(REGION, filter.fields[REGION]);
  const places = [...region, ...ofCircle(filter)];
  return [
    ...clauses.flatMap((clause) => places.flatMap((place) => ofPair(clause, place))),
    ...clauses,
    ...Object.entries(filter.fields).flatMap(([field, value]) => ofField(field, value)),
    ...(filter.owner === undefined ? [] : [{ terms: [ownerOf(filter.owner)], share: OWNER_SHARE }]),
    ...places,
    ANY,
  ];
}

function ofPair(clause: Required, place: Required): Required[] {
  if (clause.terms.length * place.terms.length > MOST_PAIRS) return [];
  // A listing is not looked up by the prefixes of words in its places.
  if (clause.terms.some((term) => term.endsWith(BEGINNING))) return [];
  const terms = clause.terms.flatMap((word) => place.terms.map((each) => pairOf(word, each)));
  return [{ terms, share: clause.share * PAIR_SHARE }];
}

function ofClause({ any, prefix }: Clause): Required {
  // The longest of several words is usually the rarest.
  const words = any.map((all) => all.reduce((best, word) => (word.length > best.length ? word : best), ''));
  if (prefix === undefined) return { terms: words, share: 1 };
  return { terms: [...words, beginning(prefix)], share: prefix.length > SHORT ? 1 : SHORT_SHARE };
}

function ofField(field: string, value: string | undefined): Required[] {
  const share = SHARES[field];
  return value === undefined || share === undefined ? [] : [{ terms: [valueTerm(field, value)], share }];
}

/** The cells that a circle may reach into; none for one that is too large. */
function ofCircle({ near }: ListFilter): Required[] {
  if (near === undefined) return [];
  const { lat, long, km } = near;
  const up = km / DEGREE_KM;
  const highest = Math.abs(lat) + up;
  if (highest > POLAR) return [];
  const across = up / Math.cos((highest / 180) * Math.PI);
  if (across >= 180) return [];
  for (const side of GRIDS) {
    const [rows, columns] = [Math.ceil((2 * up) / side) + 1, Math.ceil((2 * across) / side) + 1];
    if (rows * columns > MOST_CELLS) continue;
    const terms = new Set<string>();
    for (let y = 0; y < rows; y++)
      for (let x = 0; x < columns; x++)
        terms.add(
          cellOf(
            side,
            Math.min(lat - up + y * side, lat + up),
            Math.min(long - across + x * side, long + across),
          ),
        );
    return [{ terms: [...terms], share: CELL_SHARE }];
  }
  return [];
}
