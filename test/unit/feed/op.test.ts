import { encode } from '@ipld/dag-cbor';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeOp, encodeOp, type Op } from '../../../protocols/feed/op.ts';
import { readPlainOp, writePlainOp } from '../../../protocols/feed/plain-op.ts';
import { bytesEqual } from '../../../protocols/wire/bytes.ts';
import { decodeCbor, encodeCbor } from '../../../protocols/wire/cbor.ts';

const LENGTHS = [0, 1, 23, 24, 255, 256, 65_535, 65_536];
const text = fc.oneof(
  fc.string({ maxLength: 30 }),
  fc.string({ unit: 'grapheme', maxLength: 30 }),
  fc.constantFrom(...LENGTHS).map((length) => 'x'.repeat(length)),
);
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 30 }),
  fc.constantFrom(...LENGTHS).map((length) => new Uint8Array(length).fill(7)),
);
const anyOp: fc.Arbitrary<Op> = fc.record({ v: fc.nat(300), c: text, k: text, t: text, d: bytes });
const listing: Op = { v: 1, c: 'listings', k: 'a/b', t: 'create', d: Uint8Array.of(1, 2, 3) };

describe('an op', () => {
  it('has the bytes that dag-cbor gives it', () =>
    fc.assert(
      fc.property(anyOp, (op) => {
        expect(bytesEqual(encodeOp(op), encode(op))).toBe(true);
      }),
    ));

  it('is read from plain bytes as dag-cbor reads it', () =>
    fc.assert(
      fc.property(anyOp, (op) => {
        const isLong = [op.c, op.k, op.t, op.d].some(({ length }) => length > 65_535);
        const plain = readPlainOp(encode(op));
        expect(plain !== undefined).toBe(writePlainOp(op) !== undefined && !isLong);
        if (plain === undefined) return;
        const { d, ...rest } = decodeCbor(encode(op)) as Op;
        expect({ ...plain, d: undefined }).toEqual({ ...rest, d: undefined });
        expect(bytesEqual(plain.d, d)).toBe(true);
      }),
    ));

  it('is never read without the codec from bytes that it would refuse', () => {
    const good = encode(listing);
    expect(readPlainOp(good)).toEqual(listing);
    const changed = fc.record({
      at: fc.nat(good.length),
      cut: fc.nat(2),
      put: fc.uint8Array({ maxLength: 2 }),
    });
    fc.assert(
      fc.property(changed, ({ at, cut, put }) => {
        const other = Uint8Array.of(...good.subarray(0, at), ...put, ...good.subarray(at + cut));
        const plain = readPlainOp(other);
        if (plain !== undefined) expect(encodeCbor({ ...plain })).toEqual(other);
      }),
      { numRuns: 2000 },
    );
  });

  it('is read from a view into other bytes', () => {
    const good = encode(listing);
    const around = Buffer.concat([Buffer.from('ab'), good, Buffer.from('cd')]);
    expect(decodeOp(around.subarray(2, 2 + good.length))).toEqual(listing);
  });
});
