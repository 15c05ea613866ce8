import { attachmentsOf } from '../protocols/market/attachment.ts';
import type { RecordChange } from '../protocols/ledger/ports.ts';
import { isLive, type RecordState } from '../protocols/open-dialog/record.ts';
import { sha256Hex } from '../protocols/wire/bytes.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import type { Channel } from '../protocols/wire/ids.ts';
import type { Database } from './database.ts';
import { attachmentIndex } from './indexes.ts';
import { type BatchOp, fullKey, innerKey, range, timeKey } from './keyspace.ts';
import { putJson, verifiedJson, verifyChecksum, withChecksum } from './values.ts';

/** Bytes by their hash; why they are held; uploads by the time at which somebody must have named them; hashes that a record named until lately. */
const BYTES = 'b';
const HELD = 'h';
const EXPIRES = 'e';
const LOST = 'g';
const HASH_CHARACTERS = 64;

/** An upload that nothing names is dropped after so long, milliseconds: a client uploads first and names it in its next request. */
export const UNNAMED_MS = 24 * 60 * 60_000;
/** The least that an attachment counts as, bytes: its rows and its share of a table, so that a quota bounds their number too. */
const LEAST_CHARGE = 4096;
/** Hashes that one batch looks at: each is a few reads. */
const COLLECTED_AT_ONCE = 32;

/** Why bytes are held: for a channel, because its records name them, or as an upload here, which own records may name in any. */
export interface Holding {
  /** Whose quota they count in: the author of the record, or this node for an upload. */
  readonly author: PeerId;
  readonly size: number;
  /** When they came, milliseconds since 1970. */
  readonly at: number;
  /** Of an upload: who has sent these bytes, and so may name them. An operator may name any. */
  readonly users?: readonly string[];
}

/** Users remembered of one upload; the first are forgotten first. */
const MOST_USERS = 16;

/** The channel of uploads: no record has it. */
const UPLOADS = '';

/** Attachments: bytes by their hash, each once, and for whom they are held. In no feed and no digest. */
export class AttachmentTable {
  readonly #db: Database;
  /** Bytes that each author is charged with; undefined until somebody asks. */
  #charged: Promise<Map<string, number>> | undefined;

  constructor(db: Database) {
    this.#db = db;
  }

  /** Whatever is kept in memory is read anew: the database was reopened. */
  forget(): void {
    this.#charged = undefined;
  }

  /** The bytes, when they are here and whole. */
  async bytes(sha256: string): Promise<Uint8Array | undefined> {
    const key = fullKey('attachments', BYTES + sha256);
    const stored = await this.#db.level.get(key);
    return stored && intact(key, stored);
  }

  /** Whether they are held for this channel. */
  async isHeld(sha256: string, channel: Channel): Promise<boolean> {
    return (await this.#holding(sha256, channel)) !== undefined;
  }

  upload(sha256: string): Promise<Holding | undefined> {
    return this.#holding(sha256, UPLOADS);
  }

  async #holding(sha256: string, channel: string): Promise<Holding | undefined> {
    const key = heldKey(sha256, channel);
    const stored = await this.#db.level.get(key);
    return stored && opened(key, stored);
  }

