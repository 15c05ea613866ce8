import { AgrinetError } from '../errors.ts';
import { decodeEntry } from '../feed/entry.ts';
import { concat, fromHex, hex, sha256 } from '../wire/bytes.ts';
import { bytesOf, type Cbor, decodeCbor, encodeCbor } from '../wire/cbor.ts';
import { CHECKPOINT_LIMITS } from '../feed/checkpoint.ts';

/** An item of a chunk: its bytes; undefined where it was erased and stands as its hash. */
export interface ChunkItem {
  readonly bytes: Uint8Array | undefined;
  /** 32 bytes; of an entry that of its header. */
  readonly hash: Uint8Array;
}

/** Some items of a snapshot, in order. */
export interface Chunk {
  readonly items: readonly ChunkItem[];
  /** SHA-256 of the hashes of its items, joined; hex. */
  readonly hash: string;
  readonly bytes: Uint8Array;
}

/** The first element of an item that is an entry. */
export const ENTRY_ITEM = 5;

/** The item of an entry that stays as evidence. It is told by its header, which holds for all its ops: two signatures can be under one. */
export function entryItem(entry: { readonly bytes: Uint8Array; readonly hash: string }): ChunkItem {
  return { bytes: encodeCbor([ENTRY_ITEM, entry.bytes]), hash: fromHex(entry.hash) };
}

/** Any other item. */
export function plainItem(value: Cbor): ChunkItem {
  const bytes = encodeCbor(value);
  return { bytes, hash: sha256(bytes) };
}

/** The item without what it says: its chunk keeps its hash. */
export function erasedItem({ hash }: ChunkItem): ChunkItem {
  return { bytes: undefined, hash };
}

/** Cuts items into chunks as they come: a chunk ends before an item that would not fit. */
export class ChunkWriter {
  #items: ChunkItem[] = [];
  #size = 0;
  readonly #hashes: Uint8Array[] = [];
  readonly #counts: readonly number[] | undefined;
  #bytes = 0;

  /** `counts`: how many items each chunk has, where others have cut them: an item that stands as its hash does not tell how long it was. */
  constructor(counts?: readonly number[]) {
    this.#counts = counts;
  }

  /** Of all chunks so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes an item in; answers the chunk that ended before it, if one did. */
  add(item: ChunkItem): Chunk | undefined {
    const size = item.bytes?.length ?? 0;
    const isFull =
      this.#items.length >= (this.#counts?.[this.#hashes.length] ?? CHECKPOINT_LIMITS.chunkItems) ||
      (this.#counts === undefined && this.#size + size > CHECKPOINT_LIMITS.chunkBytes);
    const ended = isFull ? this.end() : undefined;
    this.#items.push(item);
    this.#size += size;
    return ended;
  }

  /** The chunk that is open; undefined when nothing came since the last one ended. */
  end(): Chunk | undefined {
    if (this.#items.length === 0) return undefined;
    const chunk = chunkOf(this.#items);
    this.#hashes.push(fromHex(chunk.hash));
    this.#bytes += chunk.bytes.length;
    this.#items = [];
    this.#size = 0;
    return chunk;
  }

  /** Of all chunks that have ended, hex. */
  root(): string {
    return rootOf(this.#hashes);
  }
}

/** SHA-256 of the hashes of all chunks, joined; hex. */
export function rootOf(hashes: readonly Uint8Array[]): string {
  return hex(sha256(concat(hashes)));
}

/** A chunk of these items. */
export function chunkOf(items: readonly ChunkItem[]): Chunk {
  return {
    items,
    hash: hex(sha256(concat(items.map(({ hash }) => hash)))),
    bytes: encodeItems(items),
  };
}

/** Items as they stand in a chunk. */
export function encodeItems(items: readonly ChunkItem[]): Uint8Array {
  return encodeCbor(items.map(({ bytes, hash }): Cbor => bytes ?? [hash]));
}

/** Reads items that stand so, strictly, but for what they say. Throws `chunk-malformed` or `not-canonical`. */
export function decodeItems(bytes: Uint8Array): ChunkItem[] {
  const list = decodeCbor(bytes);
  if (!Array.isArray(list) || list.length === 0) throw malformed('not a list of items');
  return list.map(itemOf);
}

/** Reads a chunk strictly, but for what its items say. Throws `chunk-malformed` or `not-canonical`, and what reading an entry throws. */
export function decodeChunk(bytes: Uint8Array): Chunk {
  if (bytes.length > CHUNK_BYTES) throw malformed('too long');
  const list = decodeCbor(bytes);
  if (!Array.isArray(list) || list.length === 0 || list.length > CHECKPOINT_LIMITS.chunkItems)
    throw malformed('not a list of items');
  return { ...chunkOf(list.map(itemOf)), bytes };
}

/** The longest chunk: of one item, or of many small ones with a head of three bytes each. */
export const CHUNK_BYTES =
  Math.max(CHECKPOINT_LIMITS.itemBytes, CHECKPOINT_LIMITS.chunkBytes + 3 * CHECKPOINT_LIMITS.chunkItems) + 16;

function itemOf(value: unknown): ChunkItem {
  if (Array.isArray(value)) {
    const hash = value.length === 1 ? bytesOf(value[0], 32) : undefined;
    if (hash === undefined) throw malformed('neither an item nor a hash');
    return { bytes: undefined, hash };
  }
  if (!(value instanceof Uint8Array) || value.length > CHECKPOINT_LIMITS.itemBytes)
    throw malformed('neither an item nor a hash');
  const entry = isEntry(value) ? decodeCbor(value) : undefined;
  if (entry === undefined) return { bytes: value, hash: sha256(value) };
  if (!Array.isArray(entry) || entry.length !== 2 || !(entry[1] instanceof Uint8Array))
    throw malformed('an entry of another shape');
  return { bytes: value, hash: fromHex(decodeEntry(entry[1]).hash) };
}

/** A list whose first element is the number of an entry's item. */
function isEntry(item: Uint8Array): boolean {
  return item[0] === 0x82 && item[1] === ENTRY_ITEM;
}

export function malformed(why: string): AgrinetError {
  return new AgrinetError('chunk-malformed', `checkpoint chunk: ${why}`);
}
