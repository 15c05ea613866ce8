/** Writes the generated tables into README.md: `node test/support/make-readme.ts`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { exitCodeTable } from '../../daemon/exit-codes.ts';
import { settingsTable } from '../../daemon/settings.ts';
import { apiDocument, endpointTable } from './endpoints.ts';
import { GENERATED } from './tables.ts';

const file = new URL('../../README.md', import.meta.url);
let text = readFileSync(file, 'utf8');
for (const [name, table] of [
  ['settings', settingsTable()],
  ['exit-codes', exitCodeTable()],
  ['limits', GENERATED['README.md']?.['limits']?.() ?? ''],
  ['endpoints', endpointTable(await apiDocument())],
] as const) {
  const pattern = new RegExp(`(<!-- ${name} -->)[^]*(<!-- /${name} -->)`);
  text = text.replace(pattern, (_, open: string, close: string) => `${open}\n${table.trim()}\n${close}`);
}
writeFileSync(file, text);