  /** What an author is charged with. */
  async charged(author: string): Promise<number> {
    return (await this.#sums()).get(author) ?? 0;
  }

  /** Bytes as they are charged. */
  charge(size: number): number {
    return Math.max(size, LEAST_CHARGE);
  }

  #sums(): Promise<Map<string, number>> {
    this.#charged ??= this.#readSums().catch((error: unknown) => {
      this.#charged = undefined; // the next one who asks may find the disk again
      throw error;
    });
    return this.#charged;
  }

  async #readSums(): Promise<Map<string, number>> {
    const sums = new Map<string, number>();
    for await (const [key, value] of this.#db.level.iterator(range('attachments', HELD))) {
      const holding = opened(key, value);
      if (holding !== undefined) this.#add(sums, holding, 1);
    }
    return sums;
  }

  #add(sums: Map<string, number>, { author, size }: Holding, sign: 1 | -1): void {
    sums.set(author, (sums.get(author) ?? 0) + sign * this.charge(size));
  }

  /** Keeps what a user of this node sends; on the disk when it resolves. Throws `disk-full`, `storage-failed`. */
  async keepUpload(
    sha256: string,
    bytes: Uint8Array,
    self: PeerId,
    user: string,
    now: number,
  ): Promise<void> {
    const key = heldKey(sha256, UPLOADS);
    const sums = await this.#sums();
    let fresh: Holding | undefined;
    await this.#db.batch(async () => {
      const stored = await this.#db.level.get(key);
      const known = stored && opened(key, stored);
      const others = (known?.users ?? []).filter((each) => each !== user);
      const users = [...others, user].slice(-MOST_USERS);
      const holding: Holding = { author: self, size: bytes.length, at: now, users };
      fresh = known === undefined ? holding : undefined;
      return [
        ...(await this.#bytesRow(sha256, bytes)),
        putJson(key, holding),
        putJson(fullKey('attachments', EXPIRES + timeKey(now + UNNAMED_MS) + sha256), true),
      ];
    }, true);
    if (fresh !== undefined) this.#add(sums, fresh, 1);
  }

  /** Keeps what a peer has given for a record of this author in this channel. Not waited for: it can be asked for again. */
  async keepFetched(
    sha256: string,
    bytes: Uint8Array,
    { author, channel }: { readonly author: PeerId; readonly channel: Channel },
    now: number,
  ): Promise<void> {
    const key = heldKey(sha256, channel);
    const sums = await this.#sums();
    const holding: Holding = { author, size: bytes.length, at: now };
    let isFresh = false;
    await this.#db.batch(async () => {
      const rows = await this.#bytesRow(sha256, bytes);
      const named = await this.#isNamed(sha256, channel);
      // It may have gone while it was on its way.
      if (!named) return [];
      isFresh = (await this.#db.level.get(key)) === undefined;
      return isFresh ? [...rows, putJson(key, holding)] : rows;
    }, false);
    if (isFresh) this.#add(sums, holding, 1);
  }

  /** Written anew where they are damaged. */
  async #bytesRow(sha256: string, bytes: Uint8Array): Promise<BatchOp[]> {
    const key = fullKey('attachments', BYTES + sha256);
    if ((await this.bytes(sha256)) !== undefined) return [];
    return [{ type: 'put', key, value: withChecksum(key, bytes) }];
  }

  /** Uploads of a user that nothing names yet, up to `limit`. */
  async unnamed(user: string, self: PeerId, limit: number): Promise<number> {
    const found = new Set<string>();
    for await (const key of this.#db.level.keys(range('attachments', EXPIRES))) {
      const sha256 = key.slice(-HASH_CHARACTERS);
      if (found.has(sha256)) continue;
      const holding = await this.upload(sha256);
      if (holding?.users?.includes(user) !== true || (await this.#isNamedByOwn(sha256, self))) continue;
      if (found.add(sha256).size >= limit) break;
    }
    return found.size;
  }

  /** What a commit leaves of attachments that its records name no more. */
  rows(changes: readonly RecordChange[], now: number): BatchOp[] {
    return changes.flatMap(({ before, after }) => {
      const lost = namedBy(before);
      for (const sha256 of namedBy(after)) lost.delete(sha256);
      return [...lost].map((sha256) => putJson(fullKey('attachments', LOST + sha256), now));
    });
  }

  /** Whether a commit leaves any. */
  leaves(changes: readonly RecordChange[]): boolean {
    return this.rows(changes, 0).length > 0;
  }

  /**
   * Drops what nothing names any more, and uploads that nobody has named in time. What is cut off is done the next time: what is to be
   * looked at stands on the disk.
   */
  async collect(self: PeerId, now: number): Promise<void> {
    const due = {
      ...range('attachments', EXPIRES),
      lt: fullKey('attachments', EXPIRES + timeKey(Math.max(0, now))),
    };
    for (const rows of [range('attachments', LOST), due])
      for (let more = true; more;) {
        const gone: Holding[] = [];
        await this.#db.batch(async () => {
          const keys = await this.#db.level.keys({ ...rows, limit: COLLECTED_AT_ONCE }).all();
          more = keys.length === COLLECTED_AT_ONCE;
          const ops: BatchOp[] = [];
          for (const key of keys) ops.push(...(await this.#collected(key, self, now, gone)));
          return ops;
        }, true);
        const sums = await this.#sums();
        for (const holding of gone) this.#add(sums, holding, -1);
      }
  }

  async #collected(row: string, self: PeerId, now: number, gone: Holding[]): Promise<BatchOp[]> {
    const sha256 = row.slice(-HASH_CHARACTERS);
    const stored = await this.#db.level.get(row);
    const isLost = innerKey(row).startsWith(LOST);
    const lostAt = isLost && stored !== undefined ? timeIn(row, stored) : undefined;
    return [{ type: 'del', key: row }, ...(await this.#unneeded(sha256, { self, now, lostAt }, gone))];
  }

  /** The rows of an attachment that are to go. */
  async #unneeded(
    sha256: string,
    {
      self,
      now,
      lostAt = -Infinity,
    }: { readonly self: PeerId; readonly now: number; readonly lostAt?: number | undefined },
    gone: Holding[],
  ): Promise<BatchOp[]> {
    const ops: BatchOp[] = [];
    let kept = 0;
    for await (const [key, value] of this.#db.level.iterator(range('attachments', `${HELD}${sha256}\0`))) {
      const channel = innerKey(key).slice(HELD.length + HASH_CHARACTERS + 1);
      const holding = opened(key, value);
      // One that was named is waited for no longer; one that came since is new.
      const isYoung = holding !== undefined && holding.at > Math.max(lostAt, now - UNNAMED_MS);
      const isNeeded =
        channel === UPLOADS
          ? isYoung || (await this.#isNamedByOwn(sha256, self))
          : await this.#isNamed(sha256, channel as Channel);
      if (isNeeded && holding !== undefined) kept++;
      else {
        ops.push({ type: 'del', key });
        if (holding !== undefined) gone.push(holding);
      }
    }
    if (kept === 0) ops.push({ type: 'del', key: fullKey('attachments', BYTES + sha256) });
    return ops;
  }

  async #isNamed(sha256: string, channel: Channel): Promise<boolean> {
    return this.#isAny(attachmentIndex(sha256, channel));
  }

  async #isAny(start: string): Promise<boolean> {
    return (await this.#db.level.keys({ ...range('index', start), limit: 1 }).all()).length > 0;
  }

  /** Whether a record of this node names it, whatever the channel. */
  async #isNamedByOwn(sha256: string, self: PeerId): Promise<boolean> {
    const all = range('index', attachmentIndex(sha256));
    for (let from = all.gte; ;) {
      const [key] = await this.#db.level.keys({ gte: from, lt: all.lt, limit: 1 }).all();
      if (key === undefined) return false;
      const ofChannel = key.slice(0, key.lastIndexOf('\0') + 1);
      for (const collection of ['listings', 'messages'])
        if (await this.#isAny(innerKey(ofChannel) + `${collection}/${self}/`)) return true;
      from = `${ofChannel}\u{10ffff}`;
    }
  }

  /**
   * Looks at every attachment: bytes that do not have their hash go, to be fetched anew, and so does what nothing names and no row says so
   * (after a rebuild). `wrong` is told of each.
   */
  async check(
    self: PeerId,
    now: number,
    wrong: (key: string, kind: 'damaged' | 'surplus') => void,
    pace: () => Promise<void>,
  ): Promise<void> {
    let last = '';
    for (;;) {
      const { gte, lt } = range('attachments', HELD);
      const [row] = await this.#db.level
        .keys({ ...(last === '' ? { gte } : { gt: last }), lt, limit: 1 })
        .all();
      if (row === undefined) return;
      const sha256 = innerKey(row).slice(HELD.length, HELD.length + HASH_CHARACTERS);
      last = `${fullKey('attachments', HELD + sha256)}\u{10ffff}`;
      await this.#checkOne(sha256, self, now, wrong);
      await pace();
    }
  }

  async #checkOne(
    sha256: string,
    self: PeerId,
    now: number,
    wrong: (key: string, kind: 'damaged' | 'surplus') => void,
  ): Promise<void> {
    const gone: Holding[] = [];
    await this.#db.batch(async () => {
      const key = fullKey('attachments', BYTES + sha256);
      const ops = await this.#unneeded(sha256, { self, now }, gone);
      if (ops.length > 0) wrong(key, 'surplus');
      const stored = await this.#db.level.get(key);
      if (stored !== undefined && intact(key, stored) === undefined) {
        wrong(key, 'damaged');
        ops.push({ type: 'del', key });
      }
      return ops;
    }, true);
    const sums = await this.#sums();
    for (const holding of gone) this.#add(sums, holding, -1);
  }
}

