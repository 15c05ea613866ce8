import { createHash } from 'node:crypto';
import { AgrinetError } from '../errors.ts';
import { bytesEqual, concat } from '../wire/bytes.ts';
import { parsePeerId, type PeerId } from '../wire/identity.ts';

/**
 * Signed entries in a file, transferred by hand where there is no network: a first line, a line of JSON that names sender and
 * recipient, the items of an `application/cbor-seq` answer, concatenated, and as the last item of that sequence `[3, count and
 * sha256]`: 8 bytes with the number of items before it, big-endian, and SHA-256 over all bytes before it. Every entry is verifiable
 * by itself; the end only shows that a file is complete.
 */
const FEED_MAGIC: Uint8Array = new TextEncoder().encode('agrinet-feed 1\n');

const END_HEAD = Uint8Array.of(0x82, 0x03, 0x58, 0x28);
const HASH_BYTES = 32;
export const FEED_END_BYTES: number = END_HEAD.length + 8 + HASH_BYTES;

/** Bytes that both lines take at most. */
export const FEED_HEAD_BYTES = 512;

/** From whom a file is and whom its private channels are for. */
export interface FeedHead {
  readonly from: PeerId;
  readonly to: PeerId | undefined;
}

/** Counts and hashes a file while it is written or read. */
export class FeedSum {
  readonly #hash = createHash('sha256');
  #items = 0;

  head(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  item(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.#items++;
  }

  get items(): number {
    return this.#items;
  }

  /** The last item; nothing can be added after it. */
  end(): Uint8Array {
    const count = new Uint8Array(8);
    new DataView(count.buffer).setBigUint64(0, BigInt(this.#items));
    return concat([END_HEAD, count, this.#hash.digest()]);
  }
}

export function encodeFeedHead({ from, to }: FeedHead): Uint8Array {
  const line = `${JSON.stringify(to === undefined ? { from } : { from, to })}\n`;
  return concat([FEED_MAGIC, new TextEncoder().encode(line)]);
}

/** Reads both lines from the start of a file, and how long they are. Throws `feed-file-damaged`. */
export function decodeFeedHead(start: Uint8Array): FeedHead & { readonly length: number } {
  const bytes = start.subarray(0, FEED_HEAD_BYTES);
  const length = bytes.indexOf(0x0a, FEED_MAGIC.length) + 1;
  if (bytesEqual(bytes.subarray(0, FEED_MAGIC.length), FEED_MAGIC) && length > 0) {
    const head = headOf(bytes.subarray(FEED_MAGIC.length, length));
    if (head !== undefined) return { ...head, length };
  }
  throw new AgrinetError('feed-file-damaged', 'not a feed file of version 1; nothing was imported');
}

function headOf(line: Uint8Array): FeedHead | undefined {
  try {
    const value = JSON.parse(new TextDecoder().decode(line)) as { from?: unknown; to?: unknown };
    const from = parsePeerId(value.from);
    const to = parsePeerId(value.to);
    if (from !== undefined && (to !== undefined) === (value.to !== undefined)) return { from, to };
  } catch {
    return undefined; // no JSON, or null
  }
  return undefined;
}

/** Whether these bytes, the last of a file, are its end. */
export function isFeedEnd(bytes: Uint8Array): boolean {
  return bytes.length === FEED_END_BYTES && bytesEqual(bytes.subarray(0, END_HEAD.length), END_HEAD);
}
