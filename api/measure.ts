import type { Env } from '../protocols/env.ts';
import { createMiddleware } from 'hono/factory';
import { routePath } from 'hono/route';
import type { ApiEnv } from './access.ts';
import type { MetricsPort } from './ports/metrics.ts';

/** Requests that matched no route: their paths are the caller's choice and would each create a series. */
export const NO_ROUTE = 'none';

/** Counts requests and times them to the begin of their answers, by the pattern of the route that took them. */
export function measure(metrics: Pick<MetricsPort, 'answered'>, { monotonic }: Pick<Env, 'monotonic'>) {
  return createMiddleware<ApiEnv>(async (c, next) => {
    const started = monotonic();
    await next();
    // The innermost handler that ran; the middleware of all routes is at `/*`.
    const pattern = routePath(c);
    const route = pattern === '' || pattern.endsWith('*') ? NO_ROUTE : pattern;
    metrics.answered(route, c.req.method, c.res.status, (monotonic() - started) / 1000);
  });
}
