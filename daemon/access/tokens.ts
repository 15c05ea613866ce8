import { createSecretKey, type KeyObject } from 'node:crypto';
import { decodeProtectedHeader, errors, type JWTPayload, jwtVerify, type JWTVerifyOptions } from 'jose';
import type { Principal, Scope } from '../../api/access.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { previousSecret, type PreviousSettings } from '../secrets.ts';
import type { Settings } from '../settings.ts';
import { createIssuer, issuerNames, type IssuerParts } from './issuer.ts';
import { scopesOf } from './key-rules.ts';

/** The algorithms that an issuer may use. HS256 is not among them: its public key is no secret. */
const ISSUER_ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519'];
const MAX_CHARS = 16 * 1024;
/** Clocks of the issuer and this node may differ by this many seconds. */
const TOLERANCE_S = 5;
const DEFAULT_SCOPES: readonly Scope[] = ['read', 'write'];

/** What the checks need from outside. */
export interface TokenParts {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** A clock that nobody sets: how long an issuer's keys are good. */
  readonly steady: () => number;
  readonly fetch: IssuerParts['fetch'];
}

/** Checks bearer tokens. */
export interface Tokens {
  /** The subject of the token. Throws `token-invalid`, and `token-unverifiable` while its issuer cannot be reached. */
  verify(token: string): Promise<Principal>;
}

/**
 * JWTs (RFC 7519, checked according to RFC 8725): HS256 with JWT_SECRET or, in its grace time, the one before, or from the OAuth2/OIDC issuer by its JWKS. The algorithm
 * alone decides which of the two keys is tried, so neither can replace the other. `exp` is required, from the issuer `iss` and `aud`
 * too. Throws `settings-invalid` for an issuer without an audience, and for a previous secret without an end.
 */
export function createTokens(
  settings: Pick<Settings, 'jwtSecret' | 'oauthIssuer' | 'oauthAudience'> & PreviousSettings,
  parts: TokenParts,
): Tokens {
  const { jwtSecret, oauthIssuer, oauthAudience } = settings;
  if (oauthIssuer !== undefined && oauthAudience === undefined)
    throw new AgrinetError(
      'settings-invalid',
      'OAUTH_AUDIENCE: not set, so tokens that OAUTH_ISSUER issued for other services would be accepted. Set it to the audience of this node.',
    );
  const secret = jwtSecret === undefined ? undefined : createSecretKey(jwtSecret, 'utf8');
  const previous = previousSecret(settings, 'jwtSecretPrevious');
  const previousKey = previous === undefined ? undefined : createSecretKey(previous.secret, 'utf8');
  const issuer =
    oauthIssuer === undefined
      ? undefined
      : createIssuer(oauthIssuer, { steady: parts.steady, fetch: parts.fetch });

  /** With the secret, or within its grace time the one before. */
  async function signedPayload(
    token: string,
    current: KeyObject,
    common: JWTVerifyOptions,
  ): Promise<JWTPayload> {
    const options = { ...common, algorithms: ['HS256'] };
    try {
      return (await jwtVerify(token, current, options)).payload;
    } catch (error) {
      const isOther = error instanceof errors.JWSSignatureVerificationFailed;
      if (!isOther || previous === undefined || previousKey === undefined || parts.now() >= previous.until)
        throw error;
      return (await jwtVerify(token, previousKey, options)).payload;
    }
  }

  async function payloadOf(token: string): Promise<JWTPayload> {
    const { alg } = decodeProtectedHeader(token);
    const common: JWTVerifyOptions = {
      requiredClaims: ['exp'],
      clockTolerance: TOLERANCE_S,
      currentDate: new Date(parts.now()),
    };
    if (alg === 'HS256' && secret !== undefined) return signedPayload(token, secret, common);
    if (alg === undefined || !ISSUER_ALGORITHMS.includes(alg)) throw invalid();
    if (issuer === undefined || oauthIssuer === undefined || oauthAudience === undefined) throw invalid();
    const asked = { issuer: issuerNames(oauthIssuer), audience: oauthAudience };
    return (await jwtVerify(token, issuer.key, { ...common, ...asked, algorithms: ISSUER_ALGORITHMS }))
      .payload;
  }

  return {
    async verify(token) {
      if (token.length > MAX_CHARS) throw invalid();
      try {
        return principalOf(await payloadOf(token));
      } catch (error) {
        // jose's own errors and those for bytes that are not a token: the client only learns that it is refused.
        if (error instanceof errors.JOSEError || error instanceof TypeError) throw invalid(error);
        throw error;
      }
    },
  };
}

/** Old tokens name the user as `id` or `userId`; scopes come as a list or as text, and roles of an operator count as that scope. */
function principalOf(payload: JWTPayload): Principal {
  const userId = [payload.sub, payload['userId'], payload['id']].find(isName);
  if (userId === undefined) throw invalid();
  const named = scopesOf(['scope', 'scopes'].flatMap((claim) => words(payload[claim])));
  const scopes = new Set(named.length === 0 ? DEFAULT_SCOPES : named);
  const roles = [...words(payload['role']), ...words(payload['roles'])];
  if (roles.includes('admin') || roles.includes('operator')) scopes.add('operator');
  return { id: `token:${userId}`, userId, scopes };
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= 256;
}

function words(claim: unknown): string[] {
  if (typeof claim === 'string') return claim.split(/[\s,]+/);
  return Array.isArray(claim) ? claim.filter((each) => typeof each === 'string') : [];
}

function invalid(cause?: unknown): AgrinetError {
  return new AgrinetError('token-invalid', 'Unauthorized: Invalid Token', { cause });
}
