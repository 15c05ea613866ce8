import type { Principal, Scope } from '../access.ts';

/** The credentials of a request; both absent is an anonymous one. With both, the key alone decides. */
export interface Credentials {
  readonly apiKey?: string | undefined;
  /** The token of `Authorization: Bearer`, without that word. */
  readonly bearer?: string | undefined;
  /** Where it comes from: for the log of refusals only. */
  readonly address?: string | undefined;
}

/** Identifies the caller of a request. */
export interface Access {
  /**
   * Without credentials the anonymous principal. Throws `unauthorized` (403) for a key that is unknown, expired or revoked,
   * `token-invalid` (401) for such a token, `token-unverifiable` (503) while the issuer's keys cannot be fetched.
   */
  authenticate(credentials: Credentials): Promise<Principal>;
}

export type KeyState = 'active' | 'expired' | 'revoked';

/** The description of a key; never the key itself. Times in milliseconds since 1970. */
export interface KeyInfo {
  readonly id: string;
  readonly userId: string;
  readonly scopes: readonly Scope[];
  readonly state: KeyState;
  readonly issuedAt: number;
  readonly expiresAt: number;
  readonly usageCount: number;
  readonly lastUsedAt?: number;
  readonly revokedAt?: number;
  /** The key that a rotation made for it; both are valid until `expiresAt`. */
  readonly replacedBy?: string;
  /** How many nodes may register with it and its successors; only of a key with the scope `register`. */
  readonly uses?: number;
  /** The first key of its rotations, when that is another. */
  readonly root?: string;
}

/** A key that was just made: the only time that `key` is shown. */
export interface IssuedKey extends KeyInfo {
  readonly key: string;
}

export interface KeyRequest {
  readonly userId: string;
  /** Default read and write. */
  readonly scopes?: readonly Scope[] | undefined;
  /** Seconds, at most 366 days; default 90 days. */
  readonly expiresIn?: number | undefined;
  /** Nodes that may register with it, at most 32; default one. */
  readonly uses?: number | undefined;
}

/** The keys issued by this node; its own API_KEY is not among them. Changes are on disk when they resolve. */
export interface Keys {
  /** By id. `cursor` is the last id of the page before. */
  list(query: {
    readonly userId?: string | undefined;
    readonly limit: number;
    readonly cursor?: string | undefined;
  }): Promise<{ readonly keys: readonly KeyInfo[]; readonly cursor?: string }>;
  /** Throws `key-limit` (400: 7 active ones of a user), `keys-full` (409) and `fields-invalid` for uses without `register`. */
  issue(request: KeyRequest): Promise<IssuedKey>;
  /** Ends a key at once; one that has ended stays as it is. Throws `key-unknown` (404). */
  revoke(which: { readonly id: string } | { readonly key: string }): Promise<KeyInfo>;
  /** Ends these keys and all that rotations made of them; those that ended just now. */
  revokeAll(roots: readonly string[]): Promise<readonly KeyInfo[]>;
  /**
   * Makes the successor of a key, with its scopes and lifetime; the old one is valid for `graceSeconds` more (default a day).
   * Throws `key-unknown` (404), `key-inactive` (409: ended, or rotated before), `key-limit`, `keys-full`.
   */
  rotate(
    id: string,
    graceSeconds?: number,
  ): Promise<{ readonly issued: IssuedKey; readonly previous: KeyInfo }>;
  /** Whether this is a valid key of this user. */
  validate(userId: string, key: string): Promise<boolean>;
  /** Removes keys that ended more than 30 days before `now`; how many. */
  purgeExpired(now: number): Promise<number>;
}
