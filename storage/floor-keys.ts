import { floorOrder } from '../protocols/checkpoint/floor.ts';
import { COLLECTIONS } from '../protocols/open-dialog/schema.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import { parseRecordKey, recordKey, type RecordKey } from '../protocols/wire/ids.ts';
import { floorKey, type Slot, slotStart } from './floor-table.ts';
import { fullKey, innerKey, range } from './keyspace.ts';
import type { Level } from './level.ts';

/** Collections with public records, in the order of floors. */
const SHOWN = Object.keys(COLLECTIONS)
  .filter((name) => COLLECTIONS[name]?.channels !== 'private')
  .sort();

/** Keys of records that an owner has, or that have a floor in one of these slots, behind one of them, in the order of floors. */
export async function floorKeys(
  level: Level,
  owner: PeerId,
  slots: readonly Slot[],
  behind: RecordKey | undefined,
  limit: number,
): Promise<RecordKey[]> {
  const found = new Set(await keysHeld(level, owner, behind, limit));
  for (const slot of slots)
    for (const key of await keysInSlot(level, owner, slot, behind, limit)) found.add(key);
  return [...found].sort(floorOrder).slice(0, limit);
}

async function keysInSlot(
  level: Level,
  owner: PeerId,
  slot: Slot,
  behind: RecordKey | undefined,
  limit: number,
): Promise<RecordKey[]> {
  const { gte, lt } = range('floors', slotStart('r', owner, slot));
  const from = behind === undefined ? { gte } : { gt: floorKey(behind, slot) };
  const keys = await level.keys({ ...from, lt, limit }).all();
  return keys.map((full) => {
    const [collection = '', id = ''] = full.slice(gte.length).split('\0');
    return recordKey(collection, owner, id);
  });
}

async function keysHeld(
  level: Level,
  owner: PeerId,
  behind: RecordKey | undefined,
  limit: number,
): Promise<RecordKey[]> {
  const last = behind && parseRecordKey(behind);
  const found: RecordKey[] = [];
  for (const collection of SHOWN) {
    if (last !== undefined && collection < last.collection) continue;
    const start = fullKey('records', `${collection}/${owner}/`);
    const after = collection === last?.collection ? last.id : '';
    const left = limit - found.length;
    const keys = level.keys({ gt: start + after, lt: `${start}\u{10ffff}`, limit: left });
    for (const full of await keys.all()) found.push(innerKey(full) as RecordKey);
    if (found.length === limit) return found;
  }
  return found;
}
