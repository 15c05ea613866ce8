import type { Offload } from '../env.ts';
import { errorCode, errorMessage } from '../errors.ts';
import { type ErrorCode, isSendersFault } from '../error-codes.ts';
import { placedOps } from '../ledger/placed-ops.ts';
import { readEntry, type ReadEntry } from '../ledger/read-entry.ts';
import type { FeedName } from '../ledger/types.ts';
import { readOp } from '../open-dialog/read-op.ts';
import { LIMITS } from '../wire/limits.ts';
import { ItemPacker, type PackedItems, type ReadItem } from './packed-items.ts';
import { decodeRangeFrame } from './range-frame.ts';
import type { RangeItem } from './range-item.ts';

/** A frame of a range of this feed, from one of its items on. Each batch of one frame is asked for with the same `no`. */
export interface ReadingRequest {
  readonly id: number;
  readonly no: number;
  readonly frame: Uint8Array<ArrayBuffer>;
  readonly asked: FeedName;
  readonly from: number;
}

/** A batch, and where the next one begins if there are more; or why the frame is malformed. */
export type Reading =
  | { readonly batch: PackedItems; readonly next: number | undefined }
  | { readonly refused: ErrorCode; readonly why: string };

/** Frames whose items are kept for their next batch. */
const KEPT = 4;

/** What a reading worker does, on whichever thread: it decompresses frames and reads their items, batch by batch. */
export class RangeReadings {
  readonly #offload: Pick<Offload, 'decompress'>;
  readonly #frames = new Map<number, readonly RangeItem[]>();

  constructor(offload: Pick<Offload, 'decompress'>) {
    this.#offload = offload;
  }

  async answer({ id, no, frame, asked, from }: ReadingRequest): Promise<Reading & { readonly id: number }> {
    try {
      const items = this.#frames.get(no) ?? (await decodeRangeFrame(frame, this.#offload));
      const { batch, next } = readBatch(items, asked, from);
      this.#frames.delete(no);
      if (next !== undefined) this.#keep(no, items);
      return { id, batch, next };
    } catch (error) {
      const code = errorCode(error);
      return { id, refused: isSendersFault(code) ? code : 'internal', why: errorMessage(error) };
    }
  }

  #keep(no: number, items: readonly RangeItem[]): void {
    const [oldest] = this.#frames.keys();
    if (this.#frames.size >= KEPT && oldest !== undefined) this.#frames.delete(oldest);
    this.#frames.set(no, items);
  }
}

/**
 * Reads items until they hold as many ops as the largest entry. An entry that is not valid by itself is handed over as received, so
 * that admission finds the same; so is everything after it, because it will not be processed.
 */
function readBatch(
  items: readonly RangeItem[],
  asked: FeedName,
  from: number,
): { readonly batch: PackedItems; readonly next: number | undefined } {
  const packer = new ItemPacker();
  let ops = 0;
  let goesOn = true;
  for (let at = from; at < items.length; at++) {
    const item = items[at];
    if (item === undefined) break;
    if (ops >= LIMITS.entryOps && goesOn) return { batch: packer.packed(), next: at };
    const read: ReadItem | undefined =
      item.kind === 'entry' && goesOn ? readAsked(item.bytes, asked) : undefined;
    packer.add(item, read);
    if (item.kind === 'entry') goesOn &&= read !== undefined;
    ops += read?.ops.length ?? 0;
  }
  return { batch: packer.packed(), next: undefined };
}

/** An entry of the feed that was asked for, whose signature holds and whose body belongs to it, with what its ops say; undefined of all else. */
function readAsked(bytes: Uint8Array, asked: FeedName): ReadItem | undefined {
  let read: ReadEntry;
  try {
    read = readEntry(bytes);
  } catch {
    return undefined; // whoever admits it says why
  }
  const { entry } = read;
  if (entry.author !== asked.author || entry.header.channel !== asked.channel) return undefined;
  if (!read.signatureHolds() || !read.bodyMatches()) return undefined;
  return { entry, ops: placedOps(entry).map(readOp) };
}
