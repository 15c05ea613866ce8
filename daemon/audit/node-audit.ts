import type { Access, Keys } from '../../api/ports/access.ts';
import type { AuditPort } from '../../api/ports/audit.ts';
import type { DeliverableEvent } from '../../api/ports/events.ts';
import type { Committed } from '../../protocols/ledger/types.ts';
import { hex } from '../../protocols/wire/bytes.ts';
import { parseRecordKey, publicId } from '../../protocols/wire/ids.ts';
import { auditTable } from '../../storage/audit-table.ts';
import type { Reader } from '../../storage/reader.ts';
import type { Listen, Listens } from '../hooks.ts';
import type { Node } from '../parts/running.ts';
import { type AuditLog, openAuditLog } from './audit-log.ts';
import type { Callers } from './callers.ts';
import { commitLines } from './commit-lines.ts';
import { auditedAccess, federationLine } from './service-lines.ts';
import { SignedHeads } from './signed-heads.ts';

/** What the audit log uses of the node. */
export type AuditedNode = Pick<Node, 'identity' | 'db' | 'ledger' | 'events' | 'env' | 'logger'> &
  Listens<'committed'>;

/** What the audit log records of the node. */
export interface Audited {
  readonly audit: AuditPort & Pick<AuditLog, 'record' | 'sign'>;
  readonly access: Access;
  readonly keys: Keys;
  /** For what acts on requests: its writes are written down with their callers. */
  readonly ledger: Node['ledger'];
  /** Commits, for the same: what follows from a commit is not done on behalf of a request. */
  readonly committed: Listen<Committed>;
}

export function openNodeAudit(node: AuditedNode, reader: Reader): Promise<AuditLog> {
  const { db, env, logger } = node;
  const heads = new SignedHeads(node, reader);
  return openAuditLog({
    table: auditTable(db),
    env,
    signHead: (head) => heads.sign(head),
    signedHeads: () => heads.all(),
    salt: () => hex(env.bytes(16)),
    onFailure: (error, waiting) =>
      logger.warn({ err: error, waiting }, 'audit lines are waiting for the disk'),
  });
}

/** Keys, tokens and the ledger, whose use is written down, with the key when a request does it. */
export function auditedWork(
  node: AuditedNode,
  audit: AuditLog,
  callers: Callers,
  control: { readonly access: Access; readonly keys: Keys },
): Audited {
  return {
    audit: { ...audit, ...callers },
    ...auditedAccess(control, (line) => callers.record(line), node.env.now),
    ledger: callers.ledgerOf(node.ledger),
    committed: {
      on: (name, listener) =>
        node.hooks.committed.on(name, (committed) => callers.outside(() => listener(committed))),
    },
  };
}

export function recordCommit(committed: Committed, audit: Pick<AuditLog, 'record'>): void {
  // Own writes are logged where they are requested: their author is not known here.
  if (!committed.local) for (const line of commitLines(committed)) audit.record(line);
  for (const key of committed.erased ?? []) {
    const record = parseRecordKey(key);
    if (record !== undefined)
      audit.record({ kind: 'erasure', actor: record.owner, subject: publicId(record) });
  }
}

/** Returns how to end it. */
export function followFederation(
  { events }: Pick<Node, 'events'>,
  audit: Pick<AuditLog, 'record'>,
  callers: Pick<Callers, 'record'>,
): () => void {
  const isFederation = ({ type }: DeliverableEvent): boolean => type.startsWith('federation.');
  const subscription = events.subscribe({ logs: ['public', 'private'], wants: isFederation }, (event) => {
    const line = federationLine(event);
    // A sync runs independently of the request that started it.
    if (line !== undefined) (event.type === 'federation.node' ? callers : audit).record(line);
    return undefined;
  });
  return () => subscription.close();
}
