import { createMiddleware } from 'hono/factory';
import { routePath } from 'hono/route';
import { type ApiEnv, isOperator, type Principal } from './access.ts';
import { REPLAYED } from './limits/idempotency.ts';
import type { AuditPort, Caller } from './ports/audit.ts';

/** Methods that change nothing. */
const SAFE: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
/** Forwards what is not stored, many times a second. */
const KEPT_NOWHERE: ReadonlySet<string> = new Set(['/stream/:conversationId/tokens']);
/** Characters of an id from a path: as many as an id has. */
const SUBJECT_CHARS = 256;

/**
 * Logs with which key and scope each write was made, and for whom. The write's own audit lines carry that; a write without any gets
 * a line of its own, except for what a user writes in its own name, which the record itself shows. It names the route and the id in
 * its path, never the body.
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

/** Until the guard of the route says which of them it used. */
function scopeOf(principal: Principal): string {
  return isOperator(principal) ? 'operator' : [...principal.scopes].join(' ');
}
