import { AgrinetError } from '../errors.ts';
import { concat } from '../wire/bytes.ts';
import { decodeCbor, encodeCbor } from '../wire/cbor.ts';
import { LIMITS } from '../wire/limits.ts';
import { ITEM_KINDS, type RangeItem } from './range.ts';

/**
 * Range items over HTTP, `application/cbor-seq` (RFC 8742): the dag-cbor of `[0, entry]`, `[1, proof]` or `[2, erasure]`, one behind the other
 * and nothing between them. They come in the order of a range answer, so whoever reads may stop anywhere and ask again.
 */
export const ITEM_SEQUENCE = 'application/cbor-seq';

/** Array head, kind, head of the longest byte string. */
const HEAD_BYTES = 7;

export function encodeItem({ kind, bytes }: RangeItem): Uint8Array {
  return encodeCbor([ITEM_KINDS.indexOf(kind), bytes]);
}

const malformed = (): AgrinetError => new AgrinetError('range-malformed', 'malformed sequence of entries');

/** Bytes of the item that begins here: undefined while its head is not whole. Throws for anything but an item in its limit. */
function itemLength(data: Uint8Array): number | undefined {
  const [array, kind, head] = data;
  if (array !== undefined && array !== 0x82) throw malformed();
  if (kind !== undefined && kind >= ITEM_KINDS.length) throw malformed();
  if (head === undefined) return undefined;
  if (head >= 0x40 && head <= 0x57) return 3 + (head - 0x40);
  const width = head === 0x58 ? 1 : head === 0x59 ? 2 : head === 0x5a ? 4 : 0;
  if (width === 0) throw malformed();
  if (data.length < 3 + width) return undefined;
  let length = 0;
  for (const byte of data.subarray(3, 3 + width)) length = length * 256 + byte;
  if (length > LIMITS.entryBytes) throw malformed();
  return 3 + width + length;
}

/** Reads a sequence strictly, item by item; no more than one is held. Throws `range-malformed` or `not-canonical`. */
export async function* decodeItems(source: AsyncIterable<Uint8Array>): AsyncGenerator<RangeItem> {
  let rest: Uint8Array = new Uint8Array(0);
  for await (const chunk of source) {
    rest = rest.length === 0 ? chunk : concat([rest, chunk]);
    for (;;) {
      const length = itemLength(rest.subarray(0, HEAD_BYTES));
      if (length === undefined || rest.length < length) break;
      const value = decodeCbor(rest.subarray(0, length));
      rest = rest.subarray(length);
      if (!Array.isArray(value)) throw malformed();
      const [number, bytes] = value as readonly unknown[];
      const kind = typeof number === 'number' ? ITEM_KINDS[number] : undefined;
      if (kind === undefined || !(bytes instanceof Uint8Array)) throw malformed();
      yield { kind, bytes };
    }
  }
  if (rest.length > 0) throw malformed();
}
