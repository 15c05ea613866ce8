import { SerialQueue } from '../../protocols/serial-queue.ts';
import { timingSafeEqual } from 'node:crypto';
import type { Scope } from '../../api/access.ts';
import type { IssuedKey, KeyInfo, KeyRequest, Keys } from '../../api/ports/access.ts';
import type { Env, Timer } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { RegistrationKey } from '../../protocols/registry/registration-key.ts';
import type { KeyTable, StoredKey } from '../../storage/key-table.ts';
import { refuseWrongClock } from '../clock-line.ts';
import {
  datedAgain,
  endOf,
  idOf,
  infoOf,
  KEY_LIMITS,
  keyHasher,
  makeKey,
  makeRoom,
  registrationOf,
  scopesOf,
  stateOf,
} from './key-rules.ts';
import type { PreviousSecret } from '../secrets.ts';
import { oneChange } from '../write-refusal.ts';

/** What a valid key says about its holder. */
export interface KeyHolder {
  readonly id: string;
  readonly userId: string;
  readonly scopes: readonly Scope[];
  readonly registration: RegistrationKey;
}

export interface KeyRingParts {
  readonly table: KeyTable;
  /** Secret of the keyed hash. */
  readonly pepper: string;
  /** The secret before, with which keys that were not used since are hashed. */
  readonly previous?: PreviousSecret | undefined;
  readonly env: Pick<Env, 'bytes' | 'after'>;
  readonly now: () => number;
  /** The clock as the machine shows it; default `now`. No key is made while that cannot be. */
  readonly wall?: () => number;
  /** Why nothing may be written now: uses are then noted later, and changes refused with it. */
  readonly refusal: () => AgrinetError | undefined;
  /** An error of a write in the background. */
  readonly onError: (error: unknown) => void;
}

/** Uses are written this long after the first, so that requests need no fsync or batch each. */
const USES_MS = 30_000;

/**
 * The API keys of this node, all in memory: looking one up is one get, and one HMAC the first time. Changes run one after the other, and memory
 * moves only when they are on disk. `reload` after the database was reopened, `stop` writes what uses are still to be noted.
 */
export class KeyRing implements Keys {
  readonly #parts: KeyRingParts;
  readonly #hashOf: (key: string) => Buffer;
  readonly #hashedBefore: ((key: string) => Buffer) | undefined;
  /** Keys that came while their hash was still made with the secret before, by id: the new hash, hex, until it is on disk. */
  readonly #hashedAgain = new Map<string, string>();
  #rows: Map<string, StoredKey>;
  #uses = new Map<string, { count: number; last: number }>();
  /** Resolves when every change so far has ended. */
  readonly #changes = new SerialQueue();
  #timer: Timer | undefined;

  constructor(parts: KeyRingParts, rows: readonly StoredKey[]) {
    this.#parts = parts;
    this.#hashOf = keyHasher(parts.pepper);
    this.#hashedBefore = parts.previous && keyHasher(parts.previous.secret);
    this.#rows = new Map(rows.map((row) => [row.id, row]));
  }

