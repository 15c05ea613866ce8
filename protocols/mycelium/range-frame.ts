import type { Offload } from '../env.ts';
import { AgrinetError } from '../errors.ts';
import { concat } from '../wire/bytes.ts';
import { LIMITS } from '../wire/limits.ts';
import { packFrame, unpackFrame } from './packed-frame.ts';
import { encodeItem, itemPlace, type RangeItem } from './range-item.ts';

/** Limits of one frame of a range. */
export const FRAME_LIMITS = {
  /** One frame, compressed or not: the largest entry, which may not compress, and what is around it. */
  frameBytes: LIMITS.entryBytes + LIMITS.carrierBytes,
  /** Items in one frame, counted while they are read: the frame is refused at the first item beyond. */
  frameItems: 1024,
  /** Items are gathered up to this many bytes a frame: large enough to compress, small enough to go on smoothly. */
  gatherBytes: 256 * 1024,
} as const;

const malformed = (why: string, cause?: unknown): AgrinetError =>
  new AgrinetError('range-malformed', `a range frame ${why}`, { cause });

/** Items gathered into frames. One that would not fit goes into the next frame: whatever was committed can be sent. */
export async function* framesOf(
  items: AsyncIterable<RangeItem>,
  offload: Pick<Offload, 'compress'>,
): AsyncGenerator<Uint8Array> {
  let gathered: Uint8Array[] = [];
  let size = 1;
  const flush = (): Promise<Uint8Array> => {
    const frame = packFrame(concat(gathered), offload);
    gathered = [];
    size = 1;
    return frame;
  };
  for await (const each of items) {
    const item = encodeItem(each);
    if (size + item.length > FRAME_LIMITS.frameBytes) yield await flush();
    gathered.push(item);
    size += item.length;
    if (size >= FRAME_LIMITS.gatherBytes || gathered.length >= FRAME_LIMITS.frameItems) yield await flush();
  }
  if (gathered.length > 0) yield await flush();
}

/** Reads one frame strictly: bounded inflation, then head by head, no further than the first that is wrong. Throws `range-malformed`. */
export async function decodeRangeFrame(
  frame: Uint8Array,
  offload: Pick<Offload, 'decompress'>,
): Promise<RangeItem[]> {
  const { frameBytes } = FRAME_LIMITS;
  const data = await unpackFrame(frame, { offload, frameBytes, malformed });
  const found: RangeItem[] = [];
  for (let at = 0; at < data.length;) {
    if (found.length >= FRAME_LIMITS.frameItems) throw malformed('of too many items');
    const begin = at;
    const place = itemPlace((offset) => data[begin + offset]);
    if (place === undefined || begin + place.end > data.length) throw malformed('that ends inside an item');
    // Copied: one item that is kept must not keep the whole frame.
    found.push({ kind: place.kind, bytes: data.slice(begin + place.start, begin + place.end) });
    at = begin + place.end;
  }
  // An empty one would keep the stream alive without content.
  if (found.length === 0) throw malformed('of nothing');
  return found;
}
