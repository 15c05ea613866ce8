import type { AuditLine } from '../../protocols/audit/chain.ts';
import type { HttpNode } from '../../protocols/registry/http-nodes.ts';
import type { RegisteredNode } from '../../protocols/registry/registry.ts';
import { type SublevelName, sublevelOf } from '../../storage/keyspace.ts';
import type { Target } from '../../storage/outbox.ts';
import { verifiedJson } from '../../storage/values.ts';
import { logStamp } from './items.ts';
import type { TableName } from './tables.ts';

/** Where the old value of a row names an item that its key does not. */
export const TRACED: ReadonlySet<SublevelName> = new Set(['registry', 'httpNodes', 'audit']);

/** The items of such a row; none for one that cannot be read. */
export function previousTargets(key: string, value: Uint8Array): Target[] {
  try {
    const name = sublevelOf(key);
    if (name === 'registry') return nodeTargets(verifiedJson<RegisteredNode>(key, value).url);
    if (name === 'httpNodes') return nodeTargets(verifiedJson<HttpNode>(key, value).origin);
    return name === 'audit' ? logTargets(verifiedJson<AuditLine>(key, value)) : [];
  } catch {
    return []; // what it was cannot be told; a repair finds what is left over
  }
}

/** An item of a table. */
export const target = (table: TableName, ...key: string[]): Target => ({ table, key });
/** A node that cannot be reached over HTTP has no item: items are keyed by URL. */
export const nodeTargets = (url: string): Target[] => (url === '' ? [] : [target('NodeRegistry', url)]);
const logTargets = (line: AuditLine): Target[] =>
  line.transactionId === undefined ? [] : [target('TransactionLogs', line.transactionId, logStamp(line))];
