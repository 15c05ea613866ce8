import { expect, it } from 'vitest';
import { readBy, readField, withMark } from '../../../protocols/market/read-marks.ts';
import { fieldRule, valueProblem } from '../../../protocols/open-dialog/schema.ts';
import { collectionNamed } from '../../../protocols/ledger/drafts.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const nodes = [1, 2, 3].map((n) => nodeOf(n).peerId).sort();
const [a = nodeOf(1).peerId, b = a, c = a] = nodes;
const members = { owner: a, writers: [a, b], participants: [a, b, c] };
const message = (n: number, owner = a): string => `${owner}.${String(n).padStart(43, 'm')}`;
const read = (user: string, view: Record<string, string>): string | undefined =>
  readBy({ members, view }, user);

it('each node has its field, one that is no writer has none', () => {
  expect([a, b, c].map((node) => readField(members, node))).toEqual(['read.0', 'read.1', undefined]);
  const sixteen = { ...members, writers: Array.from({ length: 16 }, (_, i) => nodeOf(i + 1).peerId).sort() };
  const rule = fieldRule(
    collectionNamed('conversations'),
    readField(sixteen, sixteen.writers[15] ?? a) ?? '',
  );
  expect(rule).toBeDefined();
});

it('keeps the newest of every user, names of any kind, and shares one mark between those who have read as far', () => {
  const users = ['amina', 'Ämina', 'a b', '"', 'x'.repeat(128), '__proto__'];
  let text: string | undefined;
  for (const [i, user] of users.entries())
    text = withMark(text, members, user, message(i, i % 2 === 0 ? a : b));
  const view = { 'read.0': text ?? '' };
  for (const [i, user] of users.entries())
    expect(read(`${user}@${a}`, view)).toBe(message(i, i % 2 === 0 ? a : b));
  for (const user of users) text = withMark(text, members, user, message(9));
  expect(JSON.parse(text ?? '')).toHaveLength(1);
  expect(read(`amina@${a}`, { 'read.0': text ?? '' })).toBe(message(9));
  // Another node's users are in another field.
  expect(read(`amina@${b}`, { 'read.0': text ?? '' })).toBeUndefined();
});

it('is never longer than its field: the marks that were set longest ago go', () => {
  const rule = fieldRule(collectionNamed('conversations'), 'read.0');
  if (rule === undefined) throw new Error('no rule');
  let text: string | undefined;
  for (let i = 0; i < 300; i++) {
    text = withMark(text, members, `user-${i}`, message(i));
    expect(valueProblem(rule, text)).toBeUndefined();
    expect(read(`user-${i}@${a}`, { 'read.0': text })).toBe(message(i));
  }
  expect(read(`user-270@${a}`, { 'read.0': text ?? '' })).toBe(message(270));
  expect(read(`user-0@${a}`, { 'read.0': text ?? '' })).toBeUndefined();
  // All at the newest: two hundred have room.
  for (let i = 0; i < 150; i++) text = withMark(text, members, `u${i}`, message(1));
  for (let i = 0; i < 150; i++) expect(read(`u${i}@${a}`, { 'read.0': text ?? '' })).toBe(message(1));
});

it('what another program wrote there is no mark', () => {
  for (const text of ['', 'x', '{}', '[1]', '[["0x"]]', '[["0x",1]]', '[["fx","amina"]]', '[["","amina"]]'])
    expect(read(`amina@${a}`, { 'read.0': text }), text).toBeUndefined();
});
