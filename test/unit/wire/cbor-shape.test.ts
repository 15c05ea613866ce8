import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { encodeCbor, decodeCbor, type Cbor } from '../../../protocols/wire/cbor.ts';
import { CBOR_DEPTH, shapeProblem } from '../../../protocols/wire/cbor-shape.ts';
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
  ])('lists %i deep: %s', (depth, problem) => expect(shapeProblem(nested(depth))).toBe(problem));

  it.each([
    [9, undefined],
    [10, undefined],
    [11, 'more than 11 values'],
  ])('a list of %i values against a bound of eleven: %s', (count, problem) => {
    const bytes = encodeCbor(Array.from({ length: count }, (_, i) => i));
    expect(shapeProblem(bytes, 11)).toBe(problem);
  });

  test('counts that the bytes cannot hold are told before a value is built', () => {
    for (const bytes of ['9affffffff00', 'bb00000000ffffffff', '5b001fffffffffffff00', '9bffffffffffffffff'])
      expect(shapeProblem(fromHex(bytes))).toBe('ends early');
  });

  test.each(Object.entries(cborVectors().accepted))('lets pass what is canonical: %s', (_, bytes) => {
    expect(shapeProblem(fromHex(bytes))).toBeUndefined();
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
        expect(shapeProblem(bytes)).toBe(
          depthOf(made) > CBOR_DEPTH ? `nested deeper than ${CBOR_DEPTH}` : undefined,
        );
        for (let cut = 0; cut < bytes.length; cut++)
          expect(() => decodeCbor(bytes.subarray(0, cut))).toThrow(/dag-cbor/);
      }),
      { numRuns: 200, seed: 7 },
    );
  });
});

function depthOf(value: Cbor): number {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return 0;
  return 1 + Math.max(0, ...Object.values(value).map((each: Cbor) => depthOf(each)));
}
