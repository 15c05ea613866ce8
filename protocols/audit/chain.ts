import { createHash } from 'node:crypto';
import type { Json } from '../wire/json.ts';

/** What is logged, before it has its place in the chain. */
export interface AuditEvent {
  readonly kind: AuditKind;
  /** Who did it: a key id, `user@peer-id`, a node id, or `node` for the node itself. */
  readonly actor: string;
  /** What it was done to: a record's public id, a node id, a key id. */
  readonly subject?: string;
  /** Of the old API: lines about one contract are found by it. */
  readonly transactionId?: string;
  readonly note?: string;
  /** Small and free of texts of others: counts, codes, hashes. */
  readonly detail?: { readonly [name: string]: Json };
}

export const AUDIT_KINDS = [
  'import',
  'refusal',
  'rating',
  'key',
  'registration',
  'suspension',
  'contract',
  'ping',
  'dialog',
  'erasure',
  'operator',
  'write',
] as const;
export type AuditKind = (typeof AUDIT_KINDS)[number];

/** A line of the log. Each holds the hash of the one before, so none can be changed, removed or put in unseen. */
export interface AuditLine extends AuditEvent {
  /** Counted from 1 without gaps. */
  readonly no: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Hash of the line before, hex; 64 zeros before the first. */
  readonly prev: string;
  readonly hash: string;
}

/** A place in the log: the line `no`, and its hash. */
export interface AuditHead {
  readonly no: number;
  readonly hash: string;
}

export const NO_LINES: AuditHead = { no: 0, hash: '0'.repeat(64) };

/**
 * The line whose hash is signed in public. The salt makes that hash say nothing: whoever knows the one before cannot try whether anything
 * was logged in between.
 *
 * @param salt 16 random bytes, hex
 */
export function signingEvent(salt: string): AuditEvent {
  return { kind: 'operator', actor: 'node', note: 'head signed', detail: { salt } };
}

/** The line that follows. */
export function nextLine(head: AuditHead, event: AuditEvent, at: number): AuditLine {
  const line = { no: head.no + 1, at, prev: head.hash, ...event };
  return { ...line, hash: lineHash(line) };
}

/** SHA-256, hex, over the JSON list of the line's fields in a fixed order; what is absent is null. */
export function lineHash(line: Omit<AuditLine, 'hash'>): string {
  const { no, at, prev, kind, actor, subject, transactionId, note, detail } = line;
  const fields = [no, at, prev, kind, actor, subject, transactionId, note, ordered(detail)];
  return createHash('sha256')
    .update(JSON.stringify(fields.map((field) => field ?? null)))
    .digest('hex');
}

/** Names sorted at every depth, so that equal details have equal bytes. */
function ordered(value: Json | { readonly [name: string]: Json } | undefined): Json | undefined {
  if (Array.isArray(value)) return value.map((each) => ordered(each) ?? null);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([name, each]) => [name, ordered(each) ?? null]));
}

/** What is wrong, and from which line on. */
export interface AuditProblem {
  readonly line: number;
  readonly problem: 'changed' | 'missing' | 'inserted' | 'cut-off' | 'head-differs';
}

/**
 * Follows the chain from a base (what retention dropped ends there) and holds it against heads that were noted elsewhere: in the
 * database's own record of the end, and signed in the node's feed. Gives every problem found, the first at its line.
 */
export async function checkChain(
  lines: AsyncIterable<AuditLine> | Iterable<AuditLine>,
  base: AuditHead,
  heads: readonly AuditHead[],
): Promise<{ readonly count: number; readonly head: AuditHead; readonly problems: AuditProblem[] }> {
  const problems: AuditProblem[] = [];
  const expected = new Map(heads.map(({ no, hash }) => [no, hash]));
  let head = base;
  let count = 0;
  for await (const line of lines) {
    count++;
    if (line.no > head.no + 1) problems.push({ line: head.no + 1, problem: 'missing' });
    else if (line.no <= head.no) problems.push({ line: line.no, problem: 'inserted' });
    else if (line.prev !== head.hash) problems.push({ line: line.no, problem: 'changed' });
    if (lineHash(line) !== line.hash) problems.push({ line: line.no, problem: 'changed' });
    const signed = expected.get(line.no);
    if (signed !== undefined && signed !== line.hash)
      problems.push({ line: line.no, problem: 'head-differs' });
    head = { no: line.no, hash: line.hash };
  }
  const last = Math.max(0, ...heads.map(({ no }) => no));
  if (head.no < last) problems.push({ line: head.no + 1, problem: 'cut-off' });
  return { count, head, problems };
}
