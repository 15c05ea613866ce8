import { readFileSync, writeFileSync } from 'node:fs';
import { BODY_LIMITS } from '../../api/limits/body.ts';
import { SSE_LIMITS } from '../../api/sse.ts';
import { KEY_LIMITS } from '../../daemon/access/key-rules.ts';
import { EVENT_LIMITS } from '../../daemon/events/event-log.ts';
import { PULL_LIMITS } from '../../daemon/federation/https-pull.ts';
import { STEADY_LIMITS } from '../../daemon/federation/steady.ts';
import { SNAPSHOT_LIMITS } from '../../daemon/backup/backups.ts';
import { IMPORT_LIMITS } from '../../daemon/federation/legacy-import.ts';
import { DIFF_LIMITS } from '../../daemon/doctor/diff.ts';
import { TREND_LIMITS } from '../../daemon/doctor/disk-trend.ts';
import { DOCTOR_LIMITS } from '../../daemon/doctor/facts.ts';
import { SERVER_LIMITS } from '../../daemon/http-server.ts';
import { checksTable } from '../../daemon/doctor/finding.ts';
import { findingsTable } from '../../daemon/doctor/findings.ts';
import { METRICS_LIMITS, metricsTable } from '../../daemon/metrics/metrics-table.ts';
import { JOB_LIMITS } from '../../daemon/jobs/job-store.ts';
import { LEGACY_LIMITS } from '../../protocols/market/legacy.ts';
import { BACKUP_LIMITS } from '../../storage/backup/format.ts';
import { IDEMPOTENCY_LIMITS } from '../../storage/idempotency-table.ts';
import { PREFIX_LIMITS } from '../../protocols/digest/prefix.ts';
import { PEER_EXCHANGE_LIMITS } from '../../protocols/discovery/peer-exchange.ts';
import { RENDEZVOUS_LIMITS } from '../../protocols/discovery/rendezvous.ts';
import { ANNOUNCE_LIMITS } from '../../protocols/mycelium/announce.ts';
import { CATCH_UP_LIMITS } from '../../protocols/mycelium/catch-up.ts';
import { FRONTIER_LIMITS } from '../../protocols/mycelium/frontier-exchange.ts';
import { FRONTIER_SEQUENCE_LIMITS } from '../../protocols/mycelium/frontier-sequence.ts';
import { MYCELIUM_LIMITS } from '../../protocols/mycelium/mycelium.ts';
import { PULLER_LIMITS } from '../../protocols/mycelium/puller.ts';
import { OFFENCE_LIMITS } from '../../protocols/mycelium/offences.ts';
import { FRAME_LIMITS } from '../../protocols/mycelium/range-frame.ts';
import { RANGE_LIMITS } from '../../protocols/mycelium/range.ts';
import { REQUEST_LIMITS } from '../../protocols/mycelium/signed-request.ts';
import { COLLECTIONS, type Collection, type FieldRule } from '../../protocols/open-dialog/schema.ts';
import { REGISTRY_LIMITS } from '../../protocols/registry/registry.ts';
import { LIMITS } from '../../protocols/wire/limits.ts';
import { MIRROR_LIMITS } from '../../storage/mirror/limits.ts';
import { KEYSPACE } from '../../storage/keyspace.ts';

const root = new URL('../../', import.meta.url);

/** Files with generated tables, and the tables by the name of their markers. */
export const GENERATED: Readonly<Record<string, Readonly<Record<string, () => string>>>> = {
  'README.md': {
    limits: () => limitTables(HTTP_LIMIT_FILES),
    metrics: metricsTable,
    checks: checksTable,
  },
  'protocols/README.md': { collections: collectionTables, limits: () => limitTables(LIMIT_FILES) },
  'daemon/README.md': { findings: findingsTable },
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

/** Writes every generated table into its document. */
export function writeTables(): void {
  for (const [name, tables] of Object.entries(GENERATED)) {
    let text = documentText(name);
    for (const [marker, table] of Object.entries(tables)) {
      const pattern = new RegExp(`(<!-- ${marker} -->)[^]*(<!-- /${marker} -->)`);
      text = text.replace(pattern, (_, open: string, close: string) => `${open}\n${table()}\n${close}`);
    }
    writeFileSync(new URL(name, root), text);
  }
}

function rows(head: readonly string[], body: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), `|${'---|'.repeat(head.length)}`, ...body.map(line)].join('\n');
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

