import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Env, MergePath, MergeSchemaPath, Schema } from 'hono/types';
import type { ApiEnv } from './access.ts';
import type { PageSegment } from './authenticate.ts';
import type { ApiContext } from './context.ts';
import type { Router } from './route.ts';
import type { TrendReports } from './trend-reports.ts';

/** The routes of a group, over what they use of the node. */
type Routes<R> = (node: ApiContext, trends: TrendReports) => R;

/** Routes that are loaded together. */
interface Group<At extends string, R> {
  /** Their paths. */
  readonly at: At;
  readonly load: () => Promise<Routes<R>>;
  /** The first segments of their paths. */
  readonly segments: readonly string[];
}

function group<At extends string, R>(
  at: At,
  load: () => Promise<Routes<R>>,
  segments = [at.split('/')[1] ?? ''],
): Group<At, R> {
  return { at, load, segments };
}

/** Every group of routes, in the order in which they are tried. Each is loaded when a path of its is first asked for. */
export const GROUPS = [
  group('/', async () => (await import('./routes/node.ts')).nodeRoutes, ['health', 'ready', 'status-page']),
  group('/metrics', async () => (await import('./routes/metrics.ts')).metricsRoutes),
  group('/listings', async () => (await import('./routes/listings.ts')).listingRoutes),
  group('/prices', async () => (await import('./routes/prices.ts')).priceRoutes),
  group('/contracts', async () => (await import('./routes/contracts.ts')).contractRoutes),
  group('/contracts', async () => (await import('./routes/contract-steps.ts')).contractStepRoutes),
  group('/contracts', async () => (await import('./routes/deal-note.ts')).dealNoteRoutes),
  group('/', async () => (await import('./routes/contracts.ts')).oldContractRoutes, ['createContract']),
  group('/transactions', async () => (await import('./routes/transactions.ts')).transactionRoutes),
  group('/', async () => (await import('./routes/ratings.ts')).ratingRoutes, ['submitRating', 'ratings']),
  group('/ratings', async () => (await import('./routes/rating-views.ts')).ratingViewRoutes),
  group('/ratings', async () => (await import('./routes/rating-notes.ts')).ratingNoteRoutes),
  group('/trust', async () => (await import('./routes/trust.ts')).trustRoutes),
  group('/geofence', async () => (await import('./routes/fence.ts')).fenceRoutes),
  group('/conversations', async () => (await import('./routes/conversations.ts')).conversationRoutes),
  group('/messages', async () => (await import('./routes/messages.ts')).messageRoutes),
  group('/messages', async () => (await import('./routes/erasure.ts')).erasureRoutes),
  group('/attachments', async () => (await import('./routes/attachments.ts')).attachmentRoutes),
  group('/conflicts', async () => (await import('./routes/conflicts.ts')).conflictRoutes),
  group('/trends', async () => (await import('./routes/trends.ts')).trendRoutes),
  group('/import', async () => (await import('./routes/import.ts')).importRoutes),
  group('/federation', async () => (await import('./routes/registration.ts')).registrationRoutes),
  group('/federation', async () => (await import('./routes/export.ts')).exportRoutes),
  group('/federation', async () => (await import('./routes/pull.ts')).pullRoutes),
  group('/federation', async () => (await import('./routes/feeds.ts')).feedRoutes),
  group('/federation', async () => (await import('./routes/peer-attachments.ts')).peerAttachmentRoutes),
  group('/federation', async () => (await import('./routes/snapshots.ts')).snapshotRoutes),
  group('/federation', async () => (await import('./routes/feed-file.ts')).feedFileRoutes),
  group('/federation', async () => (await import('./routes/digest.ts')).digestRoutes),
  group('/federation', async () => (await import('./routes/sync-worker.ts')).syncWorkerRoutes),
  group('/alarms', async () => (await import('./routes/alarms.ts')).alarmRoutes),
  group('/rejoin', async () => (await import('./routes/rejoin.ts')).rejoinRoutes),
  group('/checkpoints', async () => (await import('./routes/checkpoints.ts')).checkpointRoutes),
  group('/scrub', async () => (await import('./routes/scrub.ts')).scrubRoutes),
  group('/doctor', async () => (await import('./routes/doctor.ts')).doctorRoutes),
  group('/backup', async () => (await import('./routes/backup.ts')).backupRoutes),
  group('/jobs', async () => (await import('./routes/jobs.ts')).jobRoutes),
  group('/logs', async () => (await import('./routes/logs.ts')).logRoutes),
  group('/mirror', async () => (await import('./routes/mirror.ts')).mirrorRoutes),
  group('/users', async () => (await import('./routes/users.ts')).userRoutes),
  group('/wants', async () => (await import('./routes/wants.ts')).wantRoutes),
  group('/notifications', async () => (await import('./routes/notifications.ts')).notificationRoutes),
  group('/sms', async () => (await import('./routes/sms.ts')).smsRoutes),
  group('/api/keys', async () => (await import('./routes/keys.ts')).keyRoutes),
  group('/api/sessions', async () => (await import('./routes/sessions.ts')).sessionRoutes),
  group('/', async () => (await import('./routes/events.ts')).eventRoutes, ['events', 'stream']),
] as const;

type Mounted<G> =
  G extends Group<
    infer At,
    OpenAPIHono<infer _E extends Env, infer S extends Schema, infer _B extends string>
  >
    ? MergeSchemaPath<S, MergePath<'/', At>>
    : never;

/** The type of the API, for its typed client. */
export type Api = OpenAPIHono<ApiEnv, Mounted<(typeof GROUPS)[number]>, '/'>;

/** A path and the loader of what answers it; pages are in no document and in no client. */
const pages = (load: () => Promise<Routes<Router>>, ...segments: PageSegment[]): Group<'/', Router> =>
  group('/', load, segments);

/** The groups of pages, for browsers. */
export const PAGES = [
  pages(async () => (await import('./pages/home.ts')).homeRoutes, ''),
  pages(async () => (await import('./pages/market/listing.ts')).listingPageRoutes, 'market'),
  pages(async () => (await import('./pages/sign-in.ts')).signInRoutes, 'sign-in', 'sign-out'),
  pages(async () => (await import('./pages/admin/overview.ts')).adminRoutes, 'admin'),
  pages(async () => (await import('./pages/admin/federation.ts')).federationRoutes, 'admin'),
  pages(async () => (await import('./pages/admin/keys.ts')).keysRoutes, 'admin'),
  pages(async () => (await import('./pages/assets.ts')).assetRoutes, 'assets'),
] as const;
