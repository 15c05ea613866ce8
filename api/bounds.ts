import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import { AgrinetError } from '../protocols/errors.ts';
import type { ApiEnv } from './access.ts';
import { audited } from './audited.ts';
import { authenticate, isPage } from './authenticate.ts';
import type { ApiContext } from './context.ts';
import { type ErrorAnswer, errorAnswer, isClientGone } from './errors.ts';
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
  app.onError(async (error, c) => {
    const answer = errorAnswer(error);
    const { status, body } = answer;
    const id = c.get('requestId');
    node.metrics.refused(body.code);
    // A peer's fault, or a full disk, is reported to the caller and where it is noticed, not in a log line for each request.
    if ((status === 500 || body.code === 'token-unverifiable') && !isClientGone(error))
      node.log('request failed', { err: error, path: c.req.path, requestId: id });
    return (await asPage(c, node, answer)) ?? c.json({ ...body, requestId: id }, status);
  });
  app.notFound(async (c) => {
    const answer = errorAnswer(new AgrinetError('not-found', 'Not found'));
    const page = await asPage(c, node, answer);
    return page ?? c.json({ ...answer.body, requestId: c.get('requestId') }, 404);
  });
}

/** The answer as a page, where a browser shows it; undefined elsewhere, and when the page cannot be made. */
async function asPage(
  c: Context<ApiEnv>,
  node: ApiContext,
  answer: ErrorAnswer,
): Promise<Response | undefined> {
  if (!isPage(c.req.path)) return undefined;
  try {
    return await (await import('./pages/error-page.ts')).errorPage(c, node, answer);
  } catch (error) {
    node.log('an error page could not be made', { err: error, path: c.req.path });
    return undefined;
  }
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
    authenticate(node),
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
