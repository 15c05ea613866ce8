import { encodeItem, type RangeItem } from '../protocols/mycelium/range-item.ts';
import { concat } from '../protocols/wire/bytes.ts';

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
