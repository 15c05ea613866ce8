import { LRUCache } from 'lru-cache';
import { attachmentsOf } from '../protocols/market/attachment.ts';
import type { RecordChange } from '../protocols/ledger/ports.ts';
import { atMost } from '../protocols/lru-bound.ts';
import { isLive, type RecordState } from '../protocols/open-dialog/record.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import type { Channel } from '../protocols/wire/ids.ts';
import type { Needs, NeedsAsked } from './attachment-needs.ts';
import {
  bytesKey,
  claimed,
  claimsOf,
  EXPIRES,
  expires,
  HASH_CHARACTERS,
  HELD,
  heldKey,
  type Holding,
  intact,
  LOST,
  lostKey,
  UNNAMED_MS,
  UPLOADS,
  used,
} from './attachment-rows.ts';
import type { Database } from './database.ts';
import { type BatchOp, fullKey, innerKey, range, timeKey } from './keyspace.ts';
import { putJson, soundJson, withChecksum } from './values.ts';

/** The least that an attachment counts as, bytes: its rows and its share of a table, so that a quota bounds their number too. */
const LEAST_CHARGE = 4096;
/** Hashes that one batch looks at: each is a few reads. */
const COLLECTED_AT_ONCE = 32;
/** Uploads of this process whose age is known whatever the clock says; more than a day brings are judged by the clock. */
const AGES_KEPT = 16_384;
/** How long a request may take from naming an upload to the commit of its record, milliseconds: it is not dropped in between. */
const NAMING_MS = 60_000;

/** Loaded with the first attachment: many nodes never see one. */
const reasons = () => import('./attachment-needs.ts');

/** Ops, and holdings that come or go with them. */
type Change = Pick<Needs, 'ops' | 'changes'>;

/** An upload that comes. */
export interface Upload {
  readonly sha256: string;
  readonly bytes: Uint8Array;
  readonly self: PeerId;
  /** Empty for the operator. */
  readonly user: string;
  /** Named at once, by the message that it came in. */
  readonly isUsed: boolean;
}

/** Attachments: bytes by their hash, each once, and for whom they are held. In no feed and no digest. */
export class AttachmentTable {
  readonly #db: Database;
  /** Bytes that each author is charged with; undefined until somebody asks. */
  #charged: Promise<Map<string, number>> | undefined;
  /** When uploads of this process came, by the monotonic clock: the other may have been wrong then, or be wrong now. */
  readonly #came = new LRUCache<string, number>(atMost(AGES_KEPT));
  /** Uploads that requests under way name, each with the times until which these may take. */
  readonly #naming = new Map<string, number[]>();

  constructor(db: Database) {
    this.#db = db;
  }

  /** Whatever is kept in memory of the rows is read anew: the database was reopened. */
  forget(): void {
    this.#charged = undefined;
  }

  /** The bytes, when they are here and whole. */
  async bytes(sha256: string): Promise<Uint8Array | undefined> {
    const key = bytesKey(sha256);
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
    return soundJson<Holding>(key, await this.#db.level.get(key));
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
      const holding = soundJson<Holding>(key, value);
      if (holding !== undefined) this.#add(sums, holding, 1);
    }
    return sums;
  }

