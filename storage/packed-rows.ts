import type { Database } from './database.ts';
import { range } from './keyspace.ts';
import { chunks } from './level.ts';

/** Rows of the records of one collection, taken at once: some milliseconds of reading. */
const AT_ONCE = 1000;

/**
 * The rows of a collection as stored, for another thread to check and read: each 2 bytes length of the full key, 4 bytes length of
 * the value, big-endian, then key and value.
 */
export async function* packedRows(
  db: Pick<Database, 'level'>,
  collection: string,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const bounds = { ...range('records', `${collection}/`), highWaterMarkBytes: 1024 * 1024 };
  for await (const some of chunks(db.level.iterator(bounds), AT_ONCE)) yield packed(some);
}

function packed(rows: readonly (readonly [string, Uint8Array])[]): Uint8Array<ArrayBuffer> {
  const size = rows.reduce((sum, [key, value]) => sum + 6 + Buffer.byteLength(key) + value.length, 0);
  // Not from the pool: it is given away as a whole.
  const bytes = Buffer.from(new ArrayBuffer(size));
  let at = 0;
  for (const [key, value] of rows) {
    const length = bytes.write(key, at + 6);
    bytes.writeUInt16BE(length, at);
    bytes.writeUInt32BE(value.length, at + 2);
    bytes.set(value, at + 6 + length);
    at += 6 + length + value.length;
  }
  return bytes;
}

export function* unpackedRows(bytes: Uint8Array): Generator<readonly [key: string, value: Uint8Array]> {
  const packed = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < packed.length;) {
    const key = at + 6 + packed.readUInt16BE(at);
    const value = key + packed.readUInt32BE(at + 2);
    yield [packed.toString('utf8', at + 6, key), packed.subarray(key, value)];
    at = value;
  }
}
