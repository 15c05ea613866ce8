import { z } from '@hono/zod-openapi';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { isOperator, type Principal } from '../access.ts';
import type { ExchangePort } from '../ports/exchange.ts';
import type { FencePort } from '../ports/trust.ts';
import { bodyChunks } from '../raw-body.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { FenceReason } from '../market-schemas.ts';
import { JOB_STATES } from '../ports/jobs.ts';
import { count, JsonValue, pageOf, pageQuery, text, texts, timestamp } from '../schemas.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import { nextOf, placeOf } from '../paging.ts';

const tags = ['Federation'];
const items = { type: 'array' as const, items: { $ref: '#/components/schemas/JsonValue' } };
const LEGACY_EXPORT = {
  type: 'object' as const,
  properties: { listings: items, contracts: items, transactions: items, users: items },
};
const QueuedSync = z
  .object({ job: z.object({ id: text('ID of the job.'), state: z.enum(JOB_STATES) }) })
  .openapi('QueuedSync');
const SyncAll = z
  .object({
    status: z.literal('queued'),
    jobs: count('Number of jobs queued.').optional(),
    coalesced: z.literal(true).optional().openapi({ description: 'An earlier request has queued the sync.' }),
    next: timestamp('When the next sync can be queued; with `coalesced`.').optional(),
  })
  .openapi('SyncAllResult');
const ImportResult = z
  .object({
    source: text('Name of the source.'),
    imported: count('Number of items imported.'),
    unchanged: count('Number of items that were already up to date.'),
    refusedCount: count('Number of items rejected.'),
    refused: z
      .array(
        z.object({
          collection: text('Section of the export.'),
          index: count('Position in the section.'),
          id: text('ID of the item, if it has one.').optional(),
          reason: text('Why it was rejected.'),
        }),
      )
      .openapi({ description: 'Rejected items; the first hundred of them.' }),
    sha256: text('SHA-256 of the body, hex.'),
  })
  .openapi('ImportResult');
const LegacyItem = z
  .object({
    id: text('ID of the item on the old node.'),
    owner: text('`legacy:<origin>`.'),
    updatedAt: timestamp('When it was last updated.'),
    outside: FenceReason.optional(),
  })
  .catchall(JsonValue)
  .openapi('LegacyItem', { description: 'An item of an old back end, with its original fields.' });
const LegacyPage = pageOf('items', LegacyItem)
  .extend({ sources: texts('All sources, `legacy:<origin>`.') })
  .openapi('LegacyItemPage');

