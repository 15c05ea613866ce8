import { AgrinetError } from '../errors.ts';
import { ByteQueue } from '../wire/byte-queue.ts';
import { type ItemPlace, itemPlace, type RangeItem } from './range-item.ts';

/**
 * Range items over HTTP, `application/cbor-seq` (RFC 8742): the dag-cbor of `[0, entry]`, `[1, proof]` or `[2, erasure]`,
 * concatenated without separators. They are in the order of a range answer, so a reader may stop anywhere and ask again.
 */
export const ITEM_SEQUENCE = 'application/cbor-seq';

/**
 * Reads a sequence strictly, item by item; no more than one is held, and only its head is examined. Throws `range-malformed`, and
 * `stream-truncated` where it ends inside an item: behind a proxy that uses HTTP/1.0, nothing else shows that the source was
 * stopped.
 */
export async function* decodeItems(source: AsyncIterable<Uint8Array>): AsyncGenerator<RangeItem> {
  const queue = new ByteQueue();
  let place: ItemPlace | undefined;
  const byteAt = (offset: number): number | undefined => queue.at(offset);
  for await (const chunk of source) {
    queue.push(chunk);
    for (;;) {
      place ??= itemPlace(byteAt);
      if (place === undefined || queue.length < place.end) break;
      const { kind, start, end } = place;
      place = undefined;
      yield { kind, bytes: queue.take(end).subarray(start) };
    }
  }
  if (queue.length > 0) throw new AgrinetError('stream-truncated', 'the sequence ends inside an entry');
}
