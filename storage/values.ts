import { crc32 } from 'node:zlib';
import { AgrinetError } from '../protocols/errors.ts';

/**
 * LevelDB returns a flipped bit as data, so every value ends with a CRC-32 of key and value. CRC is enough here: it finds a
 * damaged disk; forgery is found by signatures. Layout: value bytes, then 4 bytes big-endian.
 */
export function sealValue(key: string, value: Uint8Array): Uint8Array {
  const out = Buffer.allocUnsafe(value.length + 4);
  out.set(value, 0);
  out.writeUInt32BE(crc32(value, crc32(key)), value.length);
  return out;
}

/** The value, when its checksum holds; throws `value-damaged` with the key otherwise. */
export function openValue(key: string, sealed: Uint8Array): Uint8Array {
  const end = sealed.length - 4;
  if (end >= 0) {
    const value = sealed.subarray(0, end);
    const stored = new DataView(sealed.buffer, sealed.byteOffset + end, 4).getUint32(0);
    if (crc32(value, crc32(key)) === stored) return value;
  }
  throw new AgrinetError(
    'value-damaged',
    `the value of ${JSON.stringify(key)} is damaged; run: agrinet fsck`,
    {
      details: { key },
    },
  );
}

const encoder = new TextEncoder();

/** JSON as a sealed value. */
export function sealJson(key: string, value: unknown): Uint8Array {
  return sealValue(key, encoder.encode(JSON.stringify(value)));
}

/** Reads a sealed JSON value; the caller knows the shape because only this program writes the database. */
export function openJson<T>(key: string, sealed: Uint8Array): T {
  const value = openValue(key, sealed);
  return JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.length).toString('utf8')) as T;
}
