import { expect, it } from 'vitest';
import { NumberColumn } from '../../../protocols/open-dialog/number-column.ts';

it('gives back what it was given, over several pieces, and 0 where there is nothing', () => {
  const column = new NumberColumn();
  const count = 3 * 16_384 + 5;
  const places = Array.from({ length: count }, (_, i) => column.push(i * 7 + 1));
  expect(places.filter((place, i) => place !== i)).toEqual([]);
  column.set(12, 4_294_967_295);
  column.set(40_000, 3);
  expect(column.length).toBe(count);
  const wrong: number[] = [];
  for (let i = 0; i < count; i++) {
    const expected = i === 12 ? 4_294_967_295 : i === 40_000 ? 3 : i * 7 + 1;
    if (column.get(i) !== expected) wrong.push(i);
  }
  expect(wrong).toEqual([]);
  expect([column.get(count), column.get(10 * count)]).toEqual([0, 0]);
});

it('costs a short record next to nothing', () => {
  const held = process.memoryUsage().arrayBuffers;
  const columns = Array.from({ length: 500 }, () => new NumberColumn());
  for (const column of columns) for (let i = 0; i < 20; i++) column.push(i);
  expect(columns.every((column) => column.get(19) === 19)).toBe(true);
  // 128 bytes each; one whole piece would be 65,536.
  expect(process.memoryUsage().arrayBuffers - held).toBeLessThan(500 * 1024);
});
