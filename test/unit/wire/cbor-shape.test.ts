import { decode, encode } from '@ipld/dag-cbor';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { encodeCbor, decodeCbor, type Cbor } from '../../../protocols/wire/cbor.ts';
import { CBOR_DEPTH, cborShape } from '../../../protocols/wire/cbor-shape.ts';
import { cborVectors } from '../../support/vectors/wire.ts';
import { fromHex } from '../../../protocols/wire/bytes.ts';

const nested = (depth: number): Uint8Array => new Uint8Array([...Array(depth - 1).fill(0x81), 0x80]);

describe('the shape of dag-cbor', () => {
  it.each([
    [CBOR_DEPTH - 1, undefined],
    [CBOR_DEPTH, undefined],
    [CBOR_DEPTH + 1, `nested deeper than ${CBOR_DEPTH}`],
    // Deeper than any call stack: the verdict must not be the stack's.
    [1_000_000, `nested deeper than ${CBOR_DEPTH}`],
  ])('lists %i deep: %s', (depth, problem) =>
    expect(cborShape(nested(depth))).toEqual(problem === undefined ? { canonical: true } : { problem }),
  );

  it.each([
    [9, undefined],
    [10, undefined],
    [11, 'more than 11 values'],
  ])('a list of %i values against a bound of eleven: %s', (count, problem) => {
    const bytes = encodeCbor(Array.from({ length: count }, (_, i) => i));
    expect(cborShape(bytes, 11)).toEqual(problem === undefined ? { canonical: true } : { problem });
  });

  test('counts that the bytes cannot hold are told before a value is built', () => {
    for (const bytes of ['9affffffff00', 'bb00000000ffffffff', '5b001fffffffffffff00', '9bffffffffffffffff'])
      expect(cborShape(fromHex(bytes))).toEqual({ problem: 'ends early' });
  });

  test.each(Object.entries(cborVectors().accepted))('lets pass what is canonical: %s', (_, bytes) => {
    expect(cborShape(fromHex(bytes))).not.toHaveProperty('problem');
  });

  test('refuses nothing that an encoder of ours makes, and never reads beyond it', () => {
    const value = fc.letrec<{ any: Cbor }>((tie) => ({
      any: fc.oneof(
        { depthSize: 'small', withCrossShrink: true },
        fc.constant(null),
        fc.boolean(),
        fc.integer(),
        fc.double({ noNaN: true, noDefaultInfinity: true }).filter((n) => !Object.is(n, -0)),
        fc.string({ unit: 'grapheme' }),
        fc.uint8Array(),
        fc.array(tie('any'), { maxLength: 5 }),
        fc.dictionary(fc.string(), tie('any'), { maxKeys: 5 }),
      ),
    })).any;
    fc.assert(
      fc.property(value, (made) => {
        const bytes = encodeCbor(made);
        const shape = cborShape(bytes);
        expect('problem' in shape ? shape.problem : undefined).toBe(
          depthOf(made) > CBOR_DEPTH ? `nested deeper than ${CBOR_DEPTH}` : undefined,
        );
        for (let cut = 0; cut < bytes.length; cut++)
          expect(() => decodeCbor(bytes.subarray(0, cut))).toThrow(/dag-cbor/);
      }),
      { numRuns: 200, seed: 7 },
    );
  });
});

describe('what the heads alone show to be canonical', () => {
  test.each(Object.entries(cborVectors().refused))('is never %s', (_, bytes) => {
    expect(cborShape(fromHex(bytes))).not.toEqual({ canonical: true });
  });

  test('is every value of safe integers, bytes, ASCII text, lists and maps', () => {
    const ascii = fc.string({ unit: 'grapheme-ascii', maxLength: 40 });
    const key = ascii.filter((text) => text !== '__proto__');
    const value = fc.letrec<{ any: Cbor }>((tie) => ({
      any: fc.oneof(
        { depthSize: 'small' },
        fc.constantFrom(
          null,
          true,
          false,
          0,
          23,
          24,
          255,
          256,
          65_535,
          65_536,
          2 ** 32 - 1,
          2 ** 32,
          -(2 ** 32),
        ),
        fc.maxSafeInteger(),
        ascii,
        fc.uint8Array({ maxLength: 300 }),
        fc.array(tie('any'), { maxLength: 30 }),
        fc.dictionary(key, tie('any'), { maxKeys: 30, noNullPrototype: true }),
      ),
    })).any;
    fc.assert(
      fc.property(value, (made) => {
        fc.pre(depthOf(made) <= CBOR_DEPTH);
        expect(cborShape(encodeCbor(made))).toEqual({ canonical: true });
      }),
      { numRuns: 2000, seed: 11 },
    );
  });

  // Bytes made of the heads themselves are nearly canonical far more often than random ones.
  test('is what encoding again gives, for every bytes made of heads, keys and values', () => {
    const pieces = [
      '00',
      '17',
      '18',
      '1818',
      '19',
      '1900ff',
      '190100',
      '1a00010000',
      '1b',
      '20',
      '3b001ffffffffffffe',
      '3b001fffffffffffff',
    ];
    const more = [
      '40',
      '4101',
      '60',
      '6161',
      '6162',
      '626161',
      '62c3a9',
      '695f5f70726f746f5f5f',
      '80',
      '81',
      '82',
      'a0',
      'a1',
      'a2',
      'a3',
    ];
    const odd = [
      'c0',
      'd82a',
      'f4',
      'f5',
      'f6',
      'f7',
      'f820',
      'f90000',
      'fb3fe0000000000000',
      'fb3ff0000000000000',
      'b801',
      '9800',
      '7801',
    ];
    const piece = fc.constantFrom(...pieces, ...more, ...more, ...odd);
    let certain = 0;
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 12 }), (made) => {
        const bytes = fromHex(made.join(''));
        const shape = cborShape(bytes);
        if ('problem' in shape || !shape.canonical) return;
        certain++;
        expect(Buffer.from(encode(decode(bytes))).toString('hex')).toBe(made.join(''));
      }),
      { numRuns: 60_000, seed: 13 },
    );
    expect(certain).toBeGreaterThan(1000);
  });
});

function depthOf(value: Cbor): number {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return 0;
  return 1 + Math.max(0, ...Object.values(value).map((each: Cbor) => depthOf(each)));
}
