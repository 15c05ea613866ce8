import { readFileSync } from 'node:fs';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { COMMODITY_NAMES } from '../../../protocols/market/commodity-names.ts';
import { clausesOf, matchesClause, wordsOf } from '../../../protocols/market/search-words.ts';

const isFound = (q: string, text: string): boolean => {
  const words = new Set(wordsOf(text));
  return clausesOf(q).every((clause) => matchesClause(words, clause));
};

describe('words', () => {
  it.each([
    ['Maize, WHITE (dry)', 'maiz white dry'],
    ["Ng'ombe wa maziwa", 'ngombe maziwa'],
    ['Café crème', 'cafe creme'],
    ['90kg bags, 2.5 litres', '90 kg bag 2 5 litre'],
    ['Tomatoes and potatoes', 'tomato potato'],
    ['boxes of berries', 'box berry'],
    ['grass, citrus, dolichos', 'grass citrus dolicho'],
    ['Łódź straße', 'lodz strass'],
  ])('of %s', (text, words) => {
    expect(wordsOf(text).join(' ')).toBe(words);
  });

  it.each([
    ['cheese', 'cheeses'],
    ['house', 'houses'],
    ['cookie', 'cookies'],
    ['leaf', 'leaves'],
    ['mango', 'mangoes'],
    ['peach', 'peaches'],
    ['maize', 'maizes'],
    ['pea', 'peas'],
  ])('%s and %s are one', (one, many) => {
    expect(wordsOf(many)).toEqual(wordsOf(one));
  });

  it('of any text find that text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        for (const word of wordsOf(text)) expect(word.isWellFormed() && word.length > 0).toBe(true);
        if (wordsOf(text).length > 0) expect(isFound(text.replaceAll('*', ' '), text)).toBe(true);
      }),
    );
  });
});

describe('a search for words', () => {
  it.each([
    ['maize', 'Mahindi meupe', true],
    ['mahindi', 'White corn', true],
    ['corn', 'Maize (white)', true],
    ['white maize', 'mahindi', false],
    ['ndengu', 'Green grams, 50 kg', true],
    ['green grams', 'Ndengu', true],
    ['green beans', 'Ndengu', false],
    ['unga wa ngano', 'Wheat flour', true],
    ['sukuma', 'Kale', true],
    ['cow', 'Cowpeas', false],
    ['cow*', 'Cowpeas', true],
    ['fresh tom*', 'Tomatoes, fresh', true],
    ['fresh tom*', 'Tomatoes', false],
  ])('%s finds %s: %s', (q, text, found) => {
    expect(isFound(q, text)).toBe(found);
  });
});

describe('the names of commodities', () => {
  const file = readFileSync(new URL('../../data/wfp-kenya-trimmed.csv', import.meta.url));
  const rows: Record<string, string>[] = parse(file, { columns: true, skip_empty_lines: true });
  const commodities = [
    ...new Set(rows.map((row) => row['commodity'] ?? '').filter((name) => !name.startsWith('#'))),
  ];

  it('tell apart, each name in one group', () => {
    const names = COMMODITY_NAMES.flat().map((name) => wordsOf(name).join(' '));
    expect(names.filter((name, i) => names.indexOf(name) !== i)).toEqual([]);
    expect(names.every((name) => name !== '')).toBe(true);
    expect(COMMODITY_NAMES.every((group) => group.length > 1)).toBe(true);
  });

  it('are there for every commodity of the price files, in another language too', () => {
    expect(commodities.length).toBeGreaterThan(40);
    const groups = COMMODITY_NAMES.map((group) => group.map((name) => wordsOf(name)));
    const unnamed = commodities.filter((commodity) => {
      const words = new Set(wordsOf(commodity));
      return !groups.some((group) => group.some((name) => name.every((word) => words.has(word))));
    });
    expect(unnamed).toEqual([]);
  });
});
