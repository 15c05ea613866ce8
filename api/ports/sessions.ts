import type { Principal, Scope } from '../access.ts';

/** How somebody signed in: with an API key, or with a link that the command line made. */
export type SignInWay = 'key' | 'link';

/** A signed-in browser; never its token. Times in milliseconds since 1970. */
export interface SessionInfo {
  readonly id: string;
  /** The id of the key that it was signed in with. */
  readonly principal: string;
  readonly userId: string | undefined;
  readonly scopes: readonly Scope[];
  readonly by: SignInWay;
  /** What the browser calls itself. */
  readonly agent: string;
  readonly startedAt: number;
  readonly lastSeenAt: number;
  /** When it ends if nobody uses it any more; every use moves this, up to the limit of a session. */
  readonly endsAt: number;
}

/** The session of a request. */
export interface Session {
  readonly id: string;
  readonly principal: Principal;
  /** Stands in every form of this session. */
  readonly csrf: string;
  /** What the last action has to say, once. */
  takeNotice(): string | undefined;
  leaveNotice(text: string): void;
}

/**
 * Sessions of browsers. A session has exactly the rights of its key, asked for at every request: it ends with the key. Tokens have 256 bits
 * and are stored as hashes.
 */
export interface SessionsPort {
  /** Begins one under a new token. Throws what forbids writing, except when the disk is full: then it lasts until the next start. */
  start(
    principal: Principal,
    about: { readonly by: SignInWay; readonly agent: string },
  ): Promise<{ readonly token: string; readonly session: Session }>;
  /** Undefined for a token that is unknown or over. Counts as a use. */
  find(token: string): Session | undefined;
  /** Those that are not over, the last used first. */
  list(): readonly SessionInfo[];
  /**
   * Ends these; how many there were. On disk when it resolves. While nothing may be written they end too, on disk as soon as that works,
   * and it throws what forbids it: a restart before that would bring them back.
   */
  end(ids: readonly string[]): Promise<number>;
  /** A token that signs an operator in, once and within a quarter of an hour. Not kept over a start. */
  makeLink(): { readonly token: string; readonly expiresAt: number };
  /** Whom the token signs in. Throws `sign-in-link-used` (403) for one that is used, old or unknown. */
  useLink(token: string): Principal;
}
