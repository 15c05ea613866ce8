import type { PeerId } from '../protocols/wire/identity.ts';
import type { Needs } from './attachment-needs.ts';
import { BYTES, bytesKey, HASH_CHARACTERS, HELD, type Holding, intact } from './attachment-rows.ts';
import type { AttachmentTable } from './attachment-table.ts';
import type { Database } from './database.ts';
import { type BatchOp, fullKey, innerKey, range } from './keyspace.ts';
import { soundJson } from './values.ts';

/** What is wrong with an attachment: other bytes than its hash says, none, or such as nothing says why they are held. */
export type AttachmentFault = 'damaged' | 'missing' | 'surplus';
type Told = (key: string, kind: AttachmentFault) => void;
type Level = Database['level'];

export interface AttachmentCheckParts {
  readonly db: Pick<Database, 'level'>;
  readonly table: AttachmentTable;
  readonly self: PeerId;
  readonly now: () => number;
}

/**
 * Looks at every attachment: bytes that do not have their hash go, to be fetched anew, and so does what nothing names and no row says so
 * (after a rebuild); what says why own bytes are held is made anew. `wrong` is told of each.
 */
export async function checkAttachments(
  parts: AttachmentCheckParts,
  wrong: Told,
  pace: () => Promise<void>,
): Promise<void> {
  const { db, table, self, now } = parts;
  // What is to go anyway is no fault.
  await table.collect(self, now());
  for (let last = ''; ;) {
    const held = await nextHash(db.level, HELD, last);
    const stored = await nextHash(db.level, BYTES, last);
    const sha256 = held === undefined || (stored !== undefined && stored < held) ? stored : held;
    if (sha256 === undefined) return;
    last = sha256;
    await checkOne(parts, sha256, wrong);
    await pace();
  }
}

/** The first hash behind another that has such a row. */
async function nextHash(level: Level, kind: string, last: string): Promise<string | undefined> {
  const { gte, lt } = range('attachments', kind);
  const from = last === '' ? { gte } : { gt: `${fullKey('attachments', kind + last)}\u{10ffff}` };
  const [row] = await level.keys({ ...from, lt, limit: 1 }).all();
  return row === undefined ? undefined : hashIn(row);
}

const hashIn = (row: string): string => innerKey(row).slice(1, 1 + HASH_CHARACTERS);

function checkOne(
  { db, table, self, now }: AttachmentCheckParts,
  sha256: string,
  wrong: Told,
): Promise<void> {
  return table.change(async () => {
    const key = bytesKey(sha256);
    const stored = await db.level.get(key);
    if (stored === undefined || intact(key, stored) === undefined) {
      wrong(key, stored === undefined ? 'missing' : 'damaged');
      return allOf(db.level, sha256);
    }
    if (await table.isAwaited(sha256)) return { ops: [], changes: [] };
    const needs = await table.needs(sha256, { self, now: now(), isLost: false });
    const made = needs.ops.find(({ type }) => type === 'put');
    if (made !== undefined) wrong(made.key, 'missing');
    else if (needs.ops.length > 0) wrong(key, 'surplus');
    return needs;
  }, true);
}

/** Whatever is kept of an attachment goes. */
async function allOf(level: Level, sha256: string): Promise<Pick<Needs, 'ops' | 'changes'>> {
  const ops: BatchOp[] = [{ type: 'del', key: bytesKey(sha256) }];
  const changes: [Holding, -1][] = [];
  for await (const [key, value] of level.iterator(range('attachments', `${HELD}${sha256}\0`))) {
    ops.push({ type: 'del', key });
    const holding = soundJson<Holding>(key, value);
    if (holding !== undefined) changes.push([holding, -1]);
  }
  return { ops, changes };
}

/** What is wrong with attachments, by their hash. Reads only. */
export async function* attachmentFaults({
  level,
}: Pick<Database, 'level'>): AsyncGenerator<{ readonly sha256: string; readonly kind: AttachmentFault }> {
  const held = new Set<string>();
  for await (const key of level.keys(range('attachments', HELD))) held.add(hashIn(key));
  for await (const [key, value] of level.iterator(range('attachments', BYTES))) {
    const sha256 = hashIn(key);
    if (intact(key, value) === undefined) yield { sha256, kind: 'damaged' };
    else if (!held.has(sha256)) yield { sha256, kind: 'surplus' };
    held.delete(sha256);
  }
  for (const sha256 of held) yield { sha256, kind: 'missing' };
}
