import { expect, it } from 'vitest';
import { nextCheckpoint } from '../../../protocols/checkpoint/succession.ts';

const link = (id: string, gen: number, upon?: string, ...prev: string[]) => ({ id, gen, prev, upon });
const idOf = (...what: Parameters<typeof nextCheckpoint>): string => {
  const next = nextCheckpoint(...what);
  return next.kind === 'next' ? next.checkpoint.id : next.kind;
};

it('they take effect one upon another, whatever is in effect on the way', () => {
  const held = [link('c', 3, 'b', 'b'), link('a', 1), link('b', 2, 'a', 'a')];
  expect([undefined, 'a', 'b', 'c'].map((now) => idOf(held, now))).toEqual(['a', 'b', 'c', 'none']);
  expect(idOf([], undefined)).toBe('none');
});

it('one that joins several says which of them it is upon: of those whose checkpoint is another the records begin over', () => {
  const held = [link('a', 1), link('b', 2, 'a', 'a'), link('c', 2, 'a', 'a'), link('d', 3, 'c', 'b', 'c')];
  expect(idOf(held, 'a')).toBe('c');
  expect(idOf(held, 'c')).toBe('d');
  expect(idOf(held, 'b')).toBe('elsewhere');
});

it('what nobody can tell any more is passed over: the next one is upon the one before it, or upon none', () => {
  const line = [link('a', 1), link('b', 2, 'a', 'a')];
  const upon = [...line, link('c', 3, 'a', 'b')];
  expect([undefined, 'a', 'b', 'c'].map((now) => idOf(upon, now))).toEqual(['a', 'c', 'elsewhere', 'none']);
  const anew = [...line, link('c', 3, undefined, 'b')];
  expect([undefined, 'a', 'c'].map((now) => idOf(anew, now))).toEqual(['c', 'elsewhere', 'none']);
});

it('of contested ones none takes effect, but at whoever joins them', () => {
  const held = [link('a', 1), link('c', 2, 'a', 'a'), link('b', 2, 'a', 'a')];
  expect(idOf(held, 'a')).toBe('contested');
  expect(idOf(held, 'a', { joins: true })).toBe('b');
  expect(idOf(held, 'b', { joins: true })).toBe('none');
});

it('nothing is told upon one that is neither held nor in effect', () => {
  const held = [link('c', 3, 'x', 'b', 'x'), link('b', 2)];
  expect(idOf(held, undefined)).toBe('elsewhere');
  expect(idOf(held, 'b')).toBe('elsewhere');
  expect(idOf(held, 'x')).toBe('c');
  expect(idOf([link('c', 3, 'x', 'x')], 'c')).toBe('none');
});
