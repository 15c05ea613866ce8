import { randomBytes } from 'node:crypto';
import type { Access, Keys } from '../../api/ports/access.ts';
import type { AuditPort } from '../../api/ports/audit.ts';
import type { TellableEvent } from '../../api/ports/events.ts';
import type { AuditHead } from '../../protocols/audit/chain.ts';
import { draftFact } from '../../protocols/ledger/drafts.ts';
import { parseRecordKey, publicId } from '../../protocols/wire/ids.ts';
import { auditTable } from '../../storage/audit-table.ts';
import type { Reader } from '../../storage/reader.ts';
import type { Node } from '../node.ts';
import type { Parts } from '../parts.ts';
import { sealedNumbers } from '../sealed-number.ts';
import { type AuditLog, openAuditLog } from './audit-log.ts';
import { createCallers } from './callers.ts';
import { commitLines } from './commit-lines.ts';
import { auditedAccess, federationLine } from './service-lines.ts';

/** The audit log of a node, fed by its commits, its events and the use of its keys. */
export async function startAudit(
  node: Node,
  reader: Reader,
  control: { readonly access: Access; readonly keys: Keys },
  parts: Parts,
): Promise<{
  readonly audit: AuditPort & Pick<AuditLog, 'record' | 'sign'>;
  readonly access: Access;
  readonly keys: Keys;
  /** The node for what acts on requests: its writes are written down with their callers, what follows from commits is nobody's. */
  readonly node: Node;
}> {
  const { db, ledger, events, logger } = node;
  const self = node.identity.peerId;
  const { now } = node.clock;
  // Whoever could make a place up has the key that signs the head itself.
  const places = sealedNumbers(node.identity, 'agrinet audit places');
  const audit = await openAuditLog({
    table: auditTable(db),
    signHead: async ({ no, hash }) => {
      const fields = { head: hash, place: places.seal(no), at: now() };
      await ledger.write({ keys: [], draft: (pen) => [draftFact(pen, 'audit-heads', fields)] });
    },
    signedHeads: async () => {
      const heads: AuditHead[] = [];
      for await (const { key, view } of reader.all('audit-heads'))
        if (key.split('/')[1] === self)
          heads.push({
            no: places.open(String(view['place'])) ?? Number.MAX_SAFE_INTEGER,
            hash: String(view['head']),
          });
      return heads;
    },
    salt: () => randomBytes(16).toString('hex'),
    now,
    onFailure: (error, waiting) => logger.warn({ err: error, waiting }, 'audit lines wait for the disk'),
  });
  parts.started('audit log', async () => {
    await audit.sign();
    await audit.stop();
  });
  const callers = createCallers((event) => audit.record(event));
  parts.started('audit of callers', () => callers.stop());
  node.onCommit('audit', (committed) => {
    // Own writes are written down where they are asked for: here nobody knows who did.
    if (!committed.local) for (const line of commitLines(committed)) audit.record(line);
    for (const key of committed.erased ?? []) {
      const record = parseRecordKey(key);
      if (record !== undefined)
        audit.record({ kind: 'erasure', actor: record.owner, subject: publicId(record) });
    }
  });
  const isFederation = ({ type }: TellableEvent): boolean => type.startsWith('federation.');
  const told = events.subscribe({ logs: ['public', 'private'], wants: isFederation }, (event) => {
    const line = federationLine(event);
    // A sync goes its own way, whoever asked for it.
    if (line !== undefined) (event.type === 'federation.node' ? callers : audit).record(line);
    return undefined;
  });
  parts.started('audit of the federation', () => told.close());
  return {
    audit: { ...audit, ...callers },
    ...auditedAccess(control, (line) => callers.record(line), now),
    node: {
      ...node,
      ledger: callers.ledgerOf(ledger),
      onCommit: (name, listener) =>
        node.onCommit(name, (committed) => callers.outside(() => listener(committed))),
    },
  };
}
