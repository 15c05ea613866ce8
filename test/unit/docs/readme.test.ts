import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it, test } from 'vitest';
import { waits } from '../../support/deadlines.ts';
import { documentText, GENERATED, section } from '../../support/tables.ts';

const DOCUMENTS = [
  'README.md',
  'SECURITY.md',
  'CHANGELOG.md',
  'api/README.md',
  'daemon/README.md',
  'protocols/README.md',
  'protocols/PROFILE.md',
  'storage/README.md',
  'systemd/README.md',
];
/** Those of a running node are held by the tests of its routes. */
const tables = Object.entries(GENERATED).flatMap(([file, of]) =>
  Object.entries(of)
    .filter(([marker]) => marker !== 'endpoints')
    .map(([marker, table]) => ({ file, marker, table })),
);

test.each(tables)('$file shows the $marker of the code', async ({ file, marker, table }) => {
  expect(section(documentText(file), marker)).toBe((await table()).trim());
});

it('every limit has a reason', async () => {
  const limits = tables.filter(({ marker }) => marker === 'limits');
  const rows = (await Promise.all(limits.map(async ({ table }) => table()))).join('\n').split('\n');
  expect(rows.length).toBeGreaterThan(200);
  expect(rows.filter((line) => line.endsWith('|  |'))).toEqual([]);
});

it('every wait has a reason', () => {
  const all = waits();
  expect(all.length).toBeGreaterThan(120);
  expect(all.flatMap(([file, name, , why]) => (why === '' ? [`${file} ${name}`] : []))).toEqual([]);
});

it('the front page is read in a minute', () => {
  expect(documentText('README.md').split('\n').length).toBeLessThanOrEqual(160);
});

describe('links', () => {
  it.each(DOCUMENTS)('of %s lead to files and headings that are there', (name) => {
    const broken: string[] = [];
    for (const [, target = ''] of prose(name).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [path = '', anchor] = target.split('#');
      const file = path === '' ? name : join(dirname(name), path);
      if (!existsSync(file)) broken.push(target);
      else if (anchor !== undefined && !anchorsOf(file).has(anchor)) broken.push(target);
    }
    expect(broken).toEqual([]);
  });
});

describe('sources', () => {
  const named = new Set(
    globSync('{api,daemon,protocols,storage,systemd,test}/**/*.{ts,mjs,cjs,sh,pl}').flatMap((file) =>
      file.split('/').map((_, i, parts) => parts.slice(i).join('/')),
    ),
  );
  it.each(DOCUMENTS)('that %s names are there', (name) => {
    const names = [...documentText(name).matchAll(/`([\w./-]+\.(?:ts|mjs|cjs|sh|pl))`/g)];
    expect(names.flatMap(([, file = '']) => (named.has(file) ? [] : [file]))).toEqual([]);
  });
});

/** A document without its code. */
function prose(name: string): string {
  return readFileSync(name, 'utf8')
    .replaceAll(/^```[^]*?^```/gm, '')
    .replaceAll(/`[^`\n]*`(?!\])/g, '');
}

/** Headings as GitHub makes anchors of them. */
function anchorsOf(name: string): Set<string> {
  const headings = readFileSync(name, 'utf8')
    .replaceAll(/^```[^]*?^```/gm, '')
    .matchAll(/^#+ (.*)$/gm);
  return new Set(
    [...headings].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\- _]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}
