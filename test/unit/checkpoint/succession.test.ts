import { expect, it } from 'vitest';
import { nextCheckpoint } from '../../../protocols/checkpoint/succession.ts';

const link = (id: string, gen: number, ...prev: string[]) => ({ id, gen, prev });
const idOf = (...what: Parameters<typeof nextCheckpoint>): string => {
  const next = nextCheckpoint(...what);
  return next.kind === 'next' ? next.checkpoint.id : next.kind;
};

it('they take effect one upon another, whatever is in effect on the way', () => {
  const held = [link('c', 3, 'b'), link('a', 1), link('b', 2, 'a')];
  expect([undefined, 'a', 'b', 'c'].map((now) => idOf(held, now))).toEqual(['a', 'b', 'c', 'none']);
  expect(idOf([], undefined)).toBe('none');
});

it('one that joins several is upon the one that was in force: of those whose checkpoint is another the records begin over', () => {
  const held = [link('a', 1), link('b', 2, 'a'), link('c', 2, 'a'), link('d', 3, 'b', 'c')];
  expect(idOf(held, 'a')).toBe('b');
  expect(idOf(held, 'b')).toBe('d');
  expect(idOf(held, 'c')).toBe('elsewhere');
  // The highest generation first.
  expect(idOf([...held, link('e', 9), link('f', 10, 'd', 'e')], 'd')).toBe('elsewhere');
  expect(idOf([...held, link('e', 9), link('f', 10, 'd', 'e')], 'e')).toBe('f');
});

it('of contested ones none takes effect, but at whoever joins them', () => {
  const held = [link('a', 1), link('c', 2, 'a'), link('b', 2, 'a')];
  expect(idOf(held, 'a')).toBe('contested');
  expect(idOf(held, 'a', { joins: true })).toBe('b');
  expect(idOf(held, 'b', { joins: true })).toBe('none');
});

it('nothing is told upon one that is not held: it might be the one', () => {
  const held = [link('c', 3, 'b', 'x'), link('b', 2)];
  expect(idOf(held, undefined)).toBe('elsewhere');
  expect(idOf(held, 'b')).toBe('elsewhere');
  expect(idOf([link('c', 3, 'x')], 'c')).toBe('none');
});