/** Keys of bytes that are not what their hash says. Reads only. */
export async function* damagedAttachments({ level }: Pick<Database, 'level'>): AsyncGenerator<string> {
  for await (const [key, value] of level.iterator(range('attachments', BYTES)))
    if (intact(key, value) === undefined) yield key;
}

function heldKey(sha256: string, channel: string): string {
  return fullKey('attachments', `${HELD}${sha256}\0${channel}`);
}

function namedBy(state: RecordState | undefined): Set<string> {
  return new Set(isLive(state) ? attachmentsOf(state).map(({ sha256 }) => sha256) : []);
}

function intact(key: string, stored: Uint8Array): Uint8Array | undefined {
  try {
    const bytes = verifyChecksum(key, stored);
    return sha256Hex(bytes) === key.slice(-HASH_CHARACTERS) ? bytes : undefined;
  } catch {
    return undefined; // as if it were not there: another holder may have it
  }
}

function opened(key: string, stored: Uint8Array): Holding | undefined {
  try {
    return verifiedJson<Holding>(key, stored);
  } catch {
    return undefined; // counted for nothing, and dropped
  }
}

function timeIn(key: string, stored: Uint8Array): number | undefined {
  try {
    return verifiedJson<number>(key, stored);
  } catch {
    return undefined; // it was lost at some time: an upload then has its day
  }
}
