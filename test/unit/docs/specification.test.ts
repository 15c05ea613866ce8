import { globSync, readFileSync } from 'node:fs';
import { expect, it, test } from 'vitest';
import { bodyMatches, decodeEntry } from '../../../protocols/feed/entry.ts';
import { ENTRY_ENVELOPE } from '../../../protocols/feed/header.ts';
import { decodeOp } from '../../../protocols/feed/op.ts';
import { readOp } from '../../../protocols/open-dialog/read-op.ts';
import { decodeCbor } from '../../../protocols/wire/cbor.ts';
import { signatureHolds } from '../../../protocols/wire/envelope.ts';
import { bytesOfTable } from '../../support/annotated-entry.ts';
import { documentText, section } from '../../support/tables.ts';

const root = new URL('../../../', import.meta.url).pathname;
const text = documentText('protocols/README.md');

/** What stands under a heading, as far as the next of its level or above. */
function under(heading: string): string {
  const [, rest = ''] = text.split(`\n${heading}\n`);
  const level = heading.indexOf(' ');
  return rest.split(new RegExp(`^#{1,${level}} `, 'm'))[0] ?? '';
}

function sources(pattern: string): string {
  return globSync(pattern, { cwd: root })
    .map((file) => readFileSync(root + file, 'utf8'))
    .join('\n');
}

const matches = (source: string, pattern: RegExp): string[] =>
  [...new Set([...source.matchAll(pattern)].map(([, found = '']) => found))].sort();

interface Rule {
  readonly id: string;
  readonly said: string;
}
const rules: readonly Rule[] = [...text.matchAll(/^- \*\*(R-\d+\.\d+)\*\* (.*)$/gm)].map(
  ([, id = '', said = '']) => ({ id, said }),
);

it('the rules of each section are counted from 1 without a gap, in their own section', () => {
  let chapter = 0;
  let number = 0;
  const wrong: string[] = [];
  for (const line of text.split('\n')) {
    const [, heading] = /^## (\d+)\. /.exec(line) ?? [];
    if (heading !== undefined) [chapter, number] = [Number(heading), 0];
    const [, id] = /^- \*\*(R-\d+\.\d+)\*\*/.exec(line) ?? [];
    if (id !== undefined && id !== `R-${chapter}.${++number}`) wrong.push(id);
  }
  expect(wrong).toEqual([]);
  expect(rules.length).toBeGreaterThan(250);
});

test('a rule is one sentence', () => {
  const more = rules.filter(({ said }) => /[.!?] [A-Z]/.test(said.replaceAll(/`[^`]*`|\*\([^)]*\)\*/g, '')));
  expect(more).toEqual([]);
});

test('a rule is referred to by a number that there is', () => {
  const ids = new Set(rules.map(({ id }) => id));
  expect(matches(text, /\b(R-\d+\.\d+)\b/g).filter((id) => !ids.has(id))).toEqual([]);
});

it('shows an entry that decodes to what stands beside it', () => {
  const table = section(text, 'annotated-entry');
  const entry = decodeEntry(bytesOfTable(table));
  expect(signatureHolds(ENTRY_ENVELOPE, entry.envelope)).toBe(true);
  expect(bodyMatches(entry)).toBe(true);
  expect(table).toContain(`public key of ${entry.author} |`);
  const [item] = entry.body;
  const bytes = item !== undefined && 'op' in item ? item.op : new Uint8Array();
  const op = decodeOp(bytes);
  const said = Object.fromEntries(
    [...table.matchAll(/ \| ([A-Za-z]+): (\S.*) \|$/gm)].map(([, key = '', value = '']) => [key, value]),
  );
  const { header } = entry;
  expect(said).toMatchObject({
    net: JSON.stringify(header.net),
    channel: JSON.stringify(header.channel),
    epoch: `bytes ${header.epoch}`,
    seq: String(header.seq),
    prev: 'null',
    after: '[]',
    time: JSON.stringify(header.time),
    n: String(header.n),
    root: `bytes ${header.root}`,
    c: JSON.stringify(op?.c),
    k: JSON.stringify(op?.k),
    t: JSON.stringify(op?.t),
  });
  const fact = decodeCbor(op?.d ?? new Uint8Array()) as Record<string, unknown>;
  for (const [field, value] of Object.entries(fact)) expect(said[field]).toBe(JSON.stringify(value));
  const placed = { ...header, author: entry.author, index: 0, bytes };
  expect(readOp(placed)).toMatchObject({ reading: { kind: 'fact', fields: fact } });
});

it('registers every signature domain and payload type of the code, and no other', () => {
  const code = sources('{protocols,storage,daemon,api}/**/*.ts');
  const table = under('### 16.1 Signature domains');
  const inCode = matches(code, /domain: '([^']+)'/g);
  expect(inCode.length).toBeGreaterThan(6);
  expect(matches(table, /^\| `([^`]+)` \|/gm)).toEqual(inCode);
  expect(matches(table, /^\| `[^`]+` \| `([^`]+)` \|/gm)).toEqual(
    matches(code, /payloadType: new TextEncoder\(\)\.encode\('([^']+)'\)/g),
  );
});

it('registers every hash prefix of the code', () => {
  const inCode = matches(sources('protocols/**/*.ts'), /`(agrinet\/[a-z]+\/(?:1\/)?)\$\{/g);
  expect(inCode).toEqual(['agrinet/genesis/', 'agrinet/rendezvous/1/']);
  for (const prefix of inCode) expect(under('### 16.1 Signature domains')).toContain(`\`${prefix}\``);
});

it('registers every protocol id of the code, and no other', () => {
  const code = sources('{protocols,daemon}/**/*.ts');
  const own = matches(code, /`\/(?:agrinet\/\$\{[^}]+\}|\$\{prefix\})\/([a-z]+\/\d)`/g);
  expect(own.length).toBeGreaterThan(5);
  // Those of identify and ping are libp2p's, under our prefix.
  const registered = matches(under('### 16.2 Protocol ids'), /\/agrinet\/<net>\/([a-z/]+\/\d)(?![.\d])/g);
  expect(registered).toEqual(own);
});

it('says of every class of vectors what it shows, and of no other', () => {
  const { about: _, ...classes } = JSON.parse(documentText('protocols/vectors.json')) as Record<
    string,
    unknown
  >;
  const named = matches(under('## 18. Conformance'), /^\| `([A-Za-z]+)` \|/gm);
  expect(named).toEqual(Object.keys(classes).sort());
});

it('refers to no class of vectors that there is not', () => {
  const vectors = JSON.parse(documentText('protocols/vectors.json')) as Record<string, unknown>;
  const named = [...text.matchAll(/\*\(vectors: ([^)]*)\)\*/g)].flatMap(([, list = '']) =>
    matches(list, /`([A-Za-z]+)/g),
  );
  expect(named.filter((name) => name !== 'x' && vectors[name] === undefined)).toEqual([]);
});
