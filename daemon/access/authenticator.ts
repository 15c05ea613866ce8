import { timingSafeEqual } from 'node:crypto';
import type { Principal, Scope } from '../../api/access.ts';
import type { Access } from '../../api/ports/access.ts';
import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import type { Logger } from '../logger.ts';
import type { KeyRing } from './key-ring.ts';
import { keyHasher } from './key-rules.ts';
import type { Tokens } from './tokens.ts';

/** The holder of the node's own key. */
const OPERATOR: Principal = { id: 'api-key', scopes: new Set(['operator']) };

export interface AuthenticatorParts {
  /** The daemon's own key: it may do everything. */
  readonly apiKey: string;
  /** Secret of the keyed hash. */
  readonly pepper: string;
  readonly ring: Pick<KeyRing, 'use' | 'holder'>;
  /** Undefined when no kind of token is set up. */
  readonly tokens: Tokens | undefined;
  readonly publicReads: boolean;
  readonly logger: Pick<Logger, 'debug'>;
}

/** Identifies the caller of a request by a key, by a bearer token, or as nobody; and whom a session acts for. */
export interface Authenticator extends Access {
  /** The principal of a key by its id, as of now; undefined when the key has ended. */
  readonly principalOf: (id: string) => Principal | undefined;
  /** Stands for the node's own key in `principalOf`; another one after that key was changed. */
  readonly ownId: string;
}

export function createAuthenticator(parts: AuthenticatorParts): Authenticator {
  const { pepper, ring, tokens, logger } = parts;
  const hashOf = keyHasher(pepper);
  const own = hashOf(parts.apiKey);
  const ownId = `api-key ${own.toString('hex').slice(0, 16)}`;
  const everybody: readonly Scope[] = parts.publicReads ? ['read'] : [];

  /** No key may do less than no key: what everybody may read, it may read too. */
  function withPublicReads(principal: Principal): Principal {
    return { ...principal, scopes: new Set([...everybody, ...principal.scopes]) };
  }

  async function holderOf(apiKey: string | undefined, bearer: string | undefined): Promise<Principal> {
    if (apiKey !== undefined) {
      if (timingSafeEqual(hashOf(apiKey), own)) return OPERATOR;
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
    ownId,
    principalOf(id) {
      if (id === ownId) return withPublicReads(OPERATOR);
      const holder = ring.holder(id);
      return holder && withPublicReads({ ...holder, scopes: new Set(holder.scopes) });
    },
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
