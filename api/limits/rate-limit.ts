import type { Context, MiddlewareHandler } from 'hono';
import { createMiddleware } from 'hono/factory';
import { AgrinetError } from '../../protocols/errors.ts';
import type { ApiEnv } from '../access.ts';
import { callerAddress } from './address.ts';
import { createBuckets } from './token-bucket.ts';

export interface RateLimitOptions {
  /** Requests per second; undefined is no limit. */
  readonly perSecond: number | undefined;
  readonly trustProxy: boolean;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
}

/** The additional cost of a wrong key or token: ten in all, so that guessing ends soon. */
const GUESS_COSTS = 9;
/** Whoever watches the node must hear from it. */
const EXEMPT: ReadonlySet<string> = new Set(['/health', '/ready']);

/**
 * RATE_LIMIT as two middlewares: `byAddress` runs before the credentials are checked, `byPrincipal` after. Beyond it 429
 * (`rate-limited`) with Retry-After. Anonymous callers count by address only.
 */
export function rateLimit({ perSecond, trustProxy, now }: RateLimitOptions): {
  byAddress: MiddlewareHandler<ApiEnv>;
  byPrincipal: MiddlewareHandler<ApiEnv>;
} {
  if (perSecond === undefined) {
    const off: MiddlewareHandler<ApiEnv> = (_, next) => next();
    return { byAddress: off, byPrincipal: off };
  }
  const addresses = createBuckets(perSecond);
  const principals = createBuckets(perSecond);
  const refuse = (c: Context, what: string, waitMs: number): never => {
    const seconds = Math.ceil(waitMs / 1000);
    c.header('retry-after', String(seconds));
    throw new AgrinetError(
      'rate-limited',
      `${what} exceeded ${perSecond} requests per second; try again in ${seconds} s`,
    );
  };
  return {
    byAddress: createMiddleware<ApiEnv>(async (c, next) => {
      const address = EXEMPT.has(c.req.path) ? undefined : callerAddress(c, trustProxy);
      if (address === undefined) return next();
      const wait = addresses.take(address, now());
      if (wait > 0) refuse(c, 'this address', wait);
      await next();
      if (c.res.status >= 400 && guessed(c)) addresses.charge(address, GUESS_COSTS, now());
    }),
    byPrincipal: createMiddleware<ApiEnv>(async (c, next) => {
      const { id } = c.get('principal');
      if (id !== 'anonymous') {
        const wait = principals.take(id, now());
        if (wait > 0) refuse(c, 'this key', wait);
      }
      await next();
    }),
  };
}

/** Whether the request had invalid credentials. */
function guessed(c: Context<ApiEnv>): boolean {
  const principal = c.get('principal') as ApiEnv['Variables']['principal'] | undefined; // unset when authentication threw
  if (principal !== undefined && principal.id !== 'anonymous') return false;
  return (
    c.req.header('x-api-key') !== undefined ||
    c.req.header('authorization') !== undefined ||
    c.req.url.includes('x-api-key=')
  );
}
