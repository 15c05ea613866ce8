import { describe, expect, it } from 'vitest';
import {
  CLAUSE_LENGTH,
  clauseChanges,
  clauseFieldsOf,
  CLAUSES_PER_WRITER,
  clausesOf,
} from '../../../../protocols/market/contract/clauses.ts';
import { fieldRule } from '../../../../protocols/open-dialog/schema.ts';
import { collectionNamed } from '../../../../protocols/ledger/drafts.ts';

type View = Record<string, string>;

/** The document after a client has asked for this. */
function after(view: View, wanted: unknown, writer = 0): View {
  const next = { ...view };
  for (const [field, value] of Object.entries(clauseChanges(wanted, writer, view))) {
    if (value === undefined) delete next[field];
    else next[field] = String(value);
  }
  return next;
}
const texts = (view: View): unknown[] => clausesOf(view).map(({ text }) => text);
const list = (n: number): string[] => Array.from({ length: n }, (_, i) => `clause ${i}`);
const named = (n: number, from = 0): View =>
  Object.fromEntries(list(n).map((text, i) => [`name-${from + i}`, text]));

it('every field is one of the collection, and there are no others', () => {
  const contracts = collectionNamed('contracts');
  const all = [0, 1].flatMap(clauseFieldsOf);
  expect([...(contracts.family?.names ?? [])].sort()).toEqual(all.toSorted());
  for (const field of ['terms.032', 'terms.200', 'terms.0000', 'terms.00', 'terms.', 'terms.warranty'])
    expect(fieldRule(contracts, field), field).toBeUndefined();
});

describe('a list', () => {
  it('takes the place of what stands, in its order, whoever made it', () => {
    let view = after({}, ['a', 'b', 'c']);
    expect(Object.keys(view)).toEqual(['terms.000', 'terms.001', 'terms.002']);
    view = after(view, ['d', 'e', 'f', 'g', 'h'], 1);
    expect(texts(view)).toEqual(['d', 'e', 'f', 'g', 'h']);
    // The other's fields go on standing: who writes one of them at the same time is in conflict with this.
    expect(Object.keys(view).sort()).toEqual([
      'terms.000',
      'terms.001',
      'terms.002',
      'terms.100',
      'terms.101',
    ]);
    view = after(view, ['i', 'j', 'k', 'l', 'm', 'n']);
    expect(texts(view)).toEqual(['i', 'j', 'k', 'l', 'm', 'n']);
    expect(texts(after(view, ['only']))).toEqual(['only']);
    expect(after(view, [])).toEqual({});
    expect(texts(after({}, [{ grade: 1 }, null, 7, ['x']]))).toEqual(['{"grade":1}', '7', '["x"]']);
  });

  it('has 32 of one writer, and the 33rd is refused', () => {
    const view = after({}, list(CLAUSES_PER_WRITER), 1);
    expect(texts(view)).toEqual(list(CLAUSES_PER_WRITER));
    expect(() => clauseChanges(list(CLAUSES_PER_WRITER + 1), 1, {})).toThrow(/32 clauses/);
    expect(() => clauseChanges(list(CLAUSES_PER_WRITER + 1), 1, view)).toThrow(/32 clauses/);
    // Each has its own.
    expect(texts(after(view, list(2 * CLAUSES_PER_WRITER), 0))).toEqual(list(2 * CLAUSES_PER_WRITER));
    expect(() => clauseChanges(list(2 * CLAUSES_PER_WRITER + 1), 0, view)).toThrow(/32 clauses/);
  });
});

describe('clauses by name', () => {
  it('are found by it, changed and taken away, and others stay', () => {
    let view = after({}, { warranty: '12 months', __proto: 'x' });
    view = after(view, { delivery: 'at the gate' }, 1);
    expect(clausesOf(view).map(({ name }) => name)).toEqual(['warranty', '__proto', 'delivery']);
    view = after(view, { warranty: '6 months', __proto: null, nothing: null }, 1);
    expect(clausesOf(view)).toEqual([
      { field: 'terms.000', name: 'warranty', text: '6 months' },
      { field: 'terms.100', name: 'delivery', text: 'at the gate' },
    ]);
  });

  it('a number is the place in a list', () => {
    const view = after({}, ['a', 'b']);
    expect(texts(after(view, { 2: 'B', 3: 'c' }))).toEqual(['a', 'B', 'c']);
    expect(texts(after(view, { 1: null }))).toEqual(['b']);
    expect(texts(after({}, { 1: 'a', 2: 'b' }))).toEqual(['a', 'b']);
    expect(after({}, { 1: 'a', 2: 'b' })).toEqual(view);
  });

  it('have 32 of one writer, and the 33rd is refused before anything is written', () => {
    const view = after({}, named(CLAUSES_PER_WRITER));
    expect(clausesOf(view)).toHaveLength(CLAUSES_PER_WRITER);
    expect(() => clauseChanges({ one: 'more' }, 0, view)).toThrow(/32 clauses/);
    expect(() => clauseChanges(named(CLAUSES_PER_WRITER + 1), 0, {})).toThrow(/32 clauses/);
    expect(clausesOf(after(view, { 'name-3': 'changed' }))).toHaveLength(CLAUSES_PER_WRITER);
    expect(clausesOf(after(view, named(CLAUSES_PER_WRITER, 100), 1))).toHaveLength(2 * CLAUSES_PER_WRITER);
  });

  it('never hold what is named like an address or a password', () => {
    expect(after({}, { email: 'a@example.org', 'phone-2': '1', ok: 'x' })).toEqual({
      'terms.000': '["#","ok","x"]',
    });
  });
});

it('a clause has its length, with its name, and is text', () => {
  expect(texts(after({}, ['x'.repeat(CLAUSE_LENGTH)]))).toEqual(['x'.repeat(CLAUSE_LENGTH)]);
  expect(() => clauseChanges(['x'.repeat(CLAUSE_LENGTH + 1)], 0, {})).toThrow(
    /clause 1: must have at most 1024/,
  );
  expect(() => clauseChanges({ n: 'x'.repeat(CLAUSE_LENGTH - 9) }, 0, {})).toThrow(/terms: n: must have/);
  for (const wanted of [[true], { n: false }, 'text', 7])
    expect(() => clauseChanges(wanted, 0, {})).toThrow(/terms:/);
});

it('words that only look like a named clause are shown as they are', () => {
  for (const text of ['["#",', '["#",1,2]', '["#"]', '["#","a"]', '[]'])
    expect(texts({ 'terms.000': text })).toEqual([text]);
});
