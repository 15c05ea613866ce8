import { createHash } from 'node:crypto';
import type { Principal } from '../../api/access.ts';
import type { Session, SessionInfo, SessionsPort, SignInWay } from '../../api/ports/sessions.ts';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { SerialQueue } from '../../protocols/serial-queue.ts';
import type { Database } from '../../storage/database.ts';
import { type SessionTable, sessionTable, type StoredSession } from '../../storage/session-table.ts';

export const SESSION_LIMITS = {
  /** A browser that has not asked for so long is signed out: a week, as members come on market days. */
  idleMs: 7 * 24 * 3_600_000,
  /** No session is older, however much it is used. */
  lifetimeMs: 30 * 24 * 3_600_000,
  /** Between two writes of the last use: a kill of the daemon shortens a session by this at most. */
  renewMs: 10 * 60_000,
  /** Of one key; the one that was used longest ago ends. */
  perPrincipal: 20,
  /** All together, kept in memory. */
  all: 10_000,
  /** How long a link to sign in with works. */
  linkMs: 15 * 60_000,
  /** Unused links at once; the oldest ends. */
  links: 16,
} as const;

/** 32 bytes in base64url. */
const TOKEN = /^[\w-]{43}$/;
/** Characters kept of what a browser calls itself. */
const AGENT_CHARS = 160;

export interface SessionParts {
  readonly table: SessionTable;
  readonly env: Pick<Env, 'bytes'>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** The principal behind an id as of now; undefined when its key has ended. */
  readonly principalOf: (id: string) => Principal | undefined;
  /** The id of the node's own key in sessions: another after the key was changed. */
  readonly ownId: string;
  /** Why nothing may be written now. */
  readonly refusal: () => AgrinetError | undefined;
  readonly onError: (error: unknown) => void;
}

const hashOf = (token: string): string => createHash('sha256').update(token).digest('hex');

/** The sessions of browsers, all in memory. */
export class SessionRing implements SessionsPort {
  readonly #parts: SessionParts;
  #rows: Map<string, StoredSession>;
  /** By id: what was written last, so that uses are not written at every request. */
  readonly #written = new Map<string, number>();
  readonly #notices = new Map<string, string>();
  /** Hashes of unused links, and until when each works. */
  readonly #links = new Map<string, number>();
  /** Sessions begun while nothing may be written. */
  readonly #unsaved = new Set<string>();
  /** Sessions that have ended and are still on disk, because nothing may be written. */
  readonly #owed = new Set<string>();
  readonly #changes = new SerialQueue();

  constructor(parts: SessionParts, rows: readonly StoredSession[]) {
    this.#parts = parts;
    this.#rows = new Map(rows.map((row) => [row.id, row]));
  }