const pull = route(
  'operator',
  {
    operationId: 'pullFromNode',
    method: 'post',
    path: '/pull',
    tags,
    summary: 'Pull from a registered node now',
    request: {
      body: jsonInput(
        z.object({
          sourceUrl: z
            .string()
            .min(1)
            .max(2048)
            .openapi({ description: 'URL or origin of a registered node.' }),
          force: z.boolean().default(false).openapi({
            description:
              'Ignore the state of earlier pulls, and rebuild the data of an old back end. All checks still apply.',
          }),
        }),
      ),
    },
    responses: { 202: json(QueuedSync, 'Queued; see `/jobs/{id}` for progress.') },
    codes: ['address-refused', 'jobs-full', 'node-suspended', 'source-unknown'],
  },
  'ignored',
);
const sync = route(
  'open',
  {
    operationId: 'syncAllNodes',
    method: 'get',
    path: '/sync',
    tags,
    summary: 'Queue a sync with every registered node, at most once a minute',
    description: 'For cron jobs. Of the nodes that do not answer, each round tries 32.',
    responses: { 202: json(SyncAll, 'Queued by this request or by an earlier one.') },
    codes: ['jobs-full'],
  },
  'ignored',
);
const take = route(
  'worker',
  {
    operationId: 'importLegacyExport',
    method: 'post',
    path: '/import',
    tags,
    summary: 'Import an export of an old back end, with the same checks as a pull',
    request: {
      query: z.object({
        source: z.string().max(2048).default('legacy:import').openapi({
          description: 'Origin of the export; items are stored under this name.',
        }),
        force: z
          .enum(['true', 'false'])
          .default('false')
          .openapi({ description: 'Import it again even if it has not changed.' }),
      }),
      // Not a zod schema: the route reads the body as a stream, and nothing may read it before.
      body: {
        required: true,
        description: 'The export, up to 256 MiB.',
        content: { 'application/json': { schema: LEGACY_EXPORT } },
      },
    },
    responses: { 200: json(ImportResult, 'What was imported.') },
    codes: ['export-differs', 'export-malformed', 'schema-newer', 'source-unknown'],
  },
  'ignored',
);
const legacy = route('read', {
  operationId: 'listLegacyItems',
  method: 'get',
  path: '/legacy/{collection}',
  tags,
  summary: 'List items pulled from an old back end',
  description: 'They are kept apart from the feeds, exports and digests of this node.',
  request: {
    params: z.object({ collection: z.enum(['listings', 'contracts', 'transactions', 'users']) }),
    query: z.object({
      source: z
        .string()
        .max(2048)
        .optional()
        .openapi({ description: 'Origin of the old back end; by default the first source.' }),
      ...pageQuery,
      fence: z
        .enum(['on', 'off'])
        .default('on')
        .openapi({ description: '`off` includes listings outside the geofence.' }),
    }),
  },
  responses: { 200: json(LegacyPage, 'A page of items of one source.') },
});
/** Pulls and imports, and the items they stored from old nodes. */
export function pullRoutes({
  env,
  exchange,
  fence,
}: {
  readonly env: Pick<Env, 'after' | 'monotonic'>;
  readonly exchange: ExchangePort;
  readonly fence: Pick<FencePort, 'reason'>;
}) {
  return router()
    .openapi(pull, async (c) => {
      const { sourceUrl, force } = c.req.valid('json');
      const { id, state } = await exchange.pull(sourceUrl, force);
      return c.json({ job: { id, state } }, 202);
    })
    .openapi(sync, async (c) => {
      const done = await exchange.syncAll();
      const status = 'queued' as const;
      return 'jobs' in done
        ? c.json({ status, jobs: done.jobs }, 202)
        : c.json({ status, coalesced: true as const, next: isoTime(done.next) }, 202);
    })
    .openapi(take, async (c) => {
      const { source: named, force } = c.req.valid('query');
      const source = sourceOf(named);
      mayImport(source, c.get('principal'), exchange);
      const totals = await exchange.importLegacy(source, bodyChunks(c, env), {
        force: force === 'true',
        signal: c.req.raw.signal,
      });
      return c.json({ source, ...totals }, 200);
    })
    .openapi(legacy, async (c) => {
      const { source, limit, cursor } = c.req.valid('query');
      const from = placeOf(c, cursor);
      const sources = await exchange.legacy.sources();
      const chosen = source === undefined ? sources[0] : sourceOf(source);
      if (chosen === undefined) return c.json({ sources, items: [] }, 200);
      const page = await exchange.legacy.list(c.req.valid('param').collection, chosen, limit, from);
      const { collection } = c.req.valid('param');
      const items = page.items.flatMap(({ item, id, updatedAt }) => {
        const outside = collection === 'listings' ? fence.reason(chosen, item) : undefined;
        if (outside !== undefined && c.req.valid('query').fence === 'on') return [];
        const row = { ...item, id, owner: chosen, updatedAt: isoTime(updatedAt) };
        return [outside === undefined ? row : { ...row, outside }];
      });
      return c.json({ sources, items, ...nextOf(c, page.cursor) }, 200);
    });
}

/** A source's name: `legacy:` and its origin, or `legacy:import` for the operator's imports. Throws `query-invalid`. */
function sourceOf(text: string): string {
  const name = text.replace(/^legacy:/, '');
  if (name === 'import') return 'legacy:import';
  if (/^https?:/.test(name) && URL.canParse(name)) return `legacy:${new URL(name).origin}`;
  throw new AgrinetError(
    'query-invalid',
    'source: must be the http(s) origin of an old back end, or legacy:import',
  );
}

/** A worker only passes on what registered nodes have. Throws `source-unknown`. */
function mayImport(source: string, principal: Principal, exchange: ExchangePort): void {
  if (isOperator(principal) || exchange.sources().some(({ id }) => id === source)) return;
  throw new AgrinetError(
    'source-unknown',
    `${source} is not a registered old back end; register it with: agrinet nodes add`,
  );
}
