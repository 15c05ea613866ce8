import type { AuditPort } from '../../api/ports/audit.ts';
import {
  type AuditEvent,
  type AuditHead,
  type AuditLine,
  checkChain,
  signingEvent,
} from '../../protocols/audit/chain.ts';
import { AuditWriter, type AuditWriterParts } from './audit-writer.ts';

/** The hash-chained log of what operators and auditors may ask about. */
export interface AuditLog extends Pick<AuditPort, 'list' | 'verify'> {
  /** Never blocks and never throws; lines are written in order, soon. */
  record(event: AuditEvent): void;
  /**
   * Writes what waits and signs the head into the feed, whether anything was logged since the last one or not: that there is one, and all that
   * it shows, is the same for both.
   */
  sign(): Promise<void>;
  stop(): Promise<void>;
}

export interface AuditLogParts extends AuditWriterParts {
  /** Signs a head into the node's own feed; on disk when it resolves. */
  readonly signHead: (head: AuditHead) => Promise<void>;
  /** The heads found in the feed. */
  readonly signedHeads: () => Promise<readonly AuditHead[]>;
  /** 16 random bytes, hex. */
  readonly salt: () => string;
}

/** Lines that one page may look at. */
const SCAN = 20_000;

export async function openAuditLog(parts: AuditLogParts): Promise<AuditLog> {
  const { table } = parts;
  const writer = await AuditWriter.open(parts);
  return {
    record: (event) => writer.record(event),
    async list({ kind, actor, transactionId, limit, below }) {
      await writer.flush();
      const lines: AuditLine[] = [];
      let seen = 0;
      for await (const line of table.backwards(below ?? writer.head.no + 1)) {
        const wanted =
          (kind === undefined || line.kind === kind) &&
          (actor === undefined || line.actor === actor) &&
          (transactionId === undefined || line.transactionId === transactionId);
        if (wanted) lines.push(line);
        if (lines.length >= limit || ++seen >= SCAN)
          return line.no > writer.base.no + 1 ? { lines, cursor: line.no } : { lines };
      }
      return { lines };
    },
    async verify() {
      await writer.flush();
      const { base } = writer;
      const heads = (await parts.signedHeads()).filter(({ no }) => no > base.no);
      return checkChain(table.read(base.no + 1), base, [...heads, await table.head()]);
    },
    async sign() {
      await writer.flush();
      const before = writer.head.no;
      if (before === 0) return;
      writer.record(signingEvent(parts.salt()));
      await writer.flush();
      // While the disk does not write, the head is the one that was shown before: it would say that nothing has happened since.
      if (writer.head.no > before) await parts.signHead(writer.head);
    },
    stop: () => writer.stop(),
  };
}
