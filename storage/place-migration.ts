import { isLive } from '../protocols/open-dialog/record.ts';
import type { RecordKey } from '../protocols/wire/ids.ts';
import { coordinatesOf, indexStart } from './indexes.ts';
import { fullKey, innerKey, range } from './keyspace.ts';
import type { Migration } from './migrations.ts';
import { placeValue } from './place-cells.ts';
import { decodeRecord } from './record-rows.ts';
import { type Rewriting, rewriteRows } from './row-migration.ts';

/** A listing whose row is damaged gets no place: repairing the row adds it. */
export const PLACE_ROWS: Rewriting = {
  table: 'records',
  prefix: 'listings/',
  into: 'index',
  mark: 'places',
  rewrite: (full, value) => {
    const key = innerKey(full) as RecordKey;
    const state = decodeRecord(key, value);
    const at = isLive(state) ? coordinatesOf(state.view) : undefined;
    if (at === undefined) return undefined;
    return {
      type: 'put',
      key: fullKey('index', indexStart('listings.place', placeValue(at)) + key),
      value: new Uint8Array(0),
    };
  },
};

/** Layout 5: listings are found by their exact position, not by a cell of 5 km. */
export const PLACES: Migration = {
  to: 5,
  async run(level, _, onProgress) {
    const ops = await rewriteRows(level, PLACE_ROWS, onProgress);
    // Not in the last batch: of a large database that would be a row for each listing.
    await level.clear(range('index', 'listings.geohash\0'));
    return ops;
  },
};
