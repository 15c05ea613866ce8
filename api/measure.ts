import type { Env } from '../protocols/env.ts';
import { createMiddleware } from 'hono/factory';
import { routePath } from 'hono/route';
import type { ApiEnv } from './access.ts';
import type { MetricsPort } from './ports/metrics.ts';

/** What no route has taken: its path is the caller's choice and would be a series of its own each time. */
export const NO_ROUTE = 'none';

/** Counts requests and times them to the begin of their answers, by the pattern of the route that took them. */
export function measure(metrics: Pick<MetricsPort, 'answered'>, { monotonic }: Pick<Env, 'monotonic'>) {
  return createMiddleware<ApiEnv>(async (c, next) => {
    const started = monotonic();
    await next();
    // The innermost handler that ran; the middleware of all routes stands at `/*`.
    const pattern = routePath(c);
    const route = pattern === '' || pattern.endsWith('*') ? NO_ROUTE : pattern;
    metrics.answered(route, c.req.method, c.res.status, (monotonic() - started) / 1000);
  });
}
