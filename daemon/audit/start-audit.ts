import type { Access, Keys } from '../../api/ports/access.ts';
import type { AuditPort } from '../../api/ports/audit.ts';
import type { TellableEvent } from '../../api/ports/events.ts';
import type { Committed } from '../../protocols/ledger/types.ts';
import { hex } from '../../protocols/wire/bytes.ts';
import { parseRecordKey, publicId } from '../../protocols/wire/ids.ts';
import { auditTable } from '../../storage/audit-table.ts';
import type { Reader } from '../../storage/reader.ts';
import type { Listen, Listens } from '../hooks.ts';
import type { Node } from '../node.ts';
import type { PartList } from '../parts.ts';
import { type AuditLog, openAuditLog } from './audit-log.ts';
import { type Callers, createCallers } from './callers.ts';
import { commitLines } from './commit-lines.ts';
import { auditedAccess, federationLine } from './service-lines.ts';
import { SignedHeads } from './signed-heads.ts';

/** The audit log of a node, and what of the node writes to it. */
export interface StartedAudit {
  readonly audit: AuditPort & Pick<AuditLog, 'record' | 'sign'>;
  readonly access: Access;
  readonly keys: Keys;
  /** For what acts on requests: its writes are written down with their callers. */
  readonly ledger: Node['ledger'];
  /** Commits, for the same: what follows from a commit is nobody's request. */
  readonly committed: Listen<Committed>;
}

/** The audit log of a node, fed by its commits, its events and the use of its keys. */
export async function startAudit(
  node: Pick<Node, 'identity' | 'db' | 'ledger' | 'events' | 'env' | 'logger'> & Listens<'committed'>,
  reader: Reader,
  control: { readonly access: Access; readonly keys: Keys },
  parts: PartList,
): Promise<StartedAudit> {
  const { db, ledger, logger, env } = node;
  const heads = new SignedHeads(node, reader);
  const audit = await openAuditLog({
    table: auditTable(db),
    env,
    signHead: (head) => heads.sign(head),
    signedHeads: () => heads.all(),
    salt: () => hex(env.bytes(16)),
    onFailure: (error, waiting) => logger.warn({ err: error, waiting }, 'audit lines wait for the disk'),
  });
  parts.started('audit log', async () => {
    await audit.sign();
    await audit.stop();
  });
  const callers = createCallers((event) => audit.record(event), env);
  parts.started('audit of callers', () => callers.stop());
  node.hooks.committed.on('audit', (committed) => recordCommit(committed, audit));
  parts.started('audit of the federation', followFederation(node, audit, callers));
  return {
    audit: { ...audit, ...callers },
    ...auditedAccess(control, (line) => callers.record(line), env.now),
    ledger: callers.ledgerOf(ledger),
    committed: {
      on: (name, listener) =>
        node.hooks.committed.on(name, (committed) => callers.outside(() => listener(committed))),
    },
  };
}

function recordCommit(committed: Committed, audit: Pick<AuditLog, 'record'>): void {
  // Own writes are written down where they are asked for: here nobody knows who did.
  if (!committed.local) for (const line of commitLines(committed)) audit.record(line);
  for (const key of committed.erased ?? []) {
    const record = parseRecordKey(key);
    if (record !== undefined)
      audit.record({ kind: 'erasure', actor: record.owner, subject: publicId(record) });
  }
}

/** Returns how to end it. */
function followFederation(
  { events }: Pick<Node, 'events'>,
  audit: Pick<AuditLog, 'record'>,
  callers: Pick<Callers, 'record'>,
): () => void {
  const isFederation = ({ type }: TellableEvent): boolean => type.startsWith('federation.');
  const subscription = events.subscribe({ logs: ['public', 'private'], wants: isFederation }, (event) => {
    const line = federationLine(event);
    // A sync goes its own way, whoever asked for it.
    if (line !== undefined) (event.type === 'federation.node' ? callers : audit).record(line);
    return undefined;
  });
  return () => subscription.close();
}
