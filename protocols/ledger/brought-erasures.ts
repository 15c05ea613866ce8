import { type Erasure, placeOf } from '../feed/erasure.ts';

/** Statements remembered: a range brings each right before its entry. */
const REMEMBERED = 4096;

/** Erasures that peers have told of entries still to come; the oldest are forgotten, and come again with the next pull. */
export class BroughtErasures {
  readonly #byId = new Map<string, Erasure>();
  readonly #byPlace = new Map<string, Set<Erasure>>();

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  add(erasure: Erasure): void {
    if (this.#byId.has(erasure.id)) return;
    this.#byId.set(erasure.id, erasure);
    const place = placeOf(erasure);
    const there = this.#byPlace.get(place) ?? new Set<Erasure>();
    this.#byPlace.set(place, there.add(erasure));
    const [oldest] = this.#byId.values();
    if (this.#byId.size > REMEMBERED && oldest !== undefined) this.#forget(oldest);
  }

  at(place: string): Erasure[] {
    return [...(this.#byPlace.get(place) ?? [])];
  }

  #forget(erasure: Erasure): void {
    this.#byId.delete(erasure.id);
    const place = placeOf(erasure);
    const there = this.#byPlace.get(place);
    there?.delete(erasure);
    if (there?.size === 0) this.#byPlace.delete(place);
  }
}
