import { createMiddleware } from 'hono/factory';
import { routePath } from 'hono/route';
import { type ApiEnv, isOperator, type Principal } from './access.ts';
import { REPLAYED } from './limits/idempotency.ts';
import type { AuditPort, Caller } from './ports/audit.ts';

/** Methods that change nothing. */
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
/** Passes on what is kept nowhere, many times a second. */
const KEPT_NOWHERE: ReadonlySet<string> = new Set(['/stream/:conversationId/tokens']);
/** Characters of an id from a path: as many as an id has. */
const SUBJECT_CHARS = 256;

/**
 * Writes down with which key and which of its scopes each write was done, and for whom. The lines that the write itself leaves carry
 * that; a write that leaves none has one of its own, but for what a user writes in its own name, which the record itself says. Of the request it names the route and the id in its path, never what was sent.
 */
export function audited(audit: Pick<AuditPort, 'during' | 'wrote'>) {
  return createMiddleware<ApiEnv>(async (c, next) => {
    const principal = c.get('principal');
    if (SAFE.has(c.req.method) || principal.id === 'anonymous') return next();
    const caller: Caller = { key: principal.id, scope: scopeOf(principal), user: principal.userId };
    c.set('caller', caller);
    await audit.during(caller, async () => {
      await next();
      const route = routePath(c);
      if (c.res.status >= 400 || c.res.headers.has(REPLAYED) || KEPT_NOWHERE.has(route)) return;
      const subject = Object.values<string>(c.req.param())[0]?.slice(0, SUBJECT_CHARS);
      audit.wrote(caller, `${c.req.method} ${route}`, subject);
    });
    return undefined;
  });
}

/** Until the guard of the route says which of them it took. */
function scopeOf(principal: Principal): string {
  return isOperator(principal) ? 'operator' : [...principal.scopes].join(' ');
}
