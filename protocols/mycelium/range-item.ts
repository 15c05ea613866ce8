import { AgrinetError } from '../errors.ts';
import type { ReadEntry } from '../ledger/read-entry.ts';
import { encodeCbor } from '../wire/cbor.ts';
import { LIMITS } from '../wire/limits.ts';

/** The kinds of items by their number on the wire; an erasure comes before the entry that it takes ops out of. */
export const ITEM_KINDS = ['entry', 'proof', 'erasure'] as const;

/** An item of a range, in a frame, over HTTP and in a file. */
export interface RangeItem {
  readonly kind: (typeof ITEM_KINDS)[number];
  readonly bytes: Uint8Array;
  /** For an entry that was read on another thread: it need not be read again. */
  readonly read?: ReadEntry;
}

/** Array head, kind, head of the longest byte string. */
export const ITEM_HEAD_BYTES = 7;

/** The dag-cbor of `[0, entry]`, `[1, proof]` or `[2, erasure]`. */
export function encodeItem({ kind, bytes }: Pick<RangeItem, 'kind' | 'bytes'>): Uint8Array {
  return encodeCbor([ITEM_KINDS.indexOf(kind), bytes]);
}

const malformed = (): AgrinetError => new AgrinetError('range-malformed', 'malformed sequence of entries');

/** Where the bytes of an item are, counted from its beginning. */
export interface ItemPlace {
  readonly kind: RangeItem['kind'];
  readonly start: number;
  readonly end: number;
}

/**
 * The item that begins here, from its head alone; `byteAt` gives undefined behind what has arrived. Undefined while the head is not whole. Throws
 * `range-malformed` for anything but an item within its limit, in its one encoding.
 */
export function itemPlace(byteAt: (place: number) => number | undefined): ItemPlace | undefined {
  const array = byteAt(0);
  if (array !== undefined && array !== 0x82) throw malformed();
  const number = byteAt(1);
  const kind = number === undefined ? undefined : ITEM_KINDS[number];
  if (number !== undefined && kind === undefined) throw malformed();
  if (kind === undefined) return undefined;
  const place = bytesPlace(byteAt, 2, LIMITS.entryBytes);
  if (place === 'malformed') throw malformed();
  return place && { kind, ...place };
}

/** The position of the content of the canonical CBOR byte string whose head is at `at`; undefined while that is incomplete. */
export function bytesPlace(
  byteAt: (place: number) => number | undefined,
  at: number,
  most: number,
): { readonly start: number; readonly end: number } | undefined | 'malformed' {
  const head = byteAt(at);
  if (head === undefined) return undefined;
  if (head >= 0x40 && head <= 0x57) return { start: at + 1, end: at + 1 + (head - 0x40) };
  const width = head === 0x58 ? 1 : head === 0x59 ? 2 : head === 0x5a ? 4 : 0;
  if (width === 0) return 'malformed';
  let length = 0;
  for (let i = 1; i <= width; i++) {
    const byte = byteAt(at + i);
    if (byte === undefined) return undefined;
    length = length * 256 + byte;
  }
  // Minimal, as canonical dag-cbor has it.
  const least = width === 1 ? 24 : width === 2 ? 256 : 65_536;
  const start = at + 1 + width;
  return length > most || length < least ? 'malformed' : { start, end: start + length };
}
