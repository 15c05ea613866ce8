import { decodeEntryRow } from '../../storage/entry-row.ts';
import { type BatchOp, fullKey, range } from '../../storage/keyspace.ts';
import type { Level } from '../../storage/level.ts';
import { VERSION } from '../../storage/migrations.ts';
import { readRecordRow } from '../../storage/stored-record.ts';
import { jsonWithChecksum, withChecksum } from '../../storage/values.ts';

const AT_ONCE = 500;

/** Turns a database as it is written now into what an older one held: what the migrations since did is taken back. */
export async function toOlderLayout(level: Level, layout: number): Promise<void> {
  if (layout < 9)
    await rewrite(level, range('index', 'listings.updatedAt\0'), (key) => {
      const record = key.slice(key.lastIndexOf('\0') + 1);
      return ['listings.status\0active\0', 'listings.type\0offer\0'].map((start) => ({
        type: 'put',
        key: fullKey('index', start + record),
        value: new Uint8Array(0),
      }));
    });
  if (layout < 7) await rewrite(level, range('entries'), (key, value) => [plainEntry(key, value, layout)]);
  if (layout < 6)
    await rewrite(level, range('records'), (key, value) => [
      { type: 'put', key, value: jsonWithChecksum(key, readRecordRow(key, value)) },
    ]);
  if (layout < 5)
    await rewrite(level, range('index', 'listings.place\0'), (key) => [
      { type: 'del', key },
      {
        type: 'put',
        key: fullKey('index', `listings.geohash\0kzf0t\0${key.slice(key.lastIndexOf('\0') + 1)}`),
        value: new Uint8Array(0),
      },
    ]);
  // Derived anew from here on: nothing of it may matter.
  if (layout < 4) await level.clear(range('recordOps'));
  await level.put(VERSION, jsonWithChecksum(VERSION, layout));
}

/** As signed, with its arrival as far as the layout has one. */
function plainEntry(key: string, value: Uint8Array, layout: number): BatchOp {
  const { bytes, arrived } = decodeEntryRow(key, value);
  const came = Buffer.alloc(layout === 1 ? 0 : 6);
  if (came.length > 0) came.writeUIntBE(arrived, 0, 6);
  return { type: 'put', key, value: withChecksum(key, Buffer.concat([bytes, came])) };
}

async function rewrite(
  level: Level,
  rows: ReturnType<typeof range>,
  ofRow: (key: string, value: Uint8Array) => BatchOp[],
): Promise<void> {
  let ops: BatchOp[] = [];
  for await (const [key, value] of level.iterator(rows)) {
    ops.push(...ofRow(key, value));
    if (ops.length < AT_ONCE) continue;
    await level.batch(ops);
    ops = [];
  }
  await level.batch(ops);
}
