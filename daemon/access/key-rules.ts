import { createHmac } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { KeyInfo, KeyState } from '../../api/ports/access.ts';
import { type Scope, SCOPES } from '../../api/access.ts';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { atMost } from '../../protocols/lru-bound.ts';
import type { RegistrationKey } from '../../protocols/registry/registration-key.ts';
import { REGISTRY_LIMITS } from '../../protocols/registry/registry.ts';
import { hex } from '../../protocols/wire/bytes.ts';
import { LIMITS } from '../../protocols/wire/limits.ts';
import { clockIsCredible } from '../../protocols/wire/release-date.ts';
import { numberKey } from '../../storage/keyspace.ts';
import type { StoredKey } from '../../storage/key-table.ts';

const DAY_MS = 24 * 3600 * 1000;

/** Limits of the key ring. */
export const KEY_LIMITS = {
  /** Active keys of one user, as in the old API; a key in its grace period after a rotation does not count. */
  activePerUser: 7,
  /** Old keys of one user that are still valid after a rotation, so that nobody can multiply keys by rotating. */
  gracePerUser: 7,
  /** Expired or revoked keys of one user kept for the operator; the oldest are dropped first. */
  endedPerUser: 50,
  /** All keys together: they are kept in memory, about 500 bytes each. */
  total: 10_000,
  /** Without `expiresIn`. */
  lifetimeMs: 90 * DAY_MS,
  /** The longest lifetime that can be requested: a forgotten key expires by itself. */
  maxLifetimeMs: 366 * DAY_MS,
  /** Without `graceSeconds`: how long a rotated key stays valid alongside the new one. */
  graceMs: DAY_MS,
  /** How long an expired or revoked key stays in the list. */
  keptMs: 30 * DAY_MS,
  /** Nodes that one key may register: as many as all the keys of one user. */
  uses: REGISTRY_LIMITS.perAsker,
} as const;

const FORM = /^agk_([0-9a-f]{20})_[A-Za-z0-9_-]{43}$/;

/** A new key and its id: the time, so that ids sort by age, and 4 random bytes; the secret has 32. */
export function makeKey(now: number, { bytes }: Pick<Env, 'bytes'>): { id: string; key: string } {
  const id = numberKey(now, 12) + hex(bytes(4));
  return { id, key: `agk_${id}_${Buffer.from(bytes(32)).toString('base64url')}` };
}

/** The id in a key; undefined for what has not the form of one. */
export function idOf(key: string): string | undefined {
  return FORM.exec(key)?.[1];
}

/** What is stored of a key: a reader of the database can neither use nor guess it. */
export function keyedHash(pepper: string, key: string): Buffer {
  return createHmac('sha256', pepper).update(key).digest();
}

/** Hashes remembered: more keys are hardly in use at a time. */
const REMEMBERED = 256;
/** Characters of a key that is remembered: far more than one has. */
const KEY_LENGTH = 128;

/** `keyedHash` under one pepper. The keys in use come with every request: what was made of them last is remembered, in memory alone. */
export function keyHasher(pepper: string): (key: string) => Buffer {
  const known = new LRUCache<string, Buffer>(atMost(REMEMBERED));
  return (key) => {
    const remembered = known.get(key);
    if (remembered !== undefined) return remembered;
    const hash = keyedHash(pepper, key);
    if (key.length <= KEY_LENGTH) known.set(key, hash);
    return hash;
  };
}

export function stateOf(row: StoredKey, now: number): KeyState {
  if (row.revokedAt !== undefined) return 'revoked';
  return now < row.expiresAt ? 'active' : 'expired';
}

/** When a key ended, or will. */
export function endOf(row: StoredKey): number {
  return Math.min(row.revokedAt ?? row.expiresAt, row.expiresAt);
}

/**
 * A key that was made by a clock which was ahead, with the dates it would have had now; undefined for any other. Without this it would
 * outlive the longest life of a key.
 */
export function datedAgain(row: StoredKey, now: number): StoredKey | undefined {
  const ahead = row.issuedAt - now;
  return ahead <= LIMITS.clockAheadMs || !clockIsCredible(now)
    ? undefined
    : { ...row, issuedAt: now, expiresAt: row.expiresAt - ahead };
}

const known: ReadonlySet<string> = new Set(SCOPES);

/** Those of these names that are scopes. */
export function scopesOf(names: readonly string[]): Scope[] {
  return [...new Set(names)].filter((name): name is Scope => known.has(name));
}

/** A key's identity in the registry: all rotations of one key share what it was issued for. */
export function registrationOf({ id, root = id, uses = 1 }: StoredKey): RegistrationKey {
  return { id: root, uses };
}

/** What may be shown of a key. */
export function infoOf(row: StoredKey, now: number): KeyInfo {
  const { hash: _, scopes, uses = 1, ...shown } = row;
  const known = scopesOf(scopes);
  return {
    ...shown,
    scopes: known,
    state: stateOf(row, now),
    ...(known.includes('register') ? { uses } : {}),
  };
}

/**
 * Which ended keys have to go so that one more key of this user fits in. `replacing` is the key that it is to replace.
 * Throws `key-limit`, `keys-full`.
 */
export function makeRoom(
  rows: Iterable<StoredKey>,
  userId: string,
  now: number,
  replacing?: { readonly id: string; readonly grace: boolean },
): string[] {
  let total = 0;
  let active = 0;
  let grace = replacing?.grace === true ? 1 : 0;
  const ended: StoredKey[] = [];
  for (const row of rows) {
    total += 1;
    if (stateOf(row, now) !== 'active') ended.push(row);
    else if (row.userId === userId && row.id !== replacing?.id) {
      if (row.replacedBy === undefined) active += 1;
      else grace += 1;
    }
  }
  if (active >= KEY_LIMITS.activePerUser)
    throw new AgrinetError(
      'key-limit',
      `Max key limit reached: a user has at most ${KEY_LIMITS.activePerUser} active keys; revoke one first`,
    );
  if (grace > KEY_LIMITS.gracePerUser)
    throw new AgrinetError(
      'key-limit',
      `at most ${KEY_LIMITS.gracePerUser} rotated keys of a user stay valid at a time; rotate with graceSeconds 0, or revoke one`,
    );
  ended.sort((a, b) => endOf(b) - endOf(a));
  const own = ended.filter((row) => row.userId === userId).slice(KEY_LIMITS.endedPerUser);
  const going = new Set(own.map((row) => row.id));
  while (total - going.size >= KEY_LIMITS.total) {
    const oldest = ended.pop();
    if (oldest === undefined)
      throw new AgrinetError(
        'keys-full',
        `the limit of ${KEY_LIMITS.total} keys is reached; revoke some first`,
      );
    going.add(oldest.id);
  }
  return [...going];
}
