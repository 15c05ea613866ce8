import type { HlcTime } from '../feed/clock.ts';
import { type FrontierItem, frontierItemCbor } from '../feed/frontier.ts';
import { fromHex } from '../wire/bytes.ts';
import type { DocumentFloor, Floor, FloorValue } from '../open-dialog/floor.ts';
import type { Cbor } from '../wire/cbor.ts';
import { parseRecordKey, type RecordKey } from '../wire/ids.ts';
import { type ChunkItem, plainItem } from './chunk.ts';
import { CHECKPOINT_LIMITS } from '../feed/checkpoint.ts';

/** The first element of each kind of item; `ENTRY_ITEM` is one more. */
export const ITEM = { cover: 0, document: 1, more: 2, fact: 3, ended: 4 } as const;

/** What an ended record's item says of how it ended. */
export const ENDED = { tombstone: 1, erased: 2 } as const;

/** The item of a covered epoch. */
export function coverItem(cover: FrontierItem): ChunkItem {
  return plainItem([ITEM.cover, ...frontierItemCbor(cover)]);
}

/** The items of one record's floor, in order: one, or of a document with many visible values several. */
export function* floorItems(floor: Floor): Generator<ChunkItem> {
  const { collection, id } = partsOf(floor.key);
  const [created, updated] = [time(floor.created), time(floor.updated)];
  switch (floor.kind) {
    case 'fact':
      return yield plainItem([ITEM.fact, collection, created, updated, floor.d]);
    case 'ended': {
      const flags = (floor.tombstone ? ENDED.tombstone : 0) + (floor.erased ? ENDED.erased : 0);
      return yield plainItem([ITEM.ended, collection, id, flags, created, updated]);
    }
    case 'document': {
      const first: Cbor[] = [ITEM.document, collection, id, floor.maxOp, created, updated];
      first.push(floor.heads.map(fromHex));
      let to = valuesTo(floor, 0);
      yield plainItem([...first, floor.values.slice(0, to).map(written)]);
      while (to < floor.values.length) {
        const from = to;
        to = valuesTo(floor, from);
        yield plainItem([ITEM.more, floor.values.slice(from, to).map(written)]);
      }
    }
  }
}

/** Where the values of an item end that begin at `from`. */
function valuesTo({ values }: DocumentFloor, from: number): number {
  let bytes = 0;
  for (let at = from; at < values.length; at++) {
    const value = values[at]?.value;
    bytes += VALUE_BYTES + (typeof value === 'string' ? Buffer.byteLength(value) : 0);
    const isFull = at - from >= CHECKPOINT_LIMITS.values || bytes > CHECKPOINT_LIMITS.valueBytes;
    if (isFull && at > from) return at;
  }
  return values.length;
}

/** What a value counts for beside its text. */
const VALUE_BYTES = 64;

function written({ field, counter, actor, value }: FloorValue): Cbor {
  return [field, counter, fromHex(actor), value];
}

function time([ms, counter]: HlcTime): Cbor {
  return [ms, counter];
}

function partsOf(key: RecordKey): { readonly collection: string; readonly id: string } {
  const parts = parseRecordKey(key);
  if (parts === undefined) throw new TypeError(`${key} is no record key`);
  return parts;
}
