import { createMiddleware } from 'hono/factory';
import { AgrinetError } from '../protocols/errors.ts';
import type { ApiEnv } from './access.ts';
import type { Access } from './ports/access.ts';

/** The query parameter for a key, as EventSource of the Agrinet chat UI sends it; links and pictures in a page cannot send headers either. */
const KEY_IN_QUERY = /^\/(events|stream\/[^/]+|attachments\/messages\/[^/]+\/[^/]+)$/;

/** Identifies the caller of a request, once, before any route. Throws `unauthorized`, `token-invalid`, `token-unverifiable`. */
export function authenticate(access: Access) {
  return createMiddleware<ApiEnv>(async (c, next) => {
    const header = c.req.header('authorization');
    const bearer = header === undefined ? undefined : /^Bearer +(\S+)$/i.exec(header)?.[1];
    if (header !== undefined && bearer === undefined)
      throw new AgrinetError('token-invalid', 'Unauthorized: Invalid Token');
    const inQuery = KEY_IN_QUERY.test(c.req.path) ? c.req.query('x-api-key') : undefined;
    const apiKey = c.req.header('x-api-key') ?? inQuery;
    c.set('principal', await access.authenticate({ apiKey, bearer }));
    await next();
  });
}
