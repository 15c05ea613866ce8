import { integer } from '../wire/cbor.ts';
import { isCollection } from '../wire/ids.ts';
import { LIMITS } from '../wire/limits.ts';
import { COLLECTIONS, OP_VERSION } from '../open-dialog/schema.ts';

/**
 * The public collections that a digest is over, each with the newest op version that its records are evaluated by. Two nodes of different versions
 * hold the same entries and show other records: what is compared is what both know in the same version, so that an upgrade is no damage.
 */
export type Coverage = ReadonlyMap<string, number>;

/** What this program knows. */
export const OWN_COVERAGE: Coverage = new Map(
  Object.values(COLLECTIONS)
    .filter(({ channels }) => channels !== 'private')
    .map(({ name }) => [name, OP_VERSION] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1)),
);

/** What two sides know in the same version. */
export function commonCoverage(one: Coverage, other: Coverage): Coverage {
  return new Map([...one].filter(([collection, version]) => other.get(collection) === version));
}

/** Whether everything in one is in the other, in the same version. */
export function isCoveredBy(one: Coverage, other: Coverage): boolean {
  return one === other || [...one].every(([collection, version]) => other.get(collection) === version);
}

/** A collection that two nodes do not compare, with the op version that either evaluates it by; null where it is not known. */
export interface NotCompared {
  readonly collection: string;
  readonly here: number | null;
  readonly there: number | null;
}

/** What is left out of a comparison with a node that knows this, ascending. */
export function notCompared(theirs: Coverage, own: Coverage = OWN_COVERAGE): NotCompared[] {
  return [...new Set([...own.keys(), ...theirs.keys()])]
    .sort()
    .map((collection) => ({
      collection,
      here: own.get(collection) ?? null,
      there: theirs.get(collection) ?? null,
    }))
    .filter(({ here, there }) => here !== there);
}

/** As it stands on a frontier page: a list of `[collection, op version]`, ascending by collection. */
export function coverageList(coverage: Coverage): [string, number][] {
  return [...coverage].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Reads such a list strictly; undefined for anything else. */
export function readCoverageList(value: unknown): Coverage | undefined {
  if (!Array.isArray(value) || value.length > LIMITS.knownCollections) return undefined;
  const found = new Map<string, number>();
  let before = '';
  for (const pair of value as readonly unknown[]) {
    if (!Array.isArray(pair) || pair.length !== 2) return undefined;
    const [collection, versionValue] = pair as readonly unknown[];
    const version = integer(versionValue, 1);
    if (!isCollection(collection) || collection <= before || version === undefined) return undefined;
    found.set(collection, version);
    before = collection;
  }
  return found;
}

/** As it stands in a query: `listings.1,prices.1`. */
export function coverageText(coverage: Coverage): string {
  return coverageList(coverage)
    .map((pair) => pair.join('.'))
    .join();
}

/** Reads such a text strictly; undefined for anything else. */
export function readCoverageText(text: string): Coverage | undefined {
  if (text === '') return new Map();
  return readCoverageList(
    text.split(',').map((pair) => {
      const [, collection, version] = /^([a-z-]+)\.([1-9]\d{0,8})$/.exec(pair) ?? [];
      return [collection, Number(version)];
    }),
  );
}
