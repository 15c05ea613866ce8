import { crc32 } from 'node:zlib';
import { AgrinetError } from '../protocols/errors.ts';
import type { Database } from './database.ts';
import { type PutOp, range, type SublevelName } from './keyspace.ts';

/**
 * LevelDB returns a flipped bit as data, so every value ends with a CRC-32 of key and value. CRC is enough here: it finds a
 * damaged disk; forgery is found by signatures. Layout: value bytes, then 4 bytes big-endian.
 */
export function withChecksum(key: string, value: Uint8Array): Uint8Array {
  const out = Buffer.allocUnsafe(value.length + 4);
  out.set(value, 0);
  out.writeUInt32BE(crc32(value, crc32(key)), value.length);
  return out;
}

/** The value, when its checksum holds; throws `value-damaged` with the key otherwise. */
export function verifyChecksum(key: string, stored: Uint8Array): Uint8Array {
  const end = stored.length - 4;
  if (end >= 0) {
    const value = stored.subarray(0, end);
    const checksum = new DataView(stored.buffer, stored.byteOffset + end, 4).getUint32(0);
    if (crc32(value, crc32(key)) === checksum) return value;
  }
  throw valueDamaged(key);
}

export function valueDamaged(key: string, cause?: unknown): AgrinetError {
  const message = `the value of ${JSON.stringify(key)} is damaged; run: agrinet fsck`;
  return new AgrinetError('value-damaged', message, { details: { key }, cause });
}

const encoder = new TextEncoder();

/** JSON with its checksum. */
export function jsonWithChecksum(key: string, value: unknown): Uint8Array {
  return withChecksum(key, encoder.encode(JSON.stringify(value)));
}

/** The JSON rows of a table that can be read; one that is damaged is named, and left out. */
export async function readRows<T>(
  db: Pick<Database, 'level'>,
  table: SublevelName,
  onDamaged: (key: string) => void,
): Promise<T[]> {
  const rows: T[] = [];
  for await (const [key, value] of db.level.iterator(range(table))) {
    const row = soundJson<T>(key, value);
    if (row === undefined) onDamaged(key);
    else rows.push(row);
  }
  return rows;
}

/** The write of a JSON row. */
export function putJson(key: string, value: unknown): PutOp {
  return { type: 'put', key, value: jsonWithChecksum(key, value) };
}

/** The JSON value, when its checksum holds; throws `value-damaged` otherwise. The caller knows the shape because only this program writes the database. */
export function verifiedJson<T>(key: string, stored: Uint8Array): T {
  const value = verifyChecksum(key, stored);
  return JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.length).toString('utf8')) as T;
}

/** The same; undefined where it is damaged or there is none: for rows without which there is less to tell, and nothing wrong. */
export function soundJson<T>(key: string, stored: Uint8Array | undefined): T | undefined {
  try {
    return stored && verifiedJson<T>(key, stored);
  } catch {
    return undefined;
  }
}