type LimitFiles = readonly (readonly [title: string, file: string, limits: object])[];

/** What operators and clients meet; the README shows them. */
const HTTP_LIMIT_FILES: LimitFiles = [
  ['Connections', 'daemon/http-server.ts', SERVER_LIMITS],
  ['Request bodies', 'api/limits/body.ts', BODY_LIMITS],
  ['Repeated requests', 'storage/idempotency-table.ts', IDEMPOTENCY_LIMITS],
  ['Keys', 'daemon/access/key-rules.ts', KEY_LIMITS],
  ['Event streams', 'api/sse.ts', SSE_LIMITS],
  ['Events kept', 'daemon/events/event-log.ts', EVENT_LIMITS],
  ['Answers of other nodes', 'daemon/federation/steady.ts', STEADY_LIMITS],
  ['Pulls from an agrinetd', 'daemon/federation/https-pull.ts', PULL_LIMITS],
  ['Exports of old back ends', 'daemon/federation/legacy-import.ts', IMPORT_LIMITS],
  ['Their items', 'protocols/market/legacy.ts', LEGACY_LIMITS],
  ['Jobs', 'daemon/jobs/job-store.ts', JOB_LIMITS],
  ['Metrics', 'daemon/metrics/metrics-table.ts', METRICS_LIMITS],
  ['Doctor', 'daemon/doctor/facts.ts', DOCTOR_LIMITS],
  ['Its trend of the disk', 'daemon/doctor/disk-trend.ts', TREND_LIMITS],
  ['doctor --diff', 'daemon/doctor/diff.ts', DIFF_LIMITS],
  ['Snapshots for backups', 'daemon/backup/backups.ts', SNAPSHOT_LIMITS],
  ['Backup files', 'storage/backup/format.ts', BACKUP_LIMITS],
  ['The mirror', 'storage/mirror/limits.ts', MIRROR_LIMITS],
];

const LIMIT_FILES: LimitFiles = [
  ['Entries, ops, documents', 'protocols/wire/limits.ts', LIMITS],
  ['Mycelium', 'protocols/mycelium/mycelium.ts', MYCELIUM_LIMITS],
  ['Pulls', 'protocols/mycelium/puller.ts', PULLER_LIMITS],
  ['Frontier exchange', 'protocols/mycelium/frontier-exchange.ts', FRONTIER_LIMITS],
  ['Frontiers over HTTP', 'protocols/mycelium/frontier-sequence.ts', FRONTIER_SEQUENCE_LIMITS],
  ['Range', 'protocols/mycelium/range.ts', RANGE_LIMITS],
  ['Frames of a range', 'protocols/mycelium/range-frame.ts', FRAME_LIMITS],
  ['Offences', 'protocols/mycelium/offences.ts', OFFENCE_LIMITS],
  ['Differences by prefix', 'protocols/digest/prefix.ts', PREFIX_LIMITS],
  ['Catch-up', 'protocols/mycelium/catch-up.ts', CATCH_UP_LIMITS],
  ['Direct announcements', 'protocols/mycelium/announce.ts', ANNOUNCE_LIMITS],
  ['Signed requests', 'protocols/mycelium/signed-request.ts', REQUEST_LIMITS],
  ['Peer exchange', 'protocols/discovery/peer-exchange.ts', PEER_EXCHANGE_LIMITS],
  ['Rendezvous', 'protocols/discovery/rendezvous.ts', RENDEZVOUS_LIMITS],
  ['Registry', 'protocols/registry/registry.ts', REGISTRY_LIMITS],
];

/** Names and values from the code that runs, the reasons from the comments beside them or beside their types. */
function limitTables(files: LimitFiles): string {
  return files
    .map(([title, file, limits]) => {
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

function reasonsIn(source: string): Map<string, string> {
  const reasons = new Map<string, string>();
  for (const [, reason = '', name = ''] of source.matchAll(
    /\/\*\* ((?:(?!\*\/)[^])*?) \*\/\n {2}(?:readonly )?(\w+): /g,
  ))
    reasons.set(name, reason.replace(/\s*\n\s*\* ?/g, ' '));
  return reasons;
}
