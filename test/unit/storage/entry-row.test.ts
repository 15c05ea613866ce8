import { randomBytes } from 'node:crypto';
import { zstdCompressSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { LIMITS } from '../../../protocols/wire/limits.ts';
import { decodeEntryRow, encodeEntryRow } from '../../../storage/entry-row.ts';
import { withChecksum } from '../../../storage/values.ts';

const KEY = 'e!0000000100000001';
const entryOf = (length: number, fill: Uint8Array | number): Buffer => {
  const bytes = typeof fill === 'number' ? Buffer.alloc(length, fill) : Buffer.from(fill.subarray(0, length));
  bytes[0] = 0x82;
  return bytes;
};

it.each([
  ['below 4 KiB', 4095, 7, false],
  ['from 4 KiB on', 4096, 7, true],
  ['of the largest size', LIMITS.entryBytes, 7, true],
  ['that packing makes no shorter', 50_000, randomBytes(50_000), false],
])('an entry %s is given back as signed, with its arrival', (_, length, fill, isPacked) => {
  const bytes = entryOf(length, fill);
  const row = encodeEntryRow(KEY, { bytes, arrived: 1_790_000_000_123 });
  const read = decodeEntryRow(KEY, row);
  expect(Buffer.compare(read.bytes, bytes)).toBe(0);
  expect(read.arrived).toBe(1_790_000_000_123);
  expect(row.length < length).toBe(isPacked);
});

it('a packed entry that cannot be unpacked, or is larger than any entry, is damage', () => {
  const came = Buffer.alloc(6);
  const frame = zstdCompressSync(entryOf(5000, 7));
  for (const wrong of [
    frame.subarray(0, -1),
    Buffer.concat([frame.subarray(0, 9), Buffer.alloc(20)]),
    zstdCompressSync(Buffer.alloc(LIMITS.entryBytes + 1)),
  ])
    expect(() => decodeEntryRow(KEY, withChecksum(KEY, Buffer.concat([wrong, came])))).toThrow(
      expect.objectContaining({ code: 'value-damaged' }),
    );
});
