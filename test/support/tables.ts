import { readFileSync, writeFileSync } from 'node:fs';
import { checksTable } from '../../daemon/doctor/finding.ts';
import { findingsTable } from '../../daemon/doctor/findings.ts';
import { exitCodeTable } from '../../daemon/exit-codes.ts';
import { metricsTable } from '../../daemon/metrics/metrics-table.ts';
import { settingsTable } from '../../daemon/settings.ts';
import { errorCodeTable } from '../../protocols/error-codes.ts';
import { LISTING_COLUMNS } from '../../protocols/market/listing-file.ts';
import { COLLECTIONS, type Collection, type FieldRule } from '../../protocols/open-dialog/schema.ts';
import { diskDeadlinesTable, reasonsIn, waitsTable } from './deadlines.ts';
import { KEYSPACE } from '../../storage/keyspace.ts';
import { apiDocument, endpointTable } from './endpoints.ts';
import { annotatedTable } from './annotated-entry.ts';
import { HTTP_LIMITS, LOCAL_LIMITS, WIRE_LIMITS } from './limit-groups.ts';

const root = new URL('../../', import.meta.url);

/** Files with generated tables, and the tables by the name of their markers. */
export const GENERATED: Readonly<Record<string, Readonly<Record<string, () => string | Promise<string>>>>> = {
  'systemd/README.md': {
    settings: settingsTable,
    'exit-codes': exitCodeTable,
    limits: () => limitTables(HTTP_LIMITS),
    metrics: metricsTable,
    checks: checksTable,
    'listing-columns': listingColumnsTable,
  },
  'api/README.md': { endpoints: async () => endpointTable(await apiDocument()), errors: errorCodeTable },
  'protocols/README.md': {
    'annotated-entry': annotatedTable,
    collections: collectionTables,
    limits: () => limitTables(WIRE_LIMITS),
  },
  'protocols/PROFILE.md': { limits: () => limitTables(LOCAL_LIMITS) },
  'daemon/README.md': { findings: findingsTable, 'disk-deadlines': diskDeadlinesTable, waits: waitsTable },
  'storage/README.md': { keyspace: keyspaceTable },
};

/** The text of a document. */
export function documentText(name: string): string {
  return readFileSync(new URL(name, root), 'utf8');
}

/** What stands between two markers. */
export function section(text: string, name: string): string {
  const [, rest = ''] = text.split(`<!-- ${name} -->`);
  return (rest.split(`<!-- /${name} -->`)[0] ?? '').trim();
}

/** A document with something else between two of its markers. */
function withSection(text: string, name: string, made: string): string {
  const pattern = new RegExp(`(<!-- ${name} -->)[^]*(<!-- /${name} -->)`);
  return text.replace(pattern, (_, open: string, close: string) => `${open}\n${made.trim()}\n${close}`);
}

/** Writes into a document what stands between two of its markers. */
export function saveSection(file: string, name: string, made: string): void {
  writeFileSync(new URL(file, root), withSection(documentText(file), name, made));
}

/** Writes every generated table into its document. */
export async function writeTables(): Promise<void> {
  for (const [file, tables] of Object.entries(GENERATED))
    for (const [name, table] of Object.entries(tables)) saveSection(file, name, await table());
}

function rows(head: readonly string[], body: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), `|${'---|'.repeat(head.length)}`, ...body.map(line)].join('\n');
}

function listingColumnsTable(): string {
  const columns = Object.entries<{ readonly also?: readonly string[]; readonly help: string }>(
    LISTING_COLUMNS,
  );
  const named = (names: readonly string[]): string => names.map((name) => `\`${name}\``).join(', ');
  return rows(
    ['column', 'also called', 'what it holds'],
    columns.map(([name, { also = [], help }]) => [named([name]), named(also), help]),
  );
}

function keyspaceTable(): string {
  const body = Object.entries(KEYSPACE).map(([name, { prefix, key, value }]) => [
    `\`${prefix}!\``,
    name,
    key,
    value,
  ]);
  return rows(['prefix', 'sublevel', 'key', 'value'], body);
}

function ruleText(rule: FieldRule): string {
  switch (rule.type) {
    case 'boolean':
      return 'boolean';
    case 'number': {
      const { min, max } = rule;
      if (min === undefined) return 'number';
      return max === undefined ? `number ≥ ${min}` : `number, ${min} to ${max}`;
    }
    case 'string': {
      if (rule.oneOf !== undefined) return rule.oneOf.map((each) => `"${each}"`).join(', ');
      const pattern = rule.pattern === undefined ? '' : `, \`${rule.pattern.source}\``;
      return `text ≤ ${rule.max}${pattern}`;
    }
  }
}

function collectionTables(): string {
  return Object.values(COLLECTIONS).map(collectionTable).join('\n\n');
}

function collectionTable(collection: Collection): string {
  const { name, kind, version, channels, fields, family, required } = collection;
  const channel = channels === 'both' ? 'public or private' : channels;
  const body = Object.entries(fields).map(([field, rule]) => [
    `\`${field}\``,
    ruleText(rule),
    required.includes(field) ? 'yes' : '',
  ]);
  if (family !== undefined) body.push([`\`${family.shown}\``, ruleText(family.rule), '']);
  return `**${name}**, ${kind}, schema version ${version}, ${channel}\n\n${rows(['field', 'value', 'required'], body)}`;
}

type LimitGroups = Readonly<Record<string, readonly [title: string, limits: object]>>;

/** Names and values from the code that runs, the reasons from the comments beside them or beside their types. */
function limitTables(groups: LimitGroups): string {
  return Object.entries(groups)
    .map(([file, [title, limits]]) => {
      const reasons = reasonsIn(documentText(file));
      const body = Object.entries(limits).map(([name, value]) => [
        `\`${name}\``,
        Number(value).toLocaleString('en-US'),
        reasons.get(name) ?? '',
      ]);
      const shown = file.replace(/^protocols\/(?!market)/, '');
      return `**${title}** (\`${shown}\`)\n\n${rows(['limit', 'value', 'reason'], body)}`;
    })
    .join('\n\n');
}
