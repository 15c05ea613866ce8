import { timingSafeEqual } from 'node:crypto';
import type { Principal, Scope } from '../../api/access.ts';
import type { Access } from '../../api/ports/access.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import type { Logger } from '../logger.ts';
import type { KeyRing } from './key-ring.ts';
import { keyHasher } from './key-rules.ts';
import type { Tokens } from './tokens.ts';

export interface AuthenticatorParts {
  /** The daemon's own key: it may do everything. */
  readonly apiKey: string;
  /** Secret of the keyed hash. */
  readonly pepper: string;
  readonly ring: Pick<KeyRing, 'use'>;
  /** Undefined when no kind of token is set up. */
  readonly tokens: Tokens | undefined;
  readonly publicReads: boolean;
  readonly logger: Pick<Logger, 'debug'>;
}

/** Identifies the caller of a request: by a key, by a bearer token, or as nobody. */
export function createAuthenticator(parts: AuthenticatorParts): Access {
  const { pepper, ring, tokens, logger } = parts;
  const hashOf = keyHasher(pepper);
  const own = hashOf(parts.apiKey);
  const everybody: readonly Scope[] = parts.publicReads ? ['read'] : [];

  /** No key may do less than no key: what everybody may read, it may read too. */
  function withPublicReads(principal: Principal): Principal {
    return { ...principal, scopes: new Set([...everybody, ...principal.scopes]) };
  }

  async function holderOf(apiKey: string | undefined, bearer: string | undefined): Promise<Principal> {
    if (apiKey !== undefined) {
      if (timingSafeEqual(hashOf(apiKey), own)) return { id: 'api-key', scopes: new Set(['operator']) };
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
    async authenticate({ apiKey, bearer, address }) {
      try {
        return withPublicReads(await holderOf(apiKey, bearer));
      } catch (error) {
        // At debug only: a client with wrong keys must not fill the log.
        logger.debug({ code: errorCode(error), address }, 'credentials refused');
        throw error;
      }
    },
  };
}
