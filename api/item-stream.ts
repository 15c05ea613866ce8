import { AgrinetError } from '../protocols/errors.ts';
import { decodeItems } from '../protocols/mycelium/item-sequence.ts';
import { FRAME_LIMITS } from '../protocols/mycelium/range-frame.ts';
import { encodeItem, type RangeItem } from '../protocols/mycelium/range-item.ts';
import { concat } from '../protocols/wire/bytes.ts';
import { sequenceRead } from './raw-body.ts';

/** Items are small, and a write for each costs more than its bytes. */
const GATHER_BYTES = 64 * 1024;

/** Items as the bytes of a sequence, many at a time. */
export async function* gatheredItems(items: AsyncIterable<RangeItem>): AsyncGenerator<Uint8Array> {
  let parts: Uint8Array[] = [];
  let size = 0;
  for await (const item of items) {
    const part = encodeItem(item);
    parts.push(part);
    size += part.length;
    if (size < GATHER_BYTES) continue;
    yield concat(parts);
    parts = [];
    size = 0;
  }
  if (size > 0) yield concat(parts);
}

/** The items of one body, no more than a frame holds. Throws `body-too-large`, `body-malformed`. */
export function readItems(body: AsyncIterable<Uint8Array>): Promise<RangeItem[]> {
  return sequenceRead(itemsOf(body));
}

async function itemsOf(body: AsyncIterable<Uint8Array>): Promise<RangeItem[]> {
  const items: RangeItem[] = [];
  let bytes = 0;
  for await (const each of decodeItems(body)) {
    bytes += each.bytes.length;
    if (bytes > FRAME_LIMITS.frameBytes || items.push(each) > FRAME_LIMITS.frameItems)
      throw new AgrinetError(
        'body-too-large',
        `entries: at most ${FRAME_LIMITS.frameItems} in ${FRAME_LIMITS.frameBytes} bytes`,
      );
  }
  return items;
}
