import { createMiddleware } from 'hono/factory';
import type { Router } from 'hono/router';
import type { RouterRoute } from 'hono/types';
import type { ApiEnv } from '../access.ts';

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

/**
 * Answers OPTIONS with what a path takes, as load balancers ask for health and browsers for more (RFC 9110, 9.3.7). A preflight was
 * answered before, where CORS allows it. A path that takes nothing is not found, as with any other method.
 */
export function allowOptions(router: Router<readonly [unknown, RouterRoute]>) {
  const takes = (method: string, path: string): boolean => {
    const [found] = router.match(method, path);
    return found.some(([[, route]]) => route.method === method);
  };
  return createMiddleware<ApiEnv>(async (c, next) => {
    if (c.req.method !== 'OPTIONS') return next();
    const methods: string[] = METHODS.filter((method) => takes(method, c.req.path));
    if (methods.length === 0) return next();
    if (methods[0] === 'GET') methods.splice(1, 0, 'HEAD');
    return c.body(null, 204, { allow: [...methods, 'OPTIONS'].join(', ') });
  });
}
