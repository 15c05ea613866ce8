import { decodeEntry, type Entry } from '../protocols/feed/entry.ts';
import { fullKey, numberKey } from './keyspace.ts';
import type { Level } from './level.ts';
import { verifyChecksum, withChecksum } from './values.ts';

/** Bytes of the arrival: enough until the year 10889. */
const ARRIVAL = 6;
const LATEST = 2 ** (8 * ARRIVAL) - 1;

export const entryKey = (feedNo: number, seq: number): string =>
  fullKey('entries', numberKey(feedNo) + numberKey(seq));

/** An entry as it stands in the database: its bytes as signed, then when they came (6 bytes, big-endian), then the checksum over both. */
export function encodeEntryRow(
  key: string,
  { bytes, arrived }: Pick<Entry, 'bytes' | 'arrived'>,
): Uint8Array {
  const row = Buffer.allocUnsafe(bytes.length + ARRIVAL);
  row.set(bytes, 0);
  row.writeUIntBE(Math.min(arrived, LATEST), bytes.length, ARRIVAL);
  return withChecksum(key, row);
}

/** What stands in a row of `entries`. Throws `value-damaged`. */
export function decodeEntryRow(key: string, held: Uint8Array): Pick<Entry, 'bytes' | 'arrived'> {
  const row = verifyChecksum(key, held);
  const end = Math.max(0, row.length - ARRIVAL);
  const at = Buffer.from(row.buffer, row.byteOffset, row.length);
  return { bytes: row.subarray(0, end), arrived: row.length < ARRIVAL ? 0 : at.readUIntBE(end, ARRIVAL) };
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
