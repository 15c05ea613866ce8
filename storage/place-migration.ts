import type { RecordKey } from '../protocols/wire/ids.ts';
import { coordinatesOf, indexStart } from './indexes.ts';
import { type BatchOp, fullKey, innerKey, range } from './keyspace.ts';
import type { Level } from './level.ts';
import type { Migration } from './migrations.ts';
import { placeValue } from './place-cells.ts';
import { isLive } from '../protocols/open-dialog/record.ts';
import { openRecord } from './record-rows.ts';
import { putJson, verifiedJson } from './values.ts';

/** The last listing that has its place; stands while the migration is under way. */
const DONE = fullKey('meta', 'places');
/** Listings written at once. */
const AT_ONCE = 5000;

/**
 * Layout 5: listings are found by their exact position, not by a cell of 5 km. Written piece by piece, with how far it is in the same
 * batch. A listing whose row is damaged gets no place: whoever mends the row gives it one.
 */
export const PLACES: Migration = {
  to: 5,
  async run(level, _, onProgress) {
    const done = await level.get(DONE);
    const from = done === undefined ? undefined : verifiedJson<string>(DONE, done);
    const { gte, lt } = range('records', 'listings/');
    let ops: BatchOp[] = [];
    let [seen, last] = [0, from ?? gte];
    for await (const [full, value] of level.iterator({
      lt,
      ...(from === undefined ? { gte } : { gt: from }),
      highWaterMarkBytes: 1024 * 1024,
    })) {
      const key = innerKey(full) as RecordKey;
      const state = openRecord(key, value, () => undefined);
      const at = isLive(state) ? coordinatesOf(state.view) : undefined;
      if (at !== undefined) ops.push(placeRow(key, placeValue(at)));
      last = full;
      if (++seen % AT_ONCE !== 0) continue;
      await write(level, ops, last);
      onProgress(seen);
      ops = [];
    }
    await write(level, ops, last);
    // Not in the last batch: of a large database that would be a row for each listing.
    await level.clear(range('index', 'listings.geohash\0'));
    return [{ type: 'del', key: DONE }];
  },
};

function placeRow(key: RecordKey, value: string): BatchOp {
  return {
    type: 'put',
    key: fullKey('index', indexStart('listings.place', value) + key),
    value: new Uint8Array(0),
  };
}

async function write(level: Level, ops: readonly BatchOp[], last: string): Promise<void> {
  await level.batch([...ops, putJson(DONE, last)], { sync: true });
}
