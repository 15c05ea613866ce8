import { readdirSync } from 'node:fs';
import { expect, it, test } from 'vitest';
import { documentText } from '../../support/tables.ts';

const name = 'protocols/README.md';
const text = documentText(name);

/** Codes as the sources write them: thrown, returned as a verdict, or as the answer of admission. */
const CODE =
  /(?:AgrinetError\(\s*|refusal\(|isVoid\(|code: |problem: |return creates \? |[?:] |return )'([a-z]+(?:-[a-z]+)+)'/g;
const FOLDERS = ['wire', 'feed', 'open-dialog', 'ledger', 'mycelium', 'registry'];

test.each(FOLDERS)('every code of %s stands in the specification', (folder) => {
  const url = new URL(`../../../protocols/${folder}/`, import.meta.url);
  const missing = new Set<string>();
  for (const file of readdirSync(url)) {
    const source = documentText(`protocols/${folder}/${file}`);
    for (const [, code = ''] of source.matchAll(CODE)) if (!text.includes(`\`${code}\``)) missing.add(code);
  }
  expect([...missing].sort()).toEqual([]);
});

it('finds codes at all', () => {
  const source = documentText('protocols/open-dialog/read-op.ts');
  expect([...source.matchAll(CODE)].map(([, code]) => code)).toEqual(
    expect.arrayContaining(['op-malformed', 'actor-foreign', 'create-not-first', 'delta-without-create']),
  );
});
