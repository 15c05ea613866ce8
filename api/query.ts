import { createMiddleware } from 'hono/factory';
import { AgrinetError } from '../protocols/errors.ts';
import type { ApiEnv } from './access.ts';

/** What happens to query parameters that a route does not have. */
export type UnknownNames = 'refused' | 'ignored';

/** Sent along everywhere: the key, by clients that can send no headers, and what keeps caches away. */
const ALWAYS: readonly string[] = ['x-api-key', '_'];
/** Unknown names that a `Warning` lists. */
const NAMED = 8;

/**
 * Checks the names of a query. A route of our own refuses unknown ones, with the names that exist: a filter that is silently ignored
 * gives a wrong answer. Old clients send names that mean nothing here; on their routes these are ignored, and a `Warning` (RFC 7234,
 * 299) names them. What cannot be decoded is refused everywhere. Throws `query-invalid`.
 */
export function queryNames(known: readonly string[], unknown: UnknownNames) {
  const names = new Set([...known, ...ALWAYS]);
  const there = known.length === 0 ? 'this route takes none' : `there are ${known.join(', ')}`;
  return createMiddleware<ApiEnv>(async (c, next) => {
    const { url } = c.req;
    if (url.includes('%')) refuseUndecodable(url);
    const strange = url.includes('?')
      ? [...new Set(new URL(url).searchParams.keys())].filter((name) => !names.has(name))
      : [];
    if (strange.length === 0) return next();
    const shown = strange.slice(0, NAMED).map((name) => encodeURIComponent(name.slice(0, 64).toWellFormed()));
    const more = strange.length > NAMED ? ` and ${strange.length - NAMED} more` : '';
    if (unknown === 'refused')
      throw new AgrinetError('query-invalid', `query: no such name as ${shown.join(', ')}${more}; ${there}`);
    const warning = `299 agrinetd "query names ignored: ${shown.join(', ')}${more}; ${there}"`;
    c.header('warning', warning); // on a refusal by the route, too
    await next();
    if (c.res.headers.get('warning')?.includes(warning) !== true) c.res.headers.append('warning', warning);
  });
}

/** Invalid UTF-8, or a `%` without two hex digits: passed on as they are, they would be another name or value than was meant. */
function refuseUndecodable(url: string): void {
  const [path = '', ...query] = url.split('?');
  const pairs = query.join('?').split('&');
  const wrong = [path, ...pairs].find((text) => !isDecodable(text));
  if (wrong === undefined) return;
  const name = wrong === path ? 'path' : (wrong.split('=')[0] ?? '').slice(0, 64).toWellFormed();
  throw new AgrinetError(
    'query-invalid',
    `${encodeURIComponent(name)}: not percent-encoded UTF-8; write a literal percent sign as %25`,
  );
}

/** Whether a text is percent-encoded UTF-8. */
export function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
