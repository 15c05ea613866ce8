import type { FrontierGroup } from './frontier-page.ts';
import { frontierRoot, placeDigests, type PlacedHash } from './frontier-digest.ts';

/** One group of a frontier that is compared. */
export interface ViewedGroup extends PlacedHash {
  readonly group: FrontierGroup;
  /** Whether everything that it covers is held. */
  readonly isWhole: boolean;
}

/** The groups that are equal on both sides, by what has to be done about them. */
export interface EqualGroups {
  /** Nothing of these can be missing on either side. */
  readonly same: readonly FrontierGroup[];
  /** These name epochs that this side does not hold, and the other may. */
  readonly groups: readonly FrontierGroup[];
}

/** This node's frontier at one moment, as one peer may see it. */
export class FrontierView {
  readonly #groups: readonly ViewedGroup[];
  readonly root: Uint8Array;

  constructor(groups: readonly ViewedGroup[]) {
    this.#groups = groups;
    this.root = frontierRoot(groups);
  }

  /** Of all places. */
  digests(): Uint8Array {
    return placeDigests(this.#groups);
  }

  /** The groups at these places. */
  at(places: readonly number[]): FrontierGroup[] {
    const chosen = new Set(places);
    return this.#groups.filter(({ place }) => chosen.has(place)).map(({ group }) => group);
  }

  /** The groups at all other places, which the other side holds alike. */
  besides(places: readonly number[]): EqualGroups {
    const chosen = new Set(places);
    const same: FrontierGroup[] = [];
    const groups: FrontierGroup[] = [];
    for (const { group, place, isWhole } of this.#groups)
      if (!chosen.has(place)) (isWhole ? same : groups).push(group);
    return { same, groups };
  }
}
