import type { Reader } from '../../storage/reader.ts';
import type { AccessControl } from '../access/access.ts';
import { createCallers } from '../audit/callers.ts';
import {
  type Audited,
  type AuditedNode,
  auditedWork,
  followFederation,
  openNodeAudit,
  recordCommit,
} from '../audit/node-audit.ts';
import { definePart, type Face, type PartList } from '../parts.ts';
import type { AuditLog } from '../audit/audit-log.ts';

export interface AuditComponents {
  readonly reader: Face<Reader>;
  readonly keys: Face<Pick<AccessControl, 'access' | 'keys'>>;
}

/** The audit log of a node, fed by its commits, its events and the use of its keys. */
export function defineAudit(parts: PartList, node: AuditedNode, { reader, keys }: AuditComponents) {
  const log = parts.add(defineLog(node, reader));
  const callers = parts.add(
    definePart('audit of callers', () => {
      const opened = createCallers((event) => log.face.record(event), node.env);
      return { face: opened, stop: () => opened.stop() };
    }),
  );
  parts.add(
    definePart('audit of the federation', () => ({
      face: undefined,
      stop: followFederation(node, log.face, callers.face),
    })),
  );
  return parts.add(
    definePart<Audited>('audited work', () => ({
      face: auditedWork(node, log.face, callers.face, keys.face),
    })),
  );
}

function defineLog(node: AuditedNode, reader: Face<Reader>) {
  return definePart<AuditLog>('audit log', async () => {
    const audit = await openNodeAudit(node, reader.face);
    node.hooks.committed.on('audit', (committed) => recordCommit(committed, audit));
    return {
      face: audit,
      stop: async () => {
        await audit.sign();
        await audit.stop();
      },
    };
  });
}
