import { alarmRoutes } from './routes/alarms.ts';
import { audited } from './audited.ts';
import { authenticate } from './authenticate.ts';
import type { ApiContext } from './context.ts';
import { errorAnswer, isClientGone } from './errors.ts';
import { bodyEncoding } from './limits/body-encoding.ts';
import { bodyLimits } from './limits/body.ts';
import { allowOptions } from './limits/allow.ts';
import { cors } from './limits/cors.ts';
import { hostCheck } from './limits/host-check.ts';
import { idempotency } from './limits/idempotency.ts';
import { rateLimit } from './limits/rate-limit.ts';
import { requestId } from './limits/request-id.ts';
import { measure } from './measure.ts';
import { describeRoutes } from './openapi.ts';
import { router, type Router } from './route.ts';
import { backupRoutes } from './routes/backup.ts';
import { conflictRoutes } from './routes/conflicts.ts';
import { contractRoutes, oldContractRoutes } from './routes/contracts.ts';
import { conversationRoutes } from './routes/conversations.ts';
import { digestRoutes } from './routes/digest.ts';
import { doctorRoutes } from './routes/doctor.ts';
import { erasureRoutes } from './routes/erasure.ts';
import { eventRoutes } from './routes/events.ts';
import { fenceRoutes } from './routes/fence.ts';
import { exportRoutes } from './routes/export.ts';
import { feedFileRoutes } from './routes/feed-file.ts';
import { feedRoutes } from './routes/feeds.ts';
import { importRoutes } from './routes/import.ts';
import { jobRoutes } from './routes/jobs.ts';
import { keyRoutes } from './routes/keys.ts';
import { listingRoutes } from './routes/listings.ts';
import { logRoutes } from './routes/logs.ts';
import { messageRoutes } from './routes/messages.ts';
import { metricsRoutes } from './routes/metrics.ts';
import { mirrorRoutes } from './routes/mirror.ts';
import { nodeRoutes } from './routes/node.ts';
import { notificationRoutes } from './routes/notifications.ts';
import { priceRoutes } from './routes/prices.ts';
import { pullRoutes } from './routes/pull.ts';
import { ratingRoutes } from './routes/ratings.ts';
import { registrationRoutes } from './routes/registration.ts';
import { rejoinRoutes } from './routes/rejoin.ts';
import { scrubRoutes } from './routes/scrub.ts';
import { syncWorkerRoutes } from './routes/sync-worker.ts';
import { transactionRoutes } from './routes/transactions.ts';
import { trendRoutes } from './routes/trends.ts';
import { trustRoutes } from './routes/trust.ts';
import { createTrendReports } from './trend-reports.ts';

/** Every route of the node, behind what bounds them all. `app.request()` tests it without a socket. */
export function createApp(node: ApiContext) {
  const app = router();
  answerErrors(app, node);
  boundRequests(app, node);
  const trends = createTrendReports(node.trends, node.env.now);
  const routes = app
    .route('/', nodeRoutes(node, trends))
    .route('/metrics', metricsRoutes(node))
    .route('/listings', listingRoutes(node))
    .route('/prices', priceRoutes(node))
    .route('/contracts', contractRoutes(node))
    .route('/', oldContractRoutes(node))
    .route('/transactions', transactionRoutes(node))
    .route('/', ratingRoutes(node))
    .route('/trust', trustRoutes(node))
    .route('/geofence', fenceRoutes(node))
    .route('/conversations', conversationRoutes(node))
    .route('/messages', messageRoutes(node))
    .route('/messages', erasureRoutes(node))
    .route('/conflicts', conflictRoutes(node))
    .route('/trends', trendRoutes(node, trends))
    .route('/import', importRoutes(node))
    .route('/federation', registrationRoutes(node))
    .route('/federation', exportRoutes(node))
    .route('/federation', pullRoutes(node))
    .route('/federation', feedRoutes(node))
    .route('/federation', feedFileRoutes(node))
    .route('/federation', digestRoutes(node))
    .route('/federation', syncWorkerRoutes(node))
    .route('/alarms', alarmRoutes(node))
    .route('/rejoin', rejoinRoutes(node))
    .route('/scrub', scrubRoutes(node))
    .route('/doctor', doctorRoutes(node))
    .route('/backup', backupRoutes(node))
    .route('/jobs', jobRoutes(node))
    .route('/logs', logRoutes(node))
    .route('/mirror', mirrorRoutes(node))
    .route('/notifications', notificationRoutes(node))
    .route('/api/keys', keyRoutes(node))
    .route('/', eventRoutes(node));
  describeRoutes(app, node.version);
  return routes;
}

function answerErrors(app: Router, node: ApiContext): void {
  app.onError((error, c) => {
    const { status, body } = errorAnswer(error);
    const id = c.get('requestId');
    node.metrics.refused(body.code);
    // What a peer did wrong, or a full disk, is told to the caller and where it is noticed: not in a line for each request.
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

/** What every request passes, in this order. */
function boundRequests(app: Router, node: ApiContext): void {
  const { limits, env } = node;
  const rates = rateLimit({ ...limits, now: env.monotonic });
  app.use(requestId(env));
  app.use(measure(node.metrics, env));
  app.use(async (c, next) => {
    c.header('x-agrinet-version', node.version);
    await next();
  });
  app.use(hostCheck(limits));
  app.use(cors(limits.corsOrigins));
  app.use(allowOptions(app.router));
  app.use(rates.byAddress);
  app.use(authenticate(node.access));
  app.use(rates.byPrincipal);
  app.use(audited(node.audit));
  app.use(bodyEncoding());
  app.use(bodyLimits(env));
  app.use(
    idempotency({
      table: node.idempotency,
      secretPaths: /^\/api\/keys/,
      streamedPaths: /^\/federation\/(import|plan|entries|feed-file|feeds\/[^/]+)$/,
    }),
  );
}

/** The type of the API, for its typed client. */
export type Api = ReturnType<typeof createApp>;
