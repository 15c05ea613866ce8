import { createLocalJWKSet, errors, type JWTVerifyGetKey } from 'jose';
import { z } from 'zod';
import { AgrinetError } from '../../protocols/errors.ts';
import { isLoopbackHost } from '../settings.ts';

/** The whole of one answer of the issuer. */
const FETCH_MS = 5000;
const MAX_BYTES = 256 * 1024;
/** Its keys are fetched anew after this, behind the requests' back: so a key that it has withdrawn goes. */
const REFRESH_MS = 10 * 60_000;
/** A token with a key that is not held has them fetched, but not more often than this: anybody can make such tokens up. */
const COOLDOWN_MS = 30_000;
/** After a failure; meanwhile the answer is the same. */
const RETRY_MS = 5000;
/** With the issuer away its last keys are good for this long. */
const STALE_MS = 24 * 3600_000;

const Discovery = z.looseObject({ issuer: z.string(), jwks_uri: z.url() });
const Jwks = z.looseObject({ keys: z.array(z.looseObject({ kty: z.string() })).max(100) });

/** An OAuth2 or OIDC issuer's signing keys. */
export interface Issuer {
  /** Finds the key of a token; throws `token-unverifiable` while none can be had, and jose's errors for a token without one. */
  readonly key: JWTVerifyGetKey;
}

export interface IssuerParts {
  /** A clock that nobody sets, milliseconds. */
  readonly now: () => number;
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
}

/**
 * Keys by OpenID Connect Discovery 1.0 and RFC 7517, from an issuer on https (or on loopback) only. Its keys stay in use while it
 * is away, which jose's own remote set does not offer. Throws `settings-invalid` for a plain http issuer elsewhere.
 */
export function createIssuer(issuer: string, { now, fetch }: IssuerParts): Issuer {
  if (!isSafe(issuer))
    throw new AgrinetError(
      'settings-invalid',
      'OAUTH_ISSUER: its keys would come unprotected over http. Set an https URL; plain http is for loopback only.',
    );
  let held: { readonly find: JWTVerifyGetKey; readonly at: number } | undefined;
  let loading: Promise<JWTVerifyGetKey> | undefined;
  let failed: { readonly error: AgrinetError; readonly at: number } | undefined;

  async function fetchJson<T>(url: string, schema: z.ZodType<T>): Promise<T> {
    const signal = AbortSignal.timeout(FETCH_MS);
    const headers = { accept: 'application/json' };
    const response = await fetch(url, { headers, redirect: 'error', signal });
    const body = await bounded(response);
    if (response.status !== 200) throw new Error(`status ${response.status}`);
    return schema.parse(JSON.parse(body));
  }

  async function discover(): Promise<JWTVerifyGetKey> {
    const found = await fetchJson(`${issuer}/.well-known/openid-configuration`, Discovery);
    if (!issuerNames(issuer).includes(found.issuer)) throw new Error('it calls itself by another name');
    if (!isSafe(found.jwks_uri)) throw new Error('its keys are on plain http');
    return createLocalJWKSet(await fetchJson(found.jwks_uri, Jwks));
  }

  /** One at a time; while it failed just now, the same failure again. */
  function load(): Promise<JWTVerifyGetKey> {
    if (failed !== undefined && now() - failed.at < RETRY_MS) return Promise.reject(failed.error);
    loading ??= discover()
      .then(
        (find) => {
          held = { find, at: now() };
          failed = undefined;
          return find;
        },
        (cause: unknown) => {
          const message =
            'the token cannot be checked: the keys of its issuer cannot be fetched; try again soon';
          const error = new AgrinetError('token-unverifiable', message, { cause });
          failed = { error, at: now() };
          throw error;
        },
      )
      .finally(() => {
        loading = undefined;
      });
    return loading;
  }

  return {
    async key(header, token) {
      const age = held === undefined ? Infinity : now() - held.at;
      // What is held goes on while new keys are on their way; `failed` remembers why they did not come.
      if (age > REFRESH_MS && age <= STALE_MS) load().catch(() => undefined);
      const find = held === undefined || age > STALE_MS ? await load() : held.find;
      try {
        return await find(header, token);
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey) || age < COOLDOWN_MS || age === Infinity)
          throw error;
        return (await load())(header, token);
      }
    },
  };
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
    if (size > MAX_BYTES) throw new Error(`its answer is larger than ${MAX_BYTES} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
