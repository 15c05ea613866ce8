import type { RecordKey } from '../protocols/wire/ids.ts';
import { SIGNED_ORDER, placeAmongFacts } from './indexes.ts';
import { type BatchOp, fullKey, range } from './keyspace.ts';
import type { Level } from './level.ts';
import type { Migration } from './migrations.ts';
import { decodeRecord } from './record-rows.ts';
import { isMadeAnew } from './row-migration.ts';

/** Rows written at once. */
const AT_ONCE = 5000;

/**
 * Layout 8: facts of a private channel from which a state is computed are indexed by their signed time, not by the time of lists. If
 * it is interrupted it begins again, and skips rows that are already in place.
 */
export const CHANNEL_PLACES: Migration = {
  to: 8,
  async run(level) {
    if (await isMadeAnew(level, 'index')) return [];
    let ops: BatchOp[] = [];
    for (const collection of SIGNED_ORDER)
      for await (const row of level.keys(range('index', `${collection}.channel\0`))) {
        ops.push(...(await moved(level, row)));
        if (ops.length < AT_ONCE) continue;
        await level.batch(ops, { sync: true });
        ops = [];
      }
    return ops;
  },
};

/** The writes that put a row into its place; none where it is there, or where its record is damaged: repairing that repairs this. */
async function moved(level: Level, row: string): Promise<BatchOp[]> {
  const key = row.slice(row.lastIndexOf('\0') + 1) as RecordKey;
  const value = await level.get(fullKey('records', key));
  const state = value && decodeRecord(key, value, () => undefined);
  if (state === undefined) return [];
  const place = fullKey('index', placeAmongFacts(state));
  if (place === row) return [];
  return [
    { type: 'del', key: row },
    { type: 'put', key: place, value: new Uint8Array(0) },
  ];
}
