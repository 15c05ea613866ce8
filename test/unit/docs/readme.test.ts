import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { exitCodeTable } from '../../../daemon/exit-codes.ts';
import { settingsTable } from '../../../daemon/settings.ts';
import { documentText, GENERATED, section as sectionOf } from '../../support/tables.ts';

const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');

/** What stands between two markers of the README. */
function section(name: string): string {
  const [, rest = ''] = readme.split(`<!-- ${name} -->`);
  return (rest.split(`<!-- /${name} -->`)[0] ?? '').trim();
}

it('the README shows the settings as the schema has them', () => {
  expect(section('settings')).toBe(settingsTable().trim());
});

it('the README shows the exit codes as the table has them', () => {
  expect(section('exit-codes')).toBe(exitCodeTable().trim());
});

it('the README shows the metrics as the table has them', () => {
  expect(section('metrics')).toBe(GENERATED['README.md']?.['metrics']?.());
});

it('the README shows the checks of the doctor as the table has them', () => {
  expect(section('checks')).toBe(GENERATED['README.md']?.['checks']?.());
});

it('the README shows the limits as the code has them, each with a reason', () => {
  const table = GENERATED['README.md']?.['limits']?.() ?? '';
  expect(section('limits')).toBe(table);
  expect(table.split('\n').filter((line) => line.endsWith('|  |'))).toEqual([]);
});

it('the README of the daemon shows what can be found, and every deadline, as the tables have them', () => {
  for (const [name, table] of Object.entries(GENERATED['daemon/README.md'] ?? {}))
    expect([name, sectionOf(documentText('daemon/README.md'), name)]).toEqual([name, table().trim()]);
});
