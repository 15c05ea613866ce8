import type { AuditHead, AuditLine } from '../protocols/audit/chain.ts';
import { NO_LINES } from '../protocols/audit/chain.ts';
import type { Database } from './database.ts';
import { type BatchOp, fullKey, innerKey, numberKey, range } from './keyspace.ts';
import { putJson, verifiedJson } from './values.ts';

/** The first and last line of the log, stored besides the lines: a missing end shows. */
const HEAD = fullKey('meta', 'audit head');
const BASE = fullKey('meta', 'audit base');
const DIGITS = 12;

const lineKey = (no: number): string => fullKey('audit', numberKey(no, DIGITS));

/** The audit log on disk. A damaged line is read as an invalid one, so that a check names it. */
export interface AuditTable {
  head(): Promise<AuditHead>;
  /** The lines that retention has dropped end here. */
  base(): Promise<AuditHead>;
  append(lines: readonly AuditLine[]): Promise<void>;
  /** In order, from a line on. */
  read(from: number): AsyncGenerator<AuditLine>;
  /** The other way round, from below a line. */
  backwards(below: number): AsyncGenerator<AuditLine>;
  /** Drops the lines up to and including `to`, and keeps its hash as the base. */
  drop(to: AuditHead): Promise<void>;
}

export function auditTable(db: Database): AuditTable {
  async function place(key: string): Promise<AuditHead> {
    const value = await db.level.get(key);
    return value === undefined ? NO_LINES : verifiedJson<AuditHead>(key, value);
  }
  function lineOf(key: string, value: Uint8Array): AuditLine {
    try {
      return verifiedJson<AuditLine>(key, value);
    } catch {
      const no = Number.parseInt(innerKey(key), 16);
      return { no, at: 0, prev: '', hash: 'damaged', kind: 'operator', actor: '' };
    }
  }
  return {
    head: () => place(HEAD),
    base: () => place(BASE),
    async append(lines) {
      const last = lines.at(-1);
      if (last === undefined) return;
      const ops: BatchOp[] = lines.map((line) => {
        return putJson(lineKey(line.no), line);
      });
      ops.push(putJson(HEAD, { no: last.no, hash: last.hash }));
      await db.batch(ops, false);
    },
    async *read(from) {
      const bounds = { gte: lineKey(from), lt: range('audit').lt };
      for await (const [key, value] of db.level.iterator(bounds)) yield lineOf(key, value);
    },
    async *backwards(below) {
      const bounds = { gte: range('audit').gte, lt: lineKey(below), reverse: true };
      for await (const [key, value] of db.level.iterator(bounds)) yield lineOf(key, value);
    },
    async drop(to) {
      const ops: BatchOp[] = [putJson(BASE, to)];
      for await (const key of db.level.keys({ gte: range('audit').gte, lte: lineKey(to.no) }))
        ops.push({ type: 'del', key });
      await db.batch(ops, true);
    },
  };
}
