import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import { decodeEntry, type Entry } from '../protocols/feed/entry.ts';
import { LIMITS } from '../protocols/wire/limits.ts';
import { fullKey, numberKey } from './keyspace.ts';
import type { Level } from './level.ts';
import { valueDamaged, verifyChecksum, withChecksum } from './values.ts';

/** Bytes of the arrival: enough until the year 10889. */
const ARRIVAL = 6;
const LATEST = 2 ** (8 * ARRIVAL) - 1;

export const entryKey = (feedNo: number, seq: number): string =>
  fullKey('entries', numberKey(feedNo) + numberKey(seq));

/**
 * The first byte of a packed entry, which is that of every zstd frame. An entry as signed begins with another: it is a CBOR array.
 */
const PACKED = 0x28;
/** Smaller ones stay as they are: packing takes 16 microseconds whatever the size, and there is little to save. */
const PACKED_FROM = 4096;

/**
 * An entry as stored: its bytes as signed, a large one compressed where that is shorter, then its arrival (6 bytes, big-endian),
 * then the checksum over both.
 */
export function encodeEntryRow(
  key: string,
  { bytes, arrived }: Pick<Entry, 'bytes' | 'arrived'>,
): Uint8Array {
  const kept = packedEntry(bytes);
  const row = Buffer.allocUnsafe(kept.length + ARRIVAL);
  row.set(kept, 0);
  row.writeUIntBE(Math.min(arrived, LATEST), kept.length, ARRIVAL);
  return withChecksum(key, row);
}

function packedEntry(bytes: Uint8Array): Uint8Array {
  if (bytes.length < PACKED_FROM) return bytes;
  const packed = zstdCompressSync(bytes);
  return packed.length < bytes.length ? packed : bytes;
}

/** The content of a row of `entries`. Throws `value-damaged`. */
export function decodeEntryRow(key: string, held: Uint8Array): Pick<Entry, 'bytes' | 'arrived'> {
  const row = verifyChecksum(key, held);
  const end = Math.max(0, row.length - ARRIVAL);
  const at = Buffer.from(row.buffer, row.byteOffset, row.length);
  const bytes = row.subarray(0, end);
  return {
    bytes: bytes[0] === PACKED ? unpacked(key, bytes) : bytes,
    arrived: row.length < ARRIVAL ? 0 : at.readUIntBE(end, ARRIVAL),
  };
}

function unpacked(key: string, bytes: Uint8Array): Uint8Array {
  try {
    return zstdDecompressSync(bytes, { maxOutputLength: LIMITS.entryBytes });
  } catch (error) {
    throw valueDamaged(key, error);
  }
}

/** The entry of a row. Throws what `decodeEntryRow` and `decodeEntry` throw. */
export function readEntryRow(key: string, held: Uint8Array): Entry {
  const { bytes, arrived } = decodeEntryRow(key, held);
  return decodeEntry(bytes, arrived);
}

/** The bytes of a held entry, as signed. */
export async function entryBytesIn(
  level: Level,
  feedNo: number,
  seq: number,
): Promise<Uint8Array | undefined> {
  const key = entryKey(feedNo, seq);
  const value = await level.get(key);
  return value && decodeEntryRow(key, value).bytes;
}
