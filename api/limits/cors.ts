import type { MiddlewareHandler } from 'hono';
import { cors as honoCors } from 'hono/cors';

/** How long a browser may keep the answer to a preflight, in seconds. */
const MAX_AGE_S = 600;

/** CORS for the listed origins; with an empty list there are no headers. Credentials are sent in headers, so no cookies are allowed. */
export function cors(origins: readonly string[]): MiddlewareHandler {
  if (origins.length === 0) return (_, next) => next();
  return honoCors({
    origin: origins.flatMap((each) => URL.parse(each)?.origin ?? []),
    allowHeaders: [
      'x-api-key',
      'authorization',
      'content-type',
      'idempotency-key',
      'last-event-id',
      'x-request-id',
    ],
    exposeHeaders: ['etag', 'location', 'link', 'retry-after', 'x-request-id'],
    maxAge: MAX_AGE_S,
  });
}