  /** Whom a key belongs to; undefined for one that is unknown, expired or revoked. Counts as a use. */
  use(key: string): KeyHolder | undefined {
    const row = this.#find(key);
    if (row === undefined) return undefined;
    this.#note(row.id, 1, this.#parts.now());
    this.#timer ??= this.#parts.env.after(USES_MS, () => {
      this.#timer = undefined;
      this.flush().catch(this.#parts.onError);
    });
    return holderOf(row);
  }

  /** Whom the key of this id belongs to, as of now; undefined for one that has ended. No use of it. */
  holder(id: string): KeyHolder | undefined {
    const row = this.#rows.get(id);
    return row !== undefined && stateOf(row, this.#parts.now()) === 'active' ? holderOf(row) : undefined;
  }

  /** Whether a key, ended or not, is of this user. */
  isHolder(userId: string): boolean {
    return [...this.#rows.values()].some((row) => row.userId === userId);
  }

  /** Everybody to whom a key was issued. */
  holders(): ReadonlySet<string> {
    return new Set([...this.#rows.values()].map(({ userId }) => userId));
  }

  async list(query: { userId?: string | undefined; limit: number; cursor?: string | undefined }) {
    const { userId, limit, cursor } = query;
    const rows = [...this.#rows.values()]
      .filter((row) => userId === undefined || row.userId === userId)
      .filter((row) => cursor === undefined || row.id < cursor)
      .toSorted((a, b) => (a.id < b.id ? 1 : -1));
    const keys = rows.slice(0, limit).map((row) => this.#info(row));
    const last = keys.at(-1);
    return rows.length > limit && last !== undefined ? { keys, cursor: last.id } : { keys };
  }

  async issue({ userId, scopes = ['read', 'write'], expiresIn, uses }: KeyRequest): Promise<IssuedKey> {
    if (uses !== undefined && !scopes.includes('register'))
      throw new AgrinetError('fields-invalid', 'uses: only allowed for keys with the scope register');
    const wanted = expiresIn === undefined ? KEY_LIMITS.lifetimeMs : expiresIn * 1000;
    const lifetime = Math.min(wanted, KEY_LIMITS.maxLifetimeMs);
    return this.#change(async () => {
      this.#refuseWrongClock();
      const del = makeRoom(this.#rows.values(), userId, this.#parts.now());
      const made = this.#make(userId, scopes, lifetime);
      const row = uses === undefined ? made.row : { ...made.row, uses: Math.min(uses, KEY_LIMITS.uses) };
      await this.#write([row], del, true);
      return { ...this.#info(row), key: made.key };
    });
  }

  revoke(which: { readonly id: string } | { readonly key: string }): Promise<KeyInfo> {
    return this.#change(async () => {
      const row = 'id' in which ? this.#rows.get(which.id) : this.#find(which.key);
      if (row === undefined) throw unknown();
      if (stateOf(row, this.#parts.now()) !== 'active') return this.#info(row);
      const revoked = { ...row, revokedAt: this.#parts.now() };
      await this.#write([revoked], [], true);
      return this.#info(revoked);
    });
  }

  revokeAll(roots: readonly string[]): Promise<readonly KeyInfo[]> {
    if (roots.length === 0) return Promise.resolve([]);
    return this.#change(async () => {
      const revokedAt = this.#parts.now();
      const revoked = [...this.#rows.values()]
        .filter((row) => roots.includes(row.root ?? row.id) && stateOf(row, revokedAt) === 'active')
        .map((row) => ({ ...row, revokedAt }));
      if (revoked.length > 0) await this.#write(revoked, [], true);
      return revoked.map((row) => this.#info(row));
    });
  }

  rotate(id: string, graceSeconds: number = KEY_LIMITS.graceMs / 1000) {
    return this.#change(async () => {
      const row = this.#rows.get(id);
      if (row === undefined) throw unknown();
      const now = this.#parts.now();
      this.#refuseWrongClock();
      if (stateOf(row, now) !== 'active' || row.replacedBy !== undefined)
        throw new AgrinetError(
          'key-inactive',
          'this key has expired, was revoked or was already rotated; rotate its successor, or issue a new key',
        );
      const expiresAt = Math.min(row.expiresAt, now + graceSeconds * 1000);
      const del = makeRoom(this.#rows.values(), row.userId, now, { id, grace: expiresAt > now });
      const made = this.#make(row.userId, scopesOf(row.scopes), row.expiresAt - row.issuedAt);
      const { uses } = row;
      const successor = { ...made.row, root: row.root ?? row.id, ...(uses === undefined ? {} : { uses }) };
      const previous = { ...row, expiresAt, replacedBy: made.row.id };
      await this.#write([previous, successor], del, true);
      return { issued: { ...this.#info(successor), key: made.key }, previous: this.#info(previous) };
    });
  }

  async validate(userId: string, key: string): Promise<boolean> {
    return this.#find(key)?.userId === userId;
  }

  /** Forgets keys that ended long ago, and sets right those that a clock which was ahead has dated. */
  purgeExpired(now: number): Promise<number> {
    return this.#change(async () => {
      const dated = [...this.#rows.values()].flatMap((row) => datedAgain(row, now) ?? []);
      if (dated.length > 0) await this.#write(dated, [], true);
      const gone = [...this.#rows.values()].filter((row) => endOf(row) < now - KEY_LIMITS.keptMs);
      if (gone.length > 0)
        await this.#write(
          [],
          gone.map((row) => row.id),
          true,
        );
      return gone.length;
    });
  }

  /** Writes how often and when keys were used; not fsynced. While nothing may be written it is kept for later. */
  flush(): Promise<void> {
    return this.#changes.run(async () => {
      if (this.#uses.size === 0 || this.#parts.refusal() !== undefined) return;
      const uses = this.#uses;
      this.#uses = new Map();
      const rows = [...uses].flatMap(([id, { count, last }]) => {
        const row = this.#rows.get(id);
        if (row === undefined) return [];
        const hash = this.#hashedAgain.get(id) ?? row.hash;
        return [{ ...row, hash, usageCount: row.usageCount + count, lastUsedAt: last }];
      });
      try {
        await this.#write(rows, [], false);
        for (const { id } of rows) this.#hashedAgain.delete(id);
      } catch (error) {
        for (const [id, { count, last }] of uses) this.#note(id, count, last);
        throw error;
      }
    });
  }

  /** Reads the table again: after an I/O error only the database knows which change was written. */
  reload(): Promise<void> {
    return this.#changes.run(async () => {
      this.#rows = new Map((await this.#parts.table.load()).map((row) => [row.id, row]));
    });
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    await this.flush();
  }

  #note(id: string, count: number, last: number): void {
    const before = this.#uses.get(id) ?? { count: 0, last: 0 };
    this.#uses.set(id, { count: before.count + count, last: Math.max(before.last, last) });
  }

  #find(key: string): StoredKey | undefined {
    const id = idOf(key);
    const row = id === undefined ? undefined : this.#rows.get(id);
    if (row === undefined || stateOf(row, this.#parts.now()) !== 'active') return undefined;
    const kept = Buffer.from(row.hash, 'hex');
    if (isSame(kept, this.#hashOf(key))) return row;
    const { previous, now } = this.#parts;
    if (this.#hashedBefore === undefined || previous === undefined || now() >= previous.until)
      return undefined;
    if (!isSame(kept, this.#hashedBefore(key))) return undefined;
    this.#hashedAgain.set(row.id, this.#hashOf(key).toString('hex'));
    return row;
  }

  #make(userId: string, scopes: readonly Scope[], lifetimeMs: number): { row: StoredKey; key: string } {
    const now = this.#parts.now();
    const { id, key } = makeKey(now, this.#parts.env);
    const hash = this.#hashOf(key).toString('hex');
    const row = { id, hash, userId, scopes: scopesOf(scopes), issuedAt: now, expiresAt: now + lifetimeMs };
    return { row: { ...row, usageCount: 0 }, key };
  }

  #info(row: StoredKey): KeyInfo {
    const uses = this.#uses.get(row.id);
    const info = infoOf(row, this.#parts.now());
    return uses === undefined
      ? info
      : { ...info, usageCount: info.usageCount + uses.count, lastUsedAt: uses.last };
  }

  #refuseWrongClock(): void {
    const { now, wall = now } = this.#parts;
    refuseWrongClock(wall());
  }

  async #write(put: readonly StoredKey[], del: readonly string[], sync: boolean): Promise<void> {
    await this.#parts.table.write(put, del, { sync });
    for (const row of put) this.#rows.set(row.id, row);
    for (const id of del) {
      this.#rows.delete(id);
      this.#uses.delete(id);
    }
  }

  /** A change that has to be on disk; throws what `refusal` returns while nothing may be written. */
  #change<T>(work: () => Promise<T>): Promise<T> {
    return oneChange(this.#changes, this.#parts.refusal, work);
  }
}

function isSame(kept: Buffer, given: Buffer): boolean {
  return kept.length === given.length && timingSafeEqual(kept, given);
}

function holderOf(row: StoredKey): KeyHolder {
  const { id, userId, scopes } = row;
  return { id, userId, scopes: scopesOf(scopes), registration: registrationOf(row) };
}

function unknown(): AgrinetError {
  return new AgrinetError('key-unknown', 'this node has no such key; list them with: agrinet keys list');
}
