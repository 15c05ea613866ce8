import { describe, expect, it } from 'vitest';
import {
  itemSize,
  liveItem,
  sameContent,
  targetOf,
  tombstone,
  versionOf,
} from '../../../../storage/mirror/attributes.ts';
import type { Version } from '../../../../storage/mirror/types.ts';
import { isGiven, obstacleOf } from '../../../../storage/mirror/obstacle.ts';

const spec = { name: 'Listings', key: ['id'] } as const;
const target = { table: 'Listings', key: ['me.a'] };
const of = (fields: object, version: Version = [1, 2]) =>
  liveItem(spec, target, { source: 'r!listings/me/a', fields: fields as Record<string, string> }, version);

describe('an item', () => {
  it('bears its key, its version and where it comes from, whatever its fields say', () => {
    const item = of({ id: 'another', _version: 7, price: 2.5, tags: ['a'] });
    expect(item['id']).toEqual({ S: 'me.a' });
    expect([versionOf(item), item['_source'], targetOf(spec, item)]).toEqual([
      [1, 2],
      { S: 'r!listings/me/a' },
      target,
    ]);
    expect(item['price']).toEqual({ N: '2.5' });
  });

  it('is as large as DynamoDB counts it', () => {
    // Names and values in UTF-8; a number a byte for two digits and one; true and null one; lists and maps three, and one for each.
    expect(itemSize({ id: { S: 'ab' } })).toBe(4);
    expect(itemSize({ ü: { S: '\u{1f33d}' } })).toBe(2 + 4);
    expect(itemSize({ n: { N: '12345' } })).toBe(1 + 4);
    expect(itemSize({ n: { N: '-100' } })).toBe(1 + 3);
    expect(itemSize({ b: { BOOL: true }, z: { NULL: true } })).toBe(4);
    expect(itemSize({ l: { L: [{ S: 'a' }, { S: 'bc' }] } })).toBe(1 + 3 + 2 + 3);
    expect(itemSize({ m: { M: { x: { S: 'y' } } } })).toBe(1 + 3 + 1 + 2);
  });

  it('is the same whatever its version and however a number is written', () => {
    const one = of({ price: 1e21, list: [1, { a: null }] });
    const other = {
      ...of({ list: [1, { a: null }], price: 1e21 }, [9, 9]),
      price: { N: '1000000000000000000000' },
    };
    expect(sameContent(one, other)).toBe(true);
    for (const changed of [
      { price: 2 },
      { price: 1e21 },
      { price: 1e21, list: [1, { a: 0 }] },
      { price: 1e21, list: [1] },
    ])
      expect(sameContent(one, of(changed))).toBe(false);
    expect(sameContent(one, tombstone(spec, target, 'r', [1, 2]))).toBe(false);
  });

  it('that cannot be an item is refused, not thrown about', () => {
    expect(() => of({ bad: { constructor: 'x' } })).toThrow(
      expect.objectContaining({ code: 'mirror-item-refused' }),
    );
  });
});

describe('what stands in the way of a write', () => {
  const at = (incarnation: number, n: number) => of({}, [incarnation, n]);
  it('is told from its version', () => {
    const judge = (item: Parameters<typeof obstacleOf>[0]) => obstacleOf(item, [3, 10], 20);
    expect(judge(undefined)).toBe('absent');
    expect(judge({ id: { S: 'x' } })).toBe('foreign');
    expect(judge(at(2, 999))).toBe('older');
    expect(judge(at(3, 9))).toBe('older');
    expect(judge(at(3, 10))).toBe('newer');
    expect(judge(at(3, 20))).toBe('newer');
    expect(judge(at(3, 21))).toBe('planted');
    expect(judge(at(4, 1))).toBe('beyond');
    expect(judge({ ...at(3, 1), _version: { S: 'x' } })).toBe('planted');
    expect(judge({ ...at(3, 1), _version: { L: [{ N: '1e30' }, { N: '1' }] } })).toBe('planted');
  });
  it('is given, or nobody can have given it', () => {
    expect([isGiven(at(3, 20), 3, 20), isGiven(at(1, 99), 3, 20)]).toEqual([true, true]);
    expect([isGiven(at(3, 21), 3, 20), isGiven(at(4, 0), 3, 20), isGiven({}, 3, 20)]).toEqual([
      false,
      false,
      false,
    ]);
  });
});
