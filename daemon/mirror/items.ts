import { nodeTemplate } from '../../api/node-template.ts';
import { recordJson } from '../../api/records.ts';
import type { AuditLine } from '../../protocols/audit/chain.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import type { HttpNode } from '../../protocols/registry/http-nodes.ts';
import type { RegisteredNode } from '../../protocols/registry/registry.ts';
import type { Json } from '../../protocols/wire/json.ts';
import { withoutPersonal } from '../../protocols/wire/personal.ts';
import type { StoredKey } from '../../storage/key-table.ts';
import type { ItemFields } from '../../storage/mirror/types.ts';
import type { NotificationRow } from '../../storage/notification-table.ts';
import { isoOrNull, isoTime } from '../../protocols/wire/iso-time.ts';

/** Digits of a line number behind the milliseconds of a log item's sort key. */
const LINE_DIGITS = 12;

/** The JSON of a value, without personal fields and undefined values. */
export function fieldsOf(value: object): ItemFields {
  return withoutPersonal(JSON.parse(JSON.stringify(value)) as Record<string, Json>); // what JSON.parse returns is JSON
}

/** A published trend snapshot; `body` is JSON in a text, as it was signed. */
export function trendItem(state: RecordState): ItemFields {
  const json = recordJson(state);
  return fieldsOf({ ...json, trendId: json.id });
}

/**
 * The sort key of a line: its time, and its number as further digits of the second, so that no two lines of a transaction have
 * the same. `new Date` reads it, and texts sort as times do.
 */
export function logStamp({ at, no }: Pick<AuditLine, 'at' | 'no'>): string {
  return `${isoTime(at).slice(0, -1)}${String(no).padStart(LINE_DIGITS, '0')}Z`;
}

/** The line number in a sort key; undefined when there is none. */
export function lineOfStamp(stamp: string): number | undefined {
  const [, digits] = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}(\d{12})Z$/.exec(stamp) ?? [];
  return digits === undefined ? undefined : Number(digits);
}

/** The old back end's names of actions; ours where it has none. */
const ACTIONS: Partial<Record<AuditLine['kind'], string>> = { contract: 'status_change' };

export function logItem({ kind, actor, note, subject, detail }: AuditLine): ItemFields {
  return fieldsOf({ actorId: actor, action: ACTIONS[kind] ?? kind, note: note ?? '', subject, detail });
}

/** A node of the registry in the Agrinet node template. Its contact stays with the operator, and its score is not part of a row. */
export function nodeItem(
  node: RegisteredNode | HttpNode,
  profile: RecordState['view'] | undefined,
): ItemFields {
  const { region, status, registeredAt, lastSyncAt } = node;
  const own = 'peerId' in node;
  const template = nodeTemplate(own ? node.peerId : node.id, profile);
  return fieldsOf({
    ...template,
    // A node's own statement of its reputation is ignored.
    reputation: { leveson: 0 },
    region,
    status,
    kind: own ? 'agrinetd' : 'http',
    ...(own ? { peerId: node.peerId, name: node.name, schemaVersion: node.schemaVersion } : {}),
    registeredAt: isoOrNull(registeredAt),
    lastSyncAt: isoOrNull(lastSyncAt),
  });
}

/** An API key: its keyed hash under a name of its own, so that nothing which compares keys takes the hash for one. */
export function keyItem(row: StoredKey): ItemFields {
  const { hash, userId, scopes, usageCount, replacedBy } = row;
  return fieldsOf({
    hash,
    userId,
    scopes,
    usageCount,
    replacedBy,
    issuedAt: isoOrNull(row.issuedAt),
    expiresAt: isoOrNull(row.expiresAt),
    lastUsedAt: isoOrNull(row.lastUsedAt),
    revokedAt: isoOrNull(row.revokedAt),
  });
}

export function notificationItem({ message, read, createdAt }: NotificationRow): ItemFields {
  return fieldsOf({ message, read, createdAt });
}
