import { createRemoteJWKSet, customFetch, errors, type JWTVerifyGetKey } from 'jose';
import { z } from 'zod';
import { AgrinetError } from '../../protocols/errors.ts';
import { isLoopbackHost } from '../settings.ts';

/** Both answers of the issuer, whole. */
const FETCH_MS = 10_000;
/** Of each. */
const MAX_BYTES = 256 * 1024;
/** Its keys are fetched again after this, in the background, so that a withdrawn key stops working. */
const REFRESH_MS = 10 * 60_000;
/** A token with a key that is not held has them fetched, but not more often than this: anybody can make such tokens up. */
const COOLDOWN_MS = 30_000;
/** After a failure; meanwhile the answer is the same. */
const RETRY_MS = 5000;
/** With the issuer away its last keys are good for this long. */
const STALE_MS = 24 * 3600_000;

const Discovery = z.looseObject({ issuer: z.string(), jwks_uri: z.url() });

/** An OAuth2 or OIDC issuer's signing keys. */
export interface Issuer {
  /** Finds the key of a token; throws `token-unverifiable` while none can be had, and jose's errors for a token without one. */
  readonly key: JWTVerifyGetKey;
}

export interface IssuerParts {
  /** A clock that nobody sets, milliseconds. */
  readonly steady: () => number;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
}

/**
 * Keys by OpenID Connect Discovery 1.0 and RFC 7517, from an issuer on https (or on loopback) only. jose fetches and holds them, but
 * never refreshes them by itself, because it uses a clock that can be set, and drops its keys when they are old. Here they stay in
 * use while the issuer is unreachable. Throws `settings-invalid` for a plain http issuer elsewhere.
 */
export function createIssuer(issuer: string, { steady, fetch }: IssuerParts): Issuer {
  if (!isSafe(issuer))
    throw new AgrinetError(
      'settings-invalid',
      'OAUTH_ISSUER: its keys would be fetched over plain http, which is allowed on loopback only. Set an https URL.',
    );
  const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/openid-configuration`), {
    cacheMaxAge: Infinity,
    cooldownDuration: Infinity,
    timeoutDuration: FETCH_MS,
    // The place of the keys is asked for each time: an issuer may move it.
    [customFetch]: (discovery, { signal }) => fetchKeys(issuer, discovery, { fetch, signal }),
  });
  let loadedAt = -Infinity;
  let failed: { readonly error: AgrinetError; readonly at: number } | undefined;

  /** While it failed just now, the same failure again. */
  async function reload(): Promise<void> {
    if (failed !== undefined && steady() - failed.at < RETRY_MS) throw failed.error;
    try {
      await keys.reload();
      loadedAt = steady();
      failed = undefined;
    } catch (cause) {
      const message = 'the token cannot be checked: the keys of its issuer cannot be fetched; try again soon';
      const error = new AgrinetError('token-unverifiable', message, { cause });
      failed = { error, at: steady() };
      throw error;
    }
  }

  return {
    async key(header, token) {
      const age = steady() - loadedAt;
      if (age > STALE_MS) await reload();
      // The old keys stay in use while new ones are fetched; `failed` records why that failed.
      else if (age > REFRESH_MS && !keys.reloading) reload().catch(() => undefined);
      try {
        return await keys(header, token);
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey) || age < COOLDOWN_MS || age === Infinity)
          throw error;
        await reload();
        return keys(header, token);
      }
    },
  };
}

async function fetchKeys(
  issuer: string,
  discovery: string,
  limits: { readonly fetch: IssuerParts['fetch']; readonly signal: AbortSignal },
): Promise<Response> {
  const found = Discovery.parse(await fetchJson(discovery, limits));
  if (!issuerNames(issuer).includes(found.issuer))
    throw new Error('its discovery document names another issuer');
  if (!isSafe(found.jwks_uri)) throw new Error('its keys are served over plain http');
  return Response.json(await fetchJson(found.jwks_uri, limits));
}

async function fetchJson(
  url: string,
  { fetch, signal }: { readonly fetch: IssuerParts['fetch']; readonly signal: AbortSignal },
): Promise<unknown> {
  const headers = { accept: 'application/json' };
  const response = await fetch(url, { headers, redirect: 'error', signal });
  const body = await bounded(response);
  if (response.status !== 200) throw new Error(`status ${response.status}`);
  return JSON.parse(body);
}

/** An issuer may write itself with a slash at the end. */
export function issuerNames(issuer: string): string[] {
  return [issuer, `${issuer}/`];
}

function isSafe(text: string): boolean {
  const url = URL.parse(text);
  return url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopbackHost(url.hostname));
}

async function bounded(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += part.length;
    if (size > MAX_BYTES) throw new Error(`its response is larger than ${MAX_BYTES} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
