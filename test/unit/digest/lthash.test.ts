import { expect, it } from 'vitest';
import {
  addElement,
  emptySum,
  LTHASH_BYTES,
  removeElement,
  sumBytes,
  sumDigest,
  sumFrom,
} from '../../../protocols/digest/lthash.ts';

const sumOf = (...elements: string[]): Uint16Array => {
  const sum = emptySum();
  for (const element of elements) addElement(sum, element);
  return sum;
};

it('is of a set: no order, and what goes out is as if it had never been in', () => {
  const sum = sumOf('a', 'b', 'c');
  removeElement(sum, 'b');
  expect(sumDigest(sum)).toBe(sumDigest(sumOf('c', 'a')));
  removeElement(sum, 'a');
  removeElement(sum, 'c');
  expect(sum).toEqual(emptySum());
});

it('has its bytes little-endian, and is read from them wherever they stand', () => {
  const sum = sumOf('a', 'b');
  const bytes = sumBytes(sum);
  expect(bytes).toHaveLength(LTHASH_BYTES);
  expect([bytes[0], bytes[1]]).toEqual([(sum[0] ?? 0) & 0xff, (sum[0] ?? 0) >> 8]);
  for (const offset of [0, 1, 2, 3]) {
    const around = new Uint8Array(offset + LTHASH_BYTES + 5).fill(0xee);
    around.set(bytes, offset);
    expect(sumFrom(around.subarray(offset))).toEqual(sum);
  }
  // What is read is a copy: adding to it leaves the bytes alone.
  const read = sumFrom(bytes);
  addElement(read, 'c');
  expect(bytes).toEqual(sumBytes(sum));
  const before = sumBytes(sum);
  addElement(sum, 'c');
  expect(before).toEqual(bytes);
});
