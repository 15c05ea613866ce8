import { expect, it } from 'vitest';
import {
  innerKey,
  fullKey,
  KEYSPACE,
  numberKey,
  range,
  type SublevelName,
} from '../../../storage/keyspace.ts';

it('no prefix is used twice, and no range reaches into another', () => {
  const names = Object.keys(KEYSPACE) as SublevelName[];
  expect(new Set(names.map((each) => KEYSPACE[each].prefix)).size).toBe(names.length);
  for (const one of names) {
    for (const other of names) {
      const { gte, lt } = range(one);
      for (const inner of ['', 'a', '\0', '\u{10ffff}', 'z'.repeat(99)]) {
        const key = fullKey(other, inner);
        expect(key >= gte && key < lt, `${key} in ${one}`).toBe(one === other);
        expect(innerKey(key)).toBe(inner);
      }
    }
  }
});

it('numbers sort as their keys do', () => {
  const numbers = [0, 1, 9, 10, 15, 16, 255, 4096, 2 ** 31];
  expect(numbers.map((n) => numberKey(n, 12)).toSorted()).toEqual(numbers.map((n) => numberKey(n, 12)));
});