  async start(principal: Principal, { by, agent }: { readonly by: SignInWay; readonly agent: string }) {
    const { env, now, ownId } = this.#parts;
    const token = Buffer.from(env.bytes(32)).toString('base64url');
    const startedAt = now();
    const row: StoredSession = {
      id: hashOf(token),
      principal: principal.id === 'api-key' ? ownId : principal.id,
      by,
      agent: agent.slice(0, AGENT_CHARS),
      startedAt,
      lastSeenAt: startedAt,
      endsAt: startedAt + SESSION_LIMITS.lifetimeMs,
    };
    await this.#change([row], this.#surplus(row.principal));
    return { token, session: this.#session(row, principal, token) };
  }

  find(token: string): Session | undefined {
    if (!TOKEN.test(token)) return undefined;
    const row = this.#rows.get(hashOf(token));
    if (row === undefined) return undefined;
    const principal = this.#holder(row);
    if (principal === undefined) {
      this.#change([], [row.id]).catch(this.#parts.onError);
      return undefined;
    }
    this.#seen(row);
    return this.#session(row, principal, token);
  }

  list(): readonly SessionInfo[] {
    return [...this.#rows.values()]
      .flatMap((row) => {
        const holder = this.#holder(row);
        if (holder === undefined) return [];
        const { id, by, agent, startedAt, lastSeenAt } = row;
        const info = { id, by: by as SignInWay, agent, startedAt, lastSeenAt, endsAt: endOf(row) }; // only `start` writes rows
        return [{ ...info, principal: holder.id, userId: holder.userId, scopes: [...holder.scopes] }];
      })
      .toSorted((a, b) => b.lastSeenAt - a.lastSeenAt);
  }

  async end(ids: readonly string[]): Promise<number> {
    const known = ids.filter((id) => this.#rows.has(id));
    if (known.length > 0) await this.#change([], known);
    const refused = this.#parts.refusal();
    if (refused !== undefined && known.some((id) => this.#owed.has(id)))
      throw new AgrinetError(
        refused.code,
        `signed out, but nothing can be written now, so this is kept only until the node is restarted; sign out again once writing works: ${refused.message}`,
      );
    return known.length;
  }

  /** Ends on disk what ended while nothing could be written. */
  settle(): Promise<void> {
    return this.#changes.run(() => this.#settle());
  }

  async #settle(): Promise<void> {
    if (this.#owed.size === 0 || this.#parts.refusal() !== undefined) return;
    const ended = [...this.#owed];
    await this.#parts.table.write([], ended, true);
    for (const id of ended) this.#owed.delete(id);
  }

  makeLink(): { readonly token: string; readonly expiresAt: number } {
    const { env, now } = this.#parts;
    const token = Buffer.from(env.bytes(32)).toString('base64url');
    const expiresAt = now() + SESSION_LIMITS.linkMs;
    const [oldest] = this.#links.keys();
    if (this.#links.size >= SESSION_LIMITS.links && oldest !== undefined) this.#links.delete(oldest);
    this.#links.set(hashOf(token), expiresAt);
    return { token, expiresAt };
  }

  useLink(token: string): Principal {
    const hash = hashOf(token);
    const until = this.#links.get(hash) ?? 0;
    this.#links.delete(hash);
    const principal = this.#parts.principalOf(this.#parts.ownId);
    if (until <= this.#parts.now() || principal === undefined)
      throw new AgrinetError(
        'sign-in-link-used',
        'this link was used before or is older than 15 minutes; run agrinet open for a new one',
      );
    return principal;
  }

  /** Reads the table again after the database was reopened. */
  reload(): Promise<void> {
    return this.#changes.run(async () => {
      const stored = await this.#parts.table.load();
      const unsaved = [...this.#rows.values()].filter(({ id }) => this.#unsaved.has(id));
      const live = stored.filter(({ id }) => !this.#owed.has(id));
      this.#rows = new Map([...live, ...unsaved].map((row) => [row.id, row]));
      await this.#settle();
    });
  }

  /** Undefined when the session or its key is over. */
  #holder(row: StoredSession): Principal | undefined {
    const now = this.#parts.now();
    // A clock that was set back makes no session longer than it may be.
    if (now >= endOf(row) || now < row.startedAt - SESSION_LIMITS.lifetimeMs) return undefined;
    return this.#parts.principalOf(row.principal);
  }

  #session(row: StoredSession, principal: Principal, token: string): Session {
    return {
      id: row.id,
      principal,
      csrf: createHash('sha256').update(`form of ${token}`).digest('base64url'),
      takeNotice: () => {
        const text = this.#notices.get(row.id);
        this.#notices.delete(row.id);
        return text;
      },
      leaveNotice: (text) => void this.#notices.set(row.id, text),
    };
  }

  #seen(row: StoredSession): void {
    const lastSeenAt = this.#parts.now();
    const seen = { ...row, lastSeenAt };
    this.#rows.set(row.id, seen);
    if (lastSeenAt - (this.#written.get(row.id) ?? row.startedAt) < SESSION_LIMITS.renewMs) return;
    this.#written.set(row.id, lastSeenAt);
    if (this.#parts.refusal() === undefined)
      this.#changes
        .run(async () => {
          // Not one that has ended meanwhile.
          if (!this.#rows.has(row.id)) return;
          await this.#parts.table.write([seen], [], false);
          this.#unsaved.delete(row.id);
        })
        .catch(this.#parts.onError);
  }

  /** Sessions that make room for one more of this principal: over ones, then those used longest ago. */
  #surplus(principal: string): string[] {
    const rows = [...this.#rows.values()].toSorted((a, b) => a.lastSeenAt - b.lastSeenAt);
    const over = rows.filter((row) => this.#holder(row) === undefined);
    const live = rows.filter((row) => !over.includes(row));
    const own = live.filter((row) => row.principal === principal);
    const surplus = [
      ...own.slice(0, Math.max(0, own.length + 1 - SESSION_LIMITS.perPrincipal)),
      ...live.slice(0, Math.max(0, live.length + 1 - SESSION_LIMITS.all)),
    ];
    return [...new Set([...over, ...surplus].map(({ id }) => id))];
  }

  /** While nothing may be written, memory alone changes: an operator signs in to see why. What ends then ends on disk later. */
  #change(put: readonly StoredSession[], del: readonly string[]): Promise<void> {
    return this.#changes.run(async () => {
      if (this.#parts.refusal() === undefined) await this.#parts.table.write(put, del, true);
      else {
        for (const { id } of put) this.#unsaved.add(id);
        for (const id of del) if (!this.#unsaved.has(id)) this.#owed.add(id);
      }
      for (const row of put) this.#rows.set(row.id, row);
      for (const id of del) {
        this.#rows.delete(id);
        this.#unsaved.delete(id);
        this.#written.delete(id);
        this.#notices.delete(id);
      }
    });
  }
}

function endOf({ lastSeenAt, endsAt }: StoredSession): number {
  return Math.min(endsAt, lastSeenAt + SESSION_LIMITS.idleMs);
}

/** Reads the sessions that are stored. */
export async function openSessions({
  db,
  ...parts
}: Omit<SessionParts, 'table'> & { readonly db: Database }): Promise<SessionRing> {
  const table = sessionTable(db);
  return new SessionRing({ ...parts, table }, await table.load());
}
