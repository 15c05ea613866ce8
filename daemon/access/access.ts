import { timingSafeEqual } from 'node:crypto';
import type { Principal, Scope } from '../../api/access.ts';
import type { Access, Keys } from '../../api/ports/access.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import type { Database } from '../../storage/database.ts';
import { keyTable } from '../../storage/key-table.ts';
import type { Logger } from '../logger.ts';
import type { NodeClock } from '../node-clock.ts';
import type { Settings } from '../settings.ts';
import { loadOrCreatePepper } from './key-pepper.ts';
import { KeyRing } from './key-ring.ts';
import { keyedHash } from './key-rules.ts';
import type { Tokens } from './tokens.ts';

/** Keys and tokens of a node. */
export interface AccessControl {
  readonly access: Access;
  readonly keys: Keys;
  /** Reads the keys anew after the database was opened again. */
  reload(): Promise<void>;
  /** Notes the last uses of keys; before the database is closed. */
  stop(): Promise<void>;
}

export interface AccessParts {
  readonly db: Database;
  readonly settings: Pick<
    Settings,
    'dataDir' | 'publicReads' | 'jwtSecret' | 'oauthIssuer' | 'oauthAudience'
  >;
  /** The daemon's own key: it may do everything, and is not in the list. */
  readonly apiKey: string;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'debug'>;
  /** Why nothing may be written now, as the storage guard says. */
  readonly refusal: () => AgrinetError | undefined;
  readonly clock?: Pick<NodeClock, 'cautious' | 'steady' | 'wall'>;
}

const MACHINE = { cautious: Date.now, wall: Date.now, steady: () => performance.now() };

/** Opens the key ring and the checks of tokens. Throws `key-pepper-invalid`, `settings-invalid`. */
export async function openAccess(parts: AccessParts): Promise<AccessControl> {
  const { db, settings, logger, refusal, clock = MACHINE } = parts;
  const now = clock.cautious;
  const table = keyTable(db, (key) =>
    logger.warn({ key }, 'an API key in the database is damaged: it is refused from now on'),
  );
  const rows = await table.load();
  const pepper = await loadOrCreatePepper(settings.dataDir, rows.length > 0);
  const onError = (error: unknown): void =>
    logger.warn({ err: error }, 'uses of API keys could not be written; they are kept for later');
  const ring = new KeyRing({ table, pepper, now, wall: clock.wall, refusal, onError }, rows);
  const { jwtSecret, oauthIssuer } = settings;
  const tokens: Tokens | undefined =
    jwtSecret === undefined && oauthIssuer === undefined
      ? undefined
      : (await import('./tokens.ts')).createTokens(settings, { now, steady: clock.steady, fetch });
  const own = keyedHash(pepper, parts.apiKey);
  const everybody: readonly Scope[] = settings.publicReads ? ['read'] : [];

  /** No key may do less than no key: what everybody may read, it may read too. */
  function withPublicReads(principal: Principal): Principal {
    return { ...principal, scopes: new Set([...everybody, ...principal.scopes]) };
  }

  async function holderOf(apiKey: string | undefined, bearer: string | undefined): Promise<Principal> {
    if (apiKey !== undefined) {
      if (timingSafeEqual(keyedHash(pepper, apiKey), own))
        return { id: 'api-key', scopes: new Set(['operator']) };
      const holder = ring.use(apiKey);
      if (holder === undefined) throw new AgrinetError('unauthorized', 'Unauthorized: Invalid API Key');
      return { ...holder, scopes: new Set(holder.scopes) };
    }
    if (bearer !== undefined) {
      if (tokens === undefined) throw new AgrinetError('token-invalid', 'Unauthorized: Invalid Token');
      return tokens.verify(bearer);
    }
    return { id: 'anonymous', scopes: new Set() };
  }

  return {
    access: {
      async authenticate({ apiKey, bearer, address }) {
        try {
          return withPublicReads(await holderOf(apiKey, bearer));
        } catch (error) {
          // At debug only: whoever sends wrong keys must not fill the log.
          logger.debug({ code: errorCode(error), address }, 'credentials refused');
          throw error;
        }
      },
    },
    keys: {
      list: (query) => ring.list(query),
      async issue(request) {
        const issued = await ring.issue(request);
        const { id, userId, scopes } = issued;
        logger.info({ id, userId, scopes }, 'API key issued');
        return issued;
      },
      async revoke(which) {
        const info = await ring.revoke(which);
        logger.info({ id: info.id, userId: info.userId }, 'API key revoked');
        return info;
      },
      async rotate(id, graceSeconds) {
        const rotated = await ring.rotate(id, graceSeconds);
        const { issued, previous } = rotated;
        logger.info(
          { id, userId: issued.userId, successor: issued.id, validUntil: previous.expiresAt },
          'API key rotated',
        );
        return rotated;
      },
      async revokeAll(roots) {
        const ended = await ring.revokeAll(roots);
        for (const { id, userId } of ended) logger.info({ id, userId }, 'API key revoked with its node');
        return ended;
      },
      validate: (userId, key) => ring.validate(userId, key),
      purgeExpired: (at) => ring.purgeExpired(at),
    },
    reload: () => ring.reload(),
    stop: () => ring.stop(),
  };
}