  #add(sums: Map<string, number>, { author, size }: Holding, sign: 1 | -1): void {
    sums.set(author, (sums.get(author) ?? 0) + sign * this.charge(size));
  }

  /** One batch and what it changes in the sums, which are read first: read after it they would have the change already. */
  async change(make: () => Promise<Change>, sync: boolean): Promise<void> {
    const sums = await this.#sums();
    let changes: Needs['changes'] = [];
    await this.#db.batch(async () => {
      const made = await make();
      ({ changes } = made);
      return [...made.ops];
    }, sync);
    for (const [holding, sign] of changes) this.#add(sums, holding, sign);
  }

  /** Keeps what a user of this node sends; on the disk when it resolves. Throws `disk-full`, `storage-failed`. */
  async keepUpload({ sha256, bytes, self, user, isUsed }: Upload, now: number): Promise<void> {
    await this.change(async () => {
      const known = await this.upload(sha256);
      const at = Math.max(now, known?.at ?? 0);
      const claims = claimed(claimsOf(known), { user, at: now, isUsed });
      const holding: Holding = { author: self, size: bytes.length, at, claims };
      const row = expires(sha256, at + UNNAMED_MS);
      const old = known && expires(sha256, known.at + UNNAMED_MS).key;
      this.#came.set(sha256, this.#db.env.monotonic());
      if (isUsed) this.#pin(sha256);
      return {
        ops: [
          ...(await this.#bytesRow(sha256, bytes)),
          putJson(heldKey(sha256, UPLOADS), holding),
          ...(old === undefined || old === row.key ? [] : [{ type: 'del' as const, key: old }]),
          row,
        ],
        changes: known === undefined ? [[holding, 1]] : [],
      };
    }, true);
  }

  /**
   * Whether there is such an upload that this user may name; an operator may name any. From then on it goes with the last record that names
   * it, and not before the record of this request has had time to be written.
   */
  async claim(
    sha256: string,
    { user, operator }: { readonly user?: string | undefined; readonly operator: boolean },
  ): Promise<boolean> {
    let isThere = false;
    await this.#db.batch(async () => {
      const known = await this.upload(sha256);
      const claims = claimsOf(known);
      if (known === undefined || !(operator || claims.some((each) => each.user === user))) return [];
      isThere = true;
      this.#pin(sha256);
      const next = used(claims, user ?? '');
      const isSame = next.every(({ isUsed }, i) => isUsed === claims[i]?.isUsed);
      return isSame ? [] : [putJson(heldKey(sha256, UPLOADS), { ...known, claims: next })];
    }, false);
    return isThere;
  }

  /** Keeps what a peer has given for a record of this node. Not waited for, and not kept when no such record names it any more. */
  async keepOwn(sha256: string, bytes: Uint8Array, self: PeerId, now: number): Promise<void> {
    await this.#keepNamed(sha256, UPLOADS, bytes, { author: self, size: bytes.length, at: now, claims: [] });
  }

  /** Keeps what a peer has given for a record of this author in this channel. Not waited for: it can be asked for again. */
  async keepFetched(
    sha256: string,
    bytes: Uint8Array,
    { author, channel }: { readonly author: PeerId; readonly channel: Channel },
    now: number,
  ): Promise<void> {
    await this.#keepNamed(sha256, channel, bytes, { author, size: bytes.length, at: now });
  }

  async #keepNamed(sha256: string, channel: string, bytes: Uint8Array, holding: Holding): Promise<void> {
    await this.change(async () => {
      const { isNamed, isNamedByOwn } = await reasons();
      // It may have gone while it was on its way.
      const named =
        channel === UPLOADS
          ? await isNamedByOwn(this.#db, sha256, holding.author)
          : await isNamed(this.#db, sha256, channel as Channel);
      if (!named) return { ops: [], changes: [] };
      const rows = await this.#bytesRow(sha256, bytes);
      if ((await this.#holding(sha256, channel)) !== undefined) return { ops: rows, changes: [] };
      return { ops: [...rows, putJson(heldKey(sha256, channel), holding)], changes: [[holding, 1]] };
    }, false);
  }

  /** Written anew where they are damaged. */
  async #bytesRow(sha256: string, bytes: Uint8Array): Promise<BatchOp[]> {
    if ((await this.bytes(sha256)) !== undefined) return [];
    const key = bytesKey(sha256);
    return [{ type: 'put', key, value: withChecksum(key, bytes) }];
  }

  /** Uploads of a user that nothing names yet, up to `limit`; without the one that is sent again. */
  async unnamed(user: string, self: PeerId, limit: number, again: string): Promise<number> {
    const { isNamedByOwn } = await reasons();
    const found = new Set<string>();
    for await (const key of this.#db.level.keys(range('attachments', EXPIRES))) {
      const sha256 = key.slice(-HASH_CHARACTERS);
      if (found.has(sha256) || sha256 === again) continue;
      const claims = claimsOf(await this.upload(sha256));
      if (!claims.some((each) => each.user === user) || (await isNamedByOwn(this.#db, sha256, self)))
        continue;
      if (found.add(sha256).size >= limit) break;
    }
    return found.size;
  }

  /** What a commit leaves of attachments that its records name no more. */
  rows(changes: readonly RecordChange[], now: number): BatchOp[] {
    return changes.flatMap(({ before, after }) => {
      const lost = namedBy(before);
      for (const sha256 of namedBy(after)) lost.delete(sha256);
      return [...lost].map((sha256) => putJson(lostKey(sha256), now));
    });
  }

  /** After a commit: whether it left any. What a request has named in it stands in the index now. */
  committed(changes: readonly RecordChange[]): boolean {
    for (const { before, after } of changes) {
      const known = namedBy(before);
      for (const sha256 of namedBy(after)) if (!known.has(sha256)) this.#unpin(sha256);
    }
    return this.rows(changes, 0).length > 0;
  }

  #pin(sha256: string): void {
    this.#naming.set(sha256, [...(this.#naming.get(sha256) ?? []), this.#db.env.monotonic() + NAMING_MS]);
  }

  #unpin(sha256: string): void {
    const rest = (this.#naming.get(sha256) ?? []).slice(1);
    if (rest.length === 0) this.#naming.delete(sha256);
    else this.#naming.set(sha256, rest);
  }

  #isPinned(sha256: string): boolean {
    const now = this.#db.env.monotonic();
    const rest = (this.#naming.get(sha256) ?? []).filter((until) => until > now);
    if (rest.length === 0) this.#naming.delete(sha256);
    return rest.length > 0;
  }

  /**
   * Drops what nothing names any more, and uploads that nobody has named in time. What is cut off is done the next time: what is to be
   * looked at stands on the disk. Resolves with whether some is left, as requests under way name it.
   */
  async collect(self: PeerId, now: number): Promise<boolean> {
    const due = {
      ...range('attachments', EXPIRES),
      lt: fullKey('attachments', EXPIRES + timeKey(Math.max(0, now))),
    };
    let left = false;
    for (const rows of [range('attachments', LOST), due])
      for (let after: string | undefined, more = true; more;)
        await this.change(async () => {
          const from = after === undefined ? rows : { gt: after, lt: rows.lt };
          const keys = await this.#db.level.keys({ ...from, limit: COLLECTED_AT_ONCE }).all();
          more = keys.length === COLLECTED_AT_ONCE;
          after = keys.at(-1);
          const free = keys.filter((key) => !this.#isPinned(key.slice(-HASH_CHARACTERS)));
          left ||= free.length < keys.length;
          return this.#collected(free, self, now);
        }, true);
    return left;
  }

  /** What rows that ask for a look lead to: each attachment is looked at once, however many ask. */
  async #collected(keys: readonly string[], self: PeerId, now: number): Promise<Change> {
    const ops: BatchOp[] = keys.map((key) => ({ type: 'del', key }));
    const changes: (readonly [Holding, 1 | -1])[] = [];
    const looked = new Set<string>();
    for (const key of keys) {
      const sha256 = key.slice(-HASH_CHARACTERS);
      if (looked.has(sha256)) continue;
      looked.add(sha256);
      const isLost = innerKey(key).startsWith(LOST);
      const needs = await this.needs(sha256, { self, now, isLost });
      ops.push(...needs.ops);
      changes.push(...needs.changes);
      if (!isLost && needs.until !== undefined) ops.push(expires(sha256, needs.until));
    }
    return { ops, changes };
  }

  /** What is to be done about one. */
  async needs(sha256: string, asked: Omit<NeedsAsked, 'youngMs'>): Promise<Needs> {
    const { needsOf } = await reasons();
    const came = this.#came.get(sha256) ?? -Infinity;
    const youngMs = Math.max(0, came + UNNAMED_MS - this.#db.env.monotonic());
    return needsOf(this.#db, sha256, { ...asked, youngMs });
  }

  /** Whether it is looked at without a check: a commit has asked for that, or a request under way names it. */
  async isAwaited(sha256: string): Promise<boolean> {
    return (await this.#db.level.get(lostKey(sha256))) !== undefined || this.#isPinned(sha256);
  }
}

function namedBy(state: RecordState | undefined): Set<string> {
  return new Set(isLive(state) ? attachmentsOf(state).map(({ sha256 }) => sha256) : []);
}
