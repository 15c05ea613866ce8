import {
  type AuditEvent,
  type AuditHead,
  type AuditLine,
  type AuditProblem,
  checkChain,
  nextLine,
  signingEvent,
} from '../../protocols/audit/chain.ts';
import type { AuditTable } from '../../storage/audit-table.ts';

export const AUDIT_LIMITS = {
  /** Lines kept; what retention drops leaves its head behind. */
  lines: 200_000,
  /** Dropped at once: a rare, larger batch rather than one for each line. */
  dropped: 10_000,
  /** Lines waiting for a disk that does not write; beyond it the oldest are given up, and a line says so. */
  waiting: 10_000,
  /** Characters of a note. */
  noteChars: 1000,
} as const;

/** What was looked for in the log. */
export interface AuditQuery {
  readonly kind?: string | undefined;
  readonly actor?: string | undefined;
  readonly transactionId?: string | undefined;
  readonly limit: number;
  /** Only lines below this number. */
  readonly below?: number | undefined;
}

/** The hash-chained log of what operators and auditors may ask about. */
export interface AuditLog {
  /** Never blocks and never throws; lines are written in order, soon. */
  record(event: AuditEvent): void;
  /** Newest first. */
  list(query: AuditQuery): Promise<{ readonly lines: readonly AuditLine[]; readonly cursor?: number }>;
  /** Follows the whole chain, and holds it against the heads signed in the node's feed. */
  verify(): Promise<{ readonly count: number; readonly head: AuditHead; readonly problems: AuditProblem[] }>;
  /**
   * Writes what waits and signs the head into the feed, whether anything was logged since the last one or not: that there is one, and all that
   * it shows, is the same for both.
   */
  sign(): Promise<void>;
  stop(): Promise<void>;
}

export interface AuditLogParts {
  readonly table: AuditTable;
  /** Signs a head into the node's own feed; on disk when it resolves. */
  readonly signHead: (head: AuditHead) => Promise<void>;
  /** The heads found in the feed. */
  readonly signedHeads: () => Promise<readonly AuditHead[]>;
  /** 16 random bytes, hex. */
  readonly salt: () => string;
  readonly now: () => number;
  readonly onFailure: (error: unknown, waiting: number) => void;
}

/** How long a failed write waits, and how many lines one page may look at. */
const AGAIN_MS = 2000;
const SCAN = 20_000;

export async function openAuditLog(parts: AuditLogParts): Promise<AuditLog> {
  const { table, now, onFailure } = parts;
  let head = await table.head();
  let base = await table.base();
  const waiting: AuditEvent[] = [];
  let lost = 0;
  let writing: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;

  async function writeAll(): Promise<void> {
    while (waiting.length > 0 || lost > 0) {
      const events = waiting.slice(0, 256);
      const gone = lost;
      if (gone > 0) {
        const note = `${gone} lines could not be written and were given up`;
        events.unshift({ kind: 'operator', actor: 'node', note });
      }
      const lines: AuditLine[] = [];
      let end = head;
      for (const event of events) {
        const line = nextLine(end, event, now());
        lines.push(line);
        end = { no: line.no, hash: line.hash };
      }
      await table.append(lines);
      head = end;
      waiting.splice(0, events.length - (gone > 0 ? 1 : 0));
      lost -= gone;
    }
    if (head.no - base.no > AUDIT_LIMITS.lines + AUDIT_LIMITS.dropped) await dropOld();
  }

  async function dropOld(): Promise<void> {
    const to = head.no - AUDIT_LIMITS.lines;
    for await (const line of table.read(to)) {
      base = { no: line.no, hash: line.hash };
      break;
    }
    await table.drop(base);
  }

  function flush(): Promise<void> {
    clearTimeout(timer);
    writing ??= writeAll()
      .catch((error: unknown) => {
        onFailure(error, waiting.length);
        timer = setTimeout(() => void flush(), AGAIN_MS).unref();
      })
      .finally(() => (writing = undefined));
    return writing;
  }

  function record(event: AuditEvent): void {
    const { note } = event;
    waiting.push(note === undefined ? event : { ...event, note: note.slice(0, AUDIT_LIMITS.noteChars) });
    if (waiting.length > AUDIT_LIMITS.waiting) {
      waiting.shift();
      lost++;
    }
    void flush();
  }

  return {
    record,
    async list({ kind, actor, transactionId, limit, below }) {
      await flush();
      const lines: AuditLine[] = [];
      let seen = 0;
      for await (const line of table.backwards(below ?? head.no + 1)) {
        const wanted =
          (kind === undefined || line.kind === kind) &&
          (actor === undefined || line.actor === actor) &&
          (transactionId === undefined || line.transactionId === transactionId);
        if (wanted) lines.push(line);
        if (lines.length >= limit || ++seen >= SCAN)
          return line.no > base.no + 1 ? { lines, cursor: line.no } : { lines };
      }
      return { lines };
    },
    async verify() {
      await flush();
      const heads = (await parts.signedHeads()).filter(({ no }) => no > base.no);
      return checkChain(table.read(base.no + 1), base, [...heads, await table.head()]);
    },
    async sign() {
      await flush();
      if (head.no === 0) return;
      const before = head.no;
      record(signingEvent(parts.salt()));
      await flush();
      // While the disk does not write, the head is the one that was shown before: it would say that nothing has happened since.
      if (head.no > before) await parts.signHead(head);
    },
    async stop() {
      await flush();
      clearTimeout(timer);
    },
  };
}
