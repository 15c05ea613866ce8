import { createMiddleware } from 'hono/factory';
import { AgrinetError } from '../protocols/errors.ts';
import type { ApiEnv } from './access.ts';
import type { ApiContext } from './context.ts';

/** The first segments of the paths of pages; the empty one is the home page's. */
const PAGE_SEGMENTS = ['', 'market', 'sign-in', 'sign-out', 'admin', 'assets'] as const;
export type PageSegment = (typeof PAGE_SEGMENTS)[number];

const OF_PAGES: ReadonlySet<string> = new Set(PAGE_SEGMENTS);

/** Whether a path is a page's: there browsers have sessions, and errors are pages. */
export function isPage(path: string): boolean {
  return OF_PAGES.has(path.split('/', 2)[1] ?? '');
}

/** The query parameter for a key, as EventSource of the Agrinet chat UI sends it; links and pictures in a page cannot send headers either. */
const KEY_IN_QUERY = /^\/(events|stream\/[^/]+|attachments\/messages\/[^/]+\/[^/]+)$/;

/**
 * Identifies the caller of a request, once, before any route: by its credentials, on pages else by the session of the browser, which has no
 * effect on the API. Throws `unauthorized`, `token-invalid`, `token-unverifiable`.
 */
export function authenticate(node: Pick<ApiContext, 'access' | 'sessions' | 'self' | 'limits'>) {
  return createMiddleware<ApiEnv>(async (c, next) => {
    const header = c.req.header('authorization');
    const bearer = header === undefined ? undefined : /^Bearer +(\S+)$/i.exec(header)?.[1];
    if (header !== undefined && bearer === undefined)
      throw new AgrinetError('token-invalid', 'Unauthorized: Invalid Token');
    const inQuery = KEY_IN_QUERY.test(c.req.path) ? c.req.query('x-api-key') : undefined;
    const apiKey = c.req.header('x-api-key') ?? inQuery;
    if (apiKey === undefined && bearer === undefined && isPage(c.req.path)) {
      const { sessionOf } = await import('./pages/session-cookie.ts');
      const session = await sessionOf(c, node);
      if (session !== undefined) {
        c.set('session', session);
        c.set('principal', session.principal);
        return next();
      }
    }
    c.set('principal', await node.access.authenticate({ apiKey, bearer }));
    return next();
  });
}
