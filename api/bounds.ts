import { createMiddleware } from 'hono/factory';
import type { ApiEnv } from './access.ts';
import { audited } from './audited.ts';
import { authenticate } from './authenticate.ts';
import type { ApiContext } from './context.ts';
import { errorAnswer, isClientGone } from './errors.ts';
import { allowOptions } from './limits/allow.ts';
import { bodyEncoding } from './limits/body-encoding.ts';
import { bodyLimits } from './limits/body.ts';
import { cors } from './limits/cors.ts';
import { hostCheck } from './limits/host-check.ts';
import { idempotency } from './limits/idempotency.ts';
import { rateLimit } from './limits/rate-limit.ts';
import { requestId } from './limits/request-id.ts';
import { measure } from './measure.ts';
import type { Router } from './route.ts';

/** Answers what a request throws, and paths that nothing takes. */
export function answerErrors(app: Router, node: ApiContext): void {
  app.onError((error, c) => {
    const { status, body } = errorAnswer(error);
    const id = c.get('requestId');
    node.metrics.refused(body.code);
    // A peer's fault, or a full disk, is reported to the caller and where it is noticed, not in a log line for each request.
    if ((status === 500 || body.code === 'token-unverifiable') && !isClientGone(error))
      node.log('request failed', { err: error, path: c.req.path, requestId: id });
    return c.json({ ...body, requestId: id }, status);
  });
  app.notFound((c) =>
    c.json(
      { error: 'Not found', message: 'Not found', code: 'not-found', requestId: c.get('requestId') },
      404,
    ),
  );
}

/** The middleware of every request, in this order. Rates and the like are counted once for all apps that it is given to. */
export function boundsOf(node: ApiContext): (app: Router) => void {
  const { limits, env } = node;
  const rates = rateLimit({ ...limits, now: env.monotonic });
  const before = [
    requestId(env),
    measure(node.metrics, env),
    versioned(node.version),
    hostCheck(limits),
    cors(limits.corsOrigins),
  ];
  const after = [
    rates.byAddress,
    authenticate(node.access),
    rates.byPrincipal,
    audited(node.audit),
    bodyEncoding(),
    bodyLimits(env),
    idempotency({
      table: node.idempotency,
      secretPaths: /^\/api\/keys/,
      streamedPaths: /^\/federation\/(import|plan|entries|feed-file|feeds\/[^/]+)$/,
    }),
  ];
  return (app) => {
    for (const each of [...before, allowOptions(app.router), ...after]) app.use(each);
  };
}

function versioned(version: string) {
  return createMiddleware<ApiEnv>(async (c, next) => {
    c.header('x-agrinet-version', version);
    await next();
  });
}
