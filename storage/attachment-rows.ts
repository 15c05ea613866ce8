import type { PeerId } from '../protocols/wire/identity.ts';
import { sha256Hex } from '../protocols/wire/bytes.ts';
import { fullKey, type PutOp, timeKey } from './keyspace.ts';
import { putJson, verifyChecksum } from './values.ts';

/** Bytes by their hash; why they are held; uploads by the time at which somebody must have named them; hashes that a record named until lately. */
export const BYTES = 'b';
export const HELD = 'h';
export const EXPIRES = 'e';
export const LOST = 'g';
export const HASH_CHARACTERS = 64;

/** The channel of uploads: no record has it. */
export const UPLOADS = '';

/** An upload that nothing names is dropped after so long, milliseconds: a client uploads first and names it in its next request. */
export const UNNAMED_MS = 24 * 60 * 60_000;
/** Users remembered of one upload; the first are forgotten first. */
const MOST_USERS = 16;

/** That a user has sent these bytes, and so may name them. An operator may name any. */
export interface Claim {
  readonly user: string;
  /** When they were sent last, milliseconds since 1970. */
  readonly at: number;
  /** Whether the user has named them since: then they go with the last record that names them. */
  readonly isUsed: boolean;
}

/** Why bytes are held: for a channel, because its records name them, or as an upload here, which own records may name in any. */
export interface Holding {
  /** Whose quota they count in: the author of the record, or this node for an upload. */
  readonly author: PeerId;
  readonly size: number;
  /** When they came last, milliseconds since 1970. */
  readonly at: number;
  /** Of an upload. */
  readonly claims?: readonly Claim[];
}

/** Who has sent an upload, the latest last. */
export function claimsOf(holding: Holding | undefined): readonly Claim[] {
  return holding?.claims ?? [];
}

/** The claims when this user sends the bytes (again). Who still waits to name them does so also when they were sent inside a message meanwhile. */
export function claimed(claims: readonly Claim[], { user, at, isUsed }: Claim): readonly Claim[] {
  const known = claims.find((each) => each.user === user);
  const waits = known !== undefined && !known.isUsed && known.at > at - UNNAMED_MS;
  const others = claims.filter((each) => each !== known);
  return [...others, { user, at, isUsed: isUsed && !waits }].slice(-MOST_USERS);
}

/** The claims when this user names the upload; whoever names it without having sent it, as an operator may, does so for all. */
export function used(claims: readonly Claim[], user: string): readonly Claim[] {
  const isOwn = claims.some((each) => each.user === user);
  return claims.map((each) => (isOwn && each.user !== user ? each : { ...each, isUsed: true }));
}

/**
 * Until when an upload that nothing names is waited for, milliseconds; undefined when it is not. `isLost`: a record that named it has gone.
 * `youngMs`: how much of its time is left by a clock that nobody sets.
 */
export function waitedUntil(
  claims: readonly Claim[],
  now: number,
  { isLost, youngMs }: { readonly isLost: boolean; readonly youngMs: number },
): number | undefined {
  const ends = claims.flatMap(({ at, isUsed }) => (isLost && isUsed ? [] : [at + UNNAMED_MS]));
  if (ends.length === 0) return undefined;
  const last = Math.max(...ends);
  if (last >= now) return last;
  return youngMs > 0 ? now + youngMs : undefined;
}

export function bytesKey(sha256: string): string {
  return fullKey('attachments', BYTES + sha256);
}

export function heldKey(sha256: string, channel: string): string {
  return fullKey('attachments', `${HELD}${sha256}\0${channel}`);
}

export function lostKey(sha256: string): string {
  return fullKey('attachments', LOST + sha256);
}

/** The row by which an upload is looked at when its time is over. */
export function expires(sha256: string, at: number): PutOp {
  return putJson(fullKey('attachments', EXPIRES + timeKey(Math.max(0, Math.round(at))) + sha256), true);
}

/** The bytes of a row, when they are what their hash says. */
export function intact(key: string, stored: Uint8Array): Uint8Array | undefined {
  try {
    const bytes = verifyChecksum(key, stored);
    return sha256Hex(bytes) === key.slice(-HASH_CHARACTERS) ? bytes : undefined;
  } catch {
    return undefined; // as if it were not there: another holder may have it
  }
}
