import geohash from 'ngeohash';
import { distanceKm } from '../protocols/market/coordinates.ts';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import { coordinatesOf, GEOHASH_LENGTH, indexValue, TEXT_INDEXES } from './indexes.ts';

/** All within so many kilometres of a place, in degrees. */
export interface Circle {
  readonly lat: number;
  readonly long: number;
  readonly km: number;
}

/** What a list is narrowed by. */
export interface ListFilter {
  /** Exact values of indexed text fields, case-insensitive. */
  readonly fields: Readonly<Record<string, string | undefined>>;
  readonly owner?: string | undefined;
  /** Within a great-circle distance. */
  readonly near?: Circle | undefined;
  /** Whether a record is shown at all. */
  readonly keep?: ((state: RecordState) => boolean) | undefined;
}

/** The filter whose index narrows most: the fields stand in that order in the table. */
export function indexed(collection: string, fields: ListFilter['fields']): [string, string] | undefined {
  for (const name of TEXT_INDEXES[collection] ?? []) {
    const value = fields[name];
    if (value !== undefined) return [name, value];
  }
  return undefined;
}

/** Whether the candidates that one index gives still have to be looked at one by one. */
export function isNarrowedAfter(collection: string, { fields, owner, near, keep }: ListFilter): boolean {
  const given = Object.keys(fields).filter((name) => fields[name] !== undefined);
  const byIndex = indexed(collection, fields) === undefined ? 0 : 1;
  return (
    near !== undefined ||
    keep !== undefined ||
    given.length > byIndex ||
    (owner !== undefined && byIndex === 1)
  );
}

/** Whether a record is of a filter; throws what `keep` throws. */
export function matches(state: RecordState, { fields, owner, near, keep }: ListFilter): boolean {
  if (owner !== undefined && state.key.split('/')[1] !== owner) return false;
  for (const [field, value] of Object.entries(fields)) {
    if (value !== undefined && indexValue(String(state.view[field] ?? '')) !== indexValue(value))
      return false;
  }
  if (keep !== undefined && !keep(state)) return false;
  if (near === undefined) return true;
  const at = coordinatesOf(state.view);
  return at !== undefined && distanceKm(at, near) <= near.km;
}

/** Whether a circle is looked up by its geohash cells: larger ones and those near a pole have too many. */
export function hasCells({ lat, km }: Circle): boolean {
  return km <= 200 && Math.abs(lat) < 80;
}

/** Geohash cells that cover the circle's bounding box, in order. */
export function cellsOf({ lat, long, km }: Circle): string[] {
  const dLat = km / 111;
  const dLong = km / (111 * Math.cos((lat * Math.PI) / 180));
  const digits = km > 20 ? Math.min(GEOHASH_LENGTH, 3) : 4;
  const south = Math.max(-90, lat - dLat);
  const north = Math.min(90, lat + dLat);
  const boxes: [number, number][] =
    long - dLong < -180
      ? [
          [-180, long + dLong],
          [long - dLong + 360, 180],
        ]
      : long + dLong > 180
        ? [
            [long - dLong, 180],
            [-180, long + dLong - 360],
          ]
        : [[long - dLong, long + dLong]];
  const cells = new Set(boxes.flatMap(([west, east]) => geohash.bboxes(south, west, north, east, digits)));
  return [...cells].sort();
}
