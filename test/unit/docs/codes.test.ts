import { globSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ERROR_CODES } from '../../../protocols/error-codes.ts';

/** Where a code stands in the sources of the protocols: thrown, given as a verdict, or chosen between. */
const PLACES: readonly RegExp[] = [
  /new AgrinetError\(\s*'([a-z-]+)'/g,
  /\b(?:code|problem): '([a-z-]+)'/g,
  /isVoid\('([a-z-]+)'/g,
  /\breturn '([a-z]+(?:-[a-z]+)+)'/g,
  /[?:] '([a-z]+(?:-[a-z]+)+)'[;,)\n]/g,
];
/** Looks like a code and is none; domains of signatures have a table of their own. */
const NONE = new Set([
  'audit-heads',
  'dial-now',
  'heard-of',
  'other-inputs',
  'price-weeks',
  'rating-notes',
  'rating-reasons',
]);

const root = new URL('../../../', import.meta.url).pathname;
const registry = (): string => {
  const text = readFileSync(`${root}protocols/README.md`, 'utf8');
  return text.slice(text.indexOf('### 16.3 Codes'), text.indexOf('## 17. '));
};

/** All that gives codes; the table itself gives none. */
function givers(): string {
  return globSync('{protocols,daemon,storage,api}/**/*.ts', { cwd: root })
    .filter((file) => file !== 'protocols/error-codes.ts')
    .map((file) => readFileSync(root + file, 'utf8'))
    .join('\n');
}

function codesOf(source: string): string[] {
  return PLACES.flatMap((place) => [...source.matchAll(place)].map(([, code = '']) => code));
}

it('every code of the protocols stands in the one registry of the specification', () => {
  const known = new Set([...registry().matchAll(/`([a-z-]+)`/g)].map(([, code]) => code));
  const missing = new Map<string, string>();
  for (const file of globSync('protocols/**/*.ts', { cwd: root }))
    for (const code of codesOf(readFileSync(root + file, 'utf8')))
      if (!known.has(code) && !NONE.has(code) && !code.startsWith('agrinet-')) missing.set(code, file);
  expect(Object.fromEntries(missing)).toEqual({});
});

it('the registry names no code that nothing gives', () => {
  const all = givers();
  const rows = [...registry().matchAll(/^\| ((?:`[a-z-]+`(?:, )?)+) \|/gm)].map(([, cell = '']) => cell);
  expect(rows.length).toBeGreaterThan(20);
  const named = rows.flatMap((cell) => [...cell.matchAll(/`([a-z-]+)`/g)].map(([, code = '']) => code));
  expect(named.filter((code) => !all.includes(`'${code}'`))).toEqual([]);
});

it('every row of the table of codes is given somewhere', () => {
  const all = givers();
  expect(Object.keys(ERROR_CODES).filter((code) => !all.includes(`'${code}'`))).toEqual([]);
});

it('a code that is not in the registry would be found', () => {
  expect(codesOf("throw new AgrinetError(\n  'never-heard-of', 'x')")).toEqual(['never-heard-of']);
  expect(codesOf("return { kind: 'reject', code: 'never-heard-of' };")).toEqual(['never-heard-of']);
});
