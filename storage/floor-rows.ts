import { type ChunkItem, decodeItems, encodeItems, erasedItem } from '../protocols/checkpoint/chunk.ts';
import { ITEM } from '../protocols/checkpoint/items.ts';
import { ItemReader } from '../protocols/checkpoint/read-items.ts';
import type { Floor } from '../protocols/open-dialog/floor.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import { decodeCbor } from '../protocols/wire/cbor.ts';
import { parseRecordKey, type RecordKey } from '../protocols/wire/ids.ts';
import type { Database } from './database.ts';
import { innerKey, range } from './keyspace.ts';
import { valueDamaged, verifiedJson, verifyChecksum, withChecksum } from './values.ts';

/** The value of a record's row: its items as they stand in a chunk, which is so cut anew from the rows. */
export function floorRow(full: string, items: readonly ChunkItem[]): Uint8Array {
  return withChecksum(full, encodeItems(items));
}

/** The items in such a row. Throws `value-damaged`. */
export function itemsIn(full: string, stored: Uint8Array): ChunkItem[] {
  const value = verifyChecksum(full, stored);
  try {
    return decodeItems(value);
  } catch (error) {
    throw valueDamaged(full, error);
  }
}

/** The floor in such a row; undefined where it was erased. Throws `value-damaged`, also for one that no chunk can have. */
export function floorIn(full: string, key: RecordKey, stored: Uint8Array): Floor | undefined {
  const items = itemsIn(full, stored);
  const erased = items.filter(({ bytes }) => bytes === undefined).length;
  if (erased === items.length) return undefined;
  const owner = parseRecordKey(key)?.owner;
  if (erased > 0 || owner === undefined) throw valueDamaged(full);
  const [floor] = floorsOf(full, owner, items);
  if (floor?.key !== key) throw valueDamaged(full);
  return floor;
}

function floorsOf(full: string, owner: PeerId, items: readonly ChunkItem[]): readonly Floor[] {
  try {
    const reader = new ItemReader(owner);
    for (const item of items) reader.read(item);
    const { covers, floors } = reader.end();
    return covers.length === 0 && floors.length === 1 ? floors : [];
  } catch (error) {
    throw valueDamaged(full, error);
  }
}

/** Whether a row has lost what it said; the items are not looked at. Throws `value-damaged`. */
export function isErasedRow(full: string, stored: Uint8Array): boolean {
  const list = decodeCbor(verifyChecksum(full, stored));
  return Array.isArray(list) && Array.isArray(list[0]);
}

/** The row without what it says; undefined where nothing is left to be taken out. That a record has ended has to stay. */
export function erasedFloorRow(full: string, stored: Uint8Array): Uint8Array | undefined {
  const items = itemsIn(full, stored);
  // The first element of the list that an item is.
  if (items[0]?.bytes?.[1] === ITEM.ended) return undefined;
  return items.every(({ bytes }) => bytes === undefined) ? undefined : floorRow(full, items.map(erasedItem));
}

/** Owners of whom a row cannot be read, or whose mark cannot. */
export async function damagedFloors({ level }: Pick<Database, 'level'>): Promise<Set<PeerId>> {
  const damaged = new Set<PeerId>();
  for await (const [full, value] of level.iterator(range('floors'))) {
    const [kind, owner = '', , collection, id] = innerKey(full).split('\0');
    try {
      if (kind === 'r') {
        if (itemsIn(full, value).some(({ bytes }) => bytes !== undefined))
          floorIn(full, `${collection}/${owner}/${id}` as RecordKey, value);
      } else verifiedJson<unknown>(full, value);
    } catch {
      damaged.add(owner as PeerId); // named by whoever asks
    }
  }
  return damaged;
}
