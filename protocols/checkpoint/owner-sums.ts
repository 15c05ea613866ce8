import { addElement, emptySum, sumDigest } from '../digest/lthash.ts';
import { type CollectionDigest, ownerDigest } from '../digest/state-digest.ts';
import type { Floor } from '../open-dialog/floor.ts';
import { floorElement } from './floor.ts';

/** The owner digest of covered records, as they are taken in. */
export class OwnerSums {
  readonly #sums = new Map<string, { count: number; readonly sum: Uint16Array }>();

  /** A record that an erasure alone has ended has no element. */
  add(floor: Floor): void {
    const element = floorElement(floor);
    if (element === undefined) return;
    const collection = floor.key.slice(0, floor.key.indexOf('/'));
    const sums = this.#sums.get(collection) ?? { count: 0, sum: emptySum() };
    this.#sums.set(collection, sums);
    sums.count++;
    addElement(sums.sum, element);
  }

  /** The digest, hex, and how many records have an element in it. */
  finish(): { readonly digest: string; readonly count: number } {
    const digests = new Map<string, CollectionDigest>();
    let count = 0;
    for (const [collection, sums] of this.#sums) {
      digests.set(collection, { count: sums.count, digest: sumDigest(sums.sum) });
      count += sums.count;
    }
    return { digest: ownerDigest(digests), count };
  }
}
