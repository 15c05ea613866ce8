import { timingSafeEqual } from 'node:crypto';
import { Hono, type MiddlewareHandler } from 'hono';
import { AgrinetError } from '../protocols/errors.ts';
import { sha256 } from '../protocols/wire/bytes.ts';
import type { ApiContext } from './context.ts';
import { errorAnswer, isClientGone } from './errors.ts';
import { page } from './page.ts';
import { conflictRoutes } from './routes/conflicts.ts';
import { contractRoutes } from './routes/contracts.ts';
import { federationRoutes } from './routes/federation.ts';
import { importRoutes } from './routes/import.ts';
import { listingRoutes } from './routes/listings.ts';
import { priceRoutes } from './routes/prices.ts';

/** Every route of the node. `app.request()` tests it without a socket. */
export function createApp(node: ApiContext): Hono {
  const app = new Hono();
  const key = sha256(new TextEncoder().encode(node.apiKey));
  const holdsKey = (given: string | undefined): boolean =>
    given !== undefined && timingSafeEqual(sha256(new TextEncoder().encode(given)), key);
  const needsKey: MiddlewareHandler = async (c, next) => {
    if (!holdsKey(c.req.header('x-api-key')))
      throw new AgrinetError('unauthorized', 'Unauthorized: Invalid API Key');
    await next();
  };
  const mayRead: MiddlewareHandler = node.publicReads ? async (_, next) => next() : needsKey;
  const guards = { needsKey, mayRead };

  app.onError((error, c) => {
    const { status, body } = errorAnswer(error);
    if (status >= 500 && !isClientGone(error)) node.log('request failed', { err: error, path: c.req.path });
    return c.json(body, status);
  });
  app.notFound((c) => c.json({ error: 'Not found', code: 'not-found' }, 404));

  app.get('/health', (c) => c.json({ status: 'ok' }));
  app.get('/ready', (c) => {
    const trouble = node.trouble();
    if (trouble === undefined) return c.json({ status: 'ready', alarms: node.alarms() });
    return c.json(
      { status: 'not-ready', error: trouble.message, code: trouble.code, alarms: node.alarms() },
      503,
    );
  });
  app.get('/', mayRead, async (c) => {
    c.header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'");
    return c.html(await page(node));
  });
  app.route('/listings', listingRoutes(node, guards));
  app.route('/prices', priceRoutes(node, guards));
  app.route('/contracts', contractRoutes(node, guards));
  app.route('/conflicts', conflictRoutes(node, guards));
  app.route('/import', importRoutes(node, guards));
  app.route('/federation', federationRoutes(node, guards));
  return app;
}
