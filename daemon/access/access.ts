import type { Access, Keys } from '../../api/ports/access.ts';
import type { SessionsPort } from '../../api/ports/sessions.ts';
import type { Env } from '../../protocols/env.ts';
import type { AgrinetError } from '../../protocols/errors.ts';
import type { Database } from '../../storage/database.ts';
import { keyTable } from '../../storage/key-table.ts';
import type { Logger } from '../logger.ts';
import type { NodeClock } from '../node-clock.ts';
import type { Settings } from '../settings.ts';
import { type Authenticator, createAuthenticator } from './authenticator.ts';
import { type PreviousSettings, withEnd } from '../secrets.ts';
import { loadOrCreatePepper } from './key-pepper.ts';
import { KeyRing } from './key-ring.ts';
import { watchedKeys } from './watched-keys.ts';
import type { SessionRing } from './sessions.ts';
import type { Tokens } from './tokens.ts';

/** Keys and tokens of a node. */
export interface AccessControl {
  readonly access: Access;
  readonly keys: Keys;
  /** Sessions of browsers; read when somebody first asks for a page. */
  sessions(): Promise<SessionsPort>;
  /** Whether a key was issued for a user of this name; where users have tokens, this node cannot tell and accepts any. */
  isUser(userId: string): boolean;
  /** Users to whom a key was issued, ended or not. */
  holders(): ReadonlySet<string>;
  /** Reads the keys again after the database was reopened. */
  reload(): Promise<void>;
  /** Writes what could not be written while writing was refused. */
  recovered(): Promise<void>;
  /** Notes the last uses of keys; before the database is closed. */
  stop(): Promise<void>;
}

export interface AccessParts {
  readonly db: Database;
  readonly settings: Pick<
    Settings,
    'dataDir' | 'publicReads' | 'jwtSecret' | 'oauthIssuer' | 'oauthAudience'
  > &
    PreviousSettings;
  /** The daemon's own key: it may do everything, and is not in the list. */
  readonly apiKey: string;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'debug'>;
  /** Why nothing may be written now, according to the storage guard. */
  readonly refusal: () => AgrinetError | undefined;
  readonly env: Pick<Env, 'now' | 'monotonic' | 'bytes' | 'after'>;
  /** Default: what `env` reads. */
  readonly clock?: Pick<NodeClock, 'cautious' | 'steady' | 'wall'>;
}

/** Opens the key ring and the checks of tokens. Throws `key-pepper-invalid`, `settings-invalid`. */
export async function openAccess(parts: AccessParts): Promise<AccessControl> {
  const { db, settings, apiKey, logger, refusal, env } = parts;
  const { cautious, wall, steady } = parts.clock ?? {
    cautious: env.now,
    wall: env.now,
    steady: env.monotonic,
  };
  const table = keyTable(db, (key) =>
    logger.warn({ key }, 'an API key in the database is damaged: it is refused from now on'),
  );
  const rows = await table.load();
  const { pepper, before } = await loadOrCreatePepper(settings.dataDir, rows.length > 0, env);
  const previous = withEnd(before, 'the second line of key-pepper', settings.previousSecretsUntil);
  const onError = (error: unknown): void =>
    logger.warn({ err: error }, 'the use of API keys could not be written; it is kept and retried');
  const ring = new KeyRing({ table, pepper, previous, env, now: cautious, wall, refusal, onError }, rows);
  const { jwtSecret, oauthIssuer, publicReads } = settings;
  const tokens: Tokens | undefined =
    jwtSecret === undefined && oauthIssuer === undefined
      ? undefined
      : (await import('./tokens.ts')).createTokens(settings, { now: cautious, steady, fetch });
  const access = createAuthenticator({ apiKey, pepper, ring, tokens, publicReads, logger });
  const sessions = sessionsOpener({ db, env, now: cautious, refusal, logger }, access);
  return {
    access,
    sessions: () => sessions.open(),
    keys: watchedKeys(ring, {
      issued: ({ id, userId, scopes }) => logger.info({ id, userId, scopes }, 'API key issued'),
      revoked: ({ id, userId }) => logger.info({ id, userId }, 'API key revoked'),
      revokedWithNode: ({ id, userId }) => logger.info({ id, userId }, 'API key revoked with its node'),
      rotated({ id, expiresAt: validUntil }, { id: successor, userId }) {
        logger.info({ id, userId, successor, validUntil }, 'API key rotated');
      },
    }),
    isUser: (userId) => tokens !== undefined || ring.isHolder(userId),
    holders: () => ring.holders(),
    async reload() {
      await ring.reload();
      await sessions.reload();
    },
    recovered: () => sessions.settle(),
    stop: () => ring.stop(),
  };
}

/** Opens the sessions when they are first asked for: most nodes have no browser most of the time. */
function sessionsOpener(
  {
    logger,
    ...parts
  }: Pick<AccessParts, 'db' | 'env' | 'refusal' | 'logger'> & { readonly now: () => number },
  { principalOf, ownId }: Authenticator,
) {
  const onError = (error: unknown): void =>
    logger.warn({ err: error }, 'the use of a session could not be written');
  let opened: Promise<SessionRing> | undefined;
  const read = async (): Promise<SessionRing> => {
    const { openSessions } = await import('./sessions.ts');
    return openSessions({ ...parts, principalOf, ownId, onError });
  };
  return {
    open(): Promise<SessionRing> {
      opened ??= read().catch((error: unknown) => {
        opened = undefined;
        throw error;
      });
      return opened;
    },
    async reload(): Promise<void> {
      await (await opened)?.reload();
    },
    async settle(): Promise<void> {
      await (await opened)?.settle();
    },
  };
}
