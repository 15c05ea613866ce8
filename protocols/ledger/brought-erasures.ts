import { type Erasure, placeOf } from '../feed/erasure.ts';

/** Statements remembered: a range brings each right before its entry. */
const REMEMBERED = 4096;

/** Erasures that peers have told of entries still to come; the oldest are forgotten, and come again with the next pull. */
export class BroughtErasures {
  readonly #byId = new Map<string, Erasure>();

  add(erasure: Erasure): void {
    this.#byId.set(erasure.id, erasure);
    const [oldest] = this.#byId.keys();
    if (this.#byId.size > REMEMBERED && oldest !== undefined) this.#byId.delete(oldest);
  }

  at(place: string): Erasure[] {
    return [...this.#byId.values()].filter((erasure) => placeOf(erasure) === place);
  }
}
