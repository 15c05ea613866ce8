import type { PeerId } from '../protocols/wire/identity.ts';
import type { Channel } from '../protocols/wire/ids.ts';
import {
  bytesKey,
  claimsOf,
  HASH_CHARACTERS,
  HELD,
  heldKey,
  type Holding,
  intact,
  UPLOADS,
  waitedUntil,
} from './attachment-rows.ts';
import type { Database } from './database.ts';
import { attachmentIndex } from './indexes.ts';
import { type BatchOp, innerKey, range } from './keyspace.ts';
import { putJson, soundJson } from './values.ts';

/** What is to be done about one attachment. */
export interface Needs {
  readonly ops: readonly BatchOp[];
  /** What charges change by: holdings that go, and such as are made anew. */
  readonly changes: readonly (readonly [Holding, 1 | -1])[];
  /** Until when an upload is waited for that nothing names. */
  readonly until?: number | undefined;
}

export interface NeedsAsked {
  readonly self: PeerId;
  readonly now: number;
  /** A record that named it names it no more. */
  readonly isLost: boolean;
  /** How long an upload of this process still has, whatever the wall clock says, milliseconds. */
  readonly youngMs: number;
}

type Reads = Pick<Database, 'level'>;

/** Whether a record of this channel names it. */
export async function isNamed({ level }: Reads, sha256: string, channel: Channel): Promise<boolean> {
  return isAny(level, attachmentIndex(sha256, channel));
}

/** Whether a record of this node names it, whatever the channel. */
export async function isNamedByOwn({ level }: Reads, sha256: string, self: PeerId): Promise<boolean> {
  const all = range('index', attachmentIndex(sha256));
  for (let from = all.gte; ;) {
    const [key] = await level.keys({ gte: from, lt: all.lt, limit: 1 }).all();
    if (key === undefined) return false;
    const ofChannel = key.slice(0, key.lastIndexOf('\0') + 1);
    for (const collection of ['listings', 'messages'])
      if (await isAny(level, innerKey(ofChannel) + `${collection}/${self}/`)) return true;
    from = `${ofChannel}\u{10ffff}`;
  }
}

async function isAny(level: Reads['level'], start: string): Promise<boolean> {
  return (await level.keys({ ...range('index', start), limit: 1 }).all()).length > 0;
}

/** Which rows of an attachment are to go: holdings that nothing needs, and with the last of them the bytes. */
export async function needsOf(db: Reads, sha256: string, asked: NeedsAsked): Promise<Needs> {
  const ops: BatchOp[] = [];
  const changes: [Holding, 1 | -1][] = [];
  let [rows, kept] = [0, 0];
  let until: number | undefined;
  let isUploadUnread = false;
  for await (const [key, value] of db.level.iterator(range('attachments', `${HELD}${sha256}\0`))) {
    rows++;
    const channel = innerKey(key).slice(HELD.length + HASH_CHARACTERS + 1);
    const holding = soundJson<Holding>(key, value);
    if (holding === undefined) isUploadUnread ||= channel === UPLOADS;
    const needed = holding && (await neededUntil(db, sha256, channel, holding, asked));
    if (needed === undefined) {
      ops.push({ type: 'del', key });
      if (holding !== undefined) changes.push([holding, -1]);
      continue;
    }
    kept++;
    if (needed !== Infinity) until = needed;
  }
  if (rows === 0 || isUploadUnread) {
    const made = await heldAgain(db, sha256, asked);
    if (made !== undefined) {
      ops.push(putJson(heldKey(sha256, UPLOADS), made));
      changes.push([made, 1]);
      kept++;
    }
  }
  if (kept === 0) ops.push({ type: 'del', key: bytesKey(sha256) });
  return { ops, changes, until };
}

/** Until when a holding is needed: as long as records name it, or it is waited for. Undefined when it is not. */
async function neededUntil(
  db: Reads,
  sha256: string,
  channel: string,
  holding: Holding,
  { self, now, isLost, youngMs }: NeedsAsked,
): Promise<number | undefined> {
  if (channel !== UPLOADS) return (await isNamed(db, sha256, channel as Channel)) ? Infinity : undefined;
  if (await isNamedByOwn(db, sha256, self)) return Infinity;
  return waitedUntil(claimsOf(holding), now, { isLost, youngMs });
}

/** Bytes that a record of this node names may be nowhere else: where the row that says why they are held is lost, it is made anew. */
async function heldAgain(
  { level }: Reads,
  sha256: string,
  { self, now }: NeedsAsked,
): Promise<Holding | undefined> {
  const key = bytesKey(sha256);
  const stored = await level.get(key);
  const bytes = stored && intact(key, stored);
  if (bytes === undefined || !(await isNamedByOwn({ level }, sha256, self))) return undefined;
  return { author: self, size: bytes.length, at: now, claims: [] };
}
