import { z } from '@hono/zod-openapi';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { isOperator, type Principal } from '../access.ts';
import type { ExchangePort } from '../ports/exchange.ts';
import type { FencePort } from '../ports/trust.ts';
import { bodyChunks } from '../raw-body.ts';
import { json, jsonInput, route, router } from '../route.ts';
import type { JSONValue } from 'hono/utils/types';
import { pageQuery } from '../schemas.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import { nextOf, placeOf } from '../paging.ts';

const tags = ['Federation'];
/** What a field of an old node’s item may be is its own matter. */
const anyValue = z.unknown() as z.ZodType<JSONValue | undefined>; // it was JSON when it came

const pull = route(
  'operator',
  {
    operationId: 'pullFromNode',
    method: 'post',
    path: '/pull',
    tags,
    summary: 'Pull from one registered node now',
    request: {
      body: jsonInput(
        z.object({
          sourceUrl: z
            .string()
            .min(1)
            .max(2048)
            .openapi({ description: 'The URL or origin of a registered node' }),
          force: z.boolean().default(false).openapi({
            description: 'Forget what is remembered of it; build an old node’s part anew. Skips no check',
          }),
        }),
      ),
    },
    responses: {
      202: json(
        z.object({ job: z.object({ id: z.string(), state: z.string() }) }),
        'Queued; how it goes is at /jobs/{id}',
      ),
    },
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
    summary:
      'Queue a sync with every registered node; what cron calls. Once a minute, however often it is asked for',
    responses: {
      202: json(
        z.object({
          status: z.literal('queued'),
          jobs: z.number().int().optional(),
          coalesced: z.literal(true).optional(),
          next: z.iso.datetime().optional(),
        }),
        'Queued, now or by the call that came before',
      ),
    },
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
    summary:
      'Import an export {listings, contracts, transactions, users} of an old node, with the checks of a pull',
    request: {
      query: z.object({
        source: z.string().max(2048).default('legacy:import').openapi({
          description: 'The origin it came from; kept apart from everything else under this name',
        }),
        force: z.enum(['true', 'false']).default('false'),
      }),
      // Not a zod schema: the route reads the body as a stream, and nobody before it may.
      body: {
        required: true,
        description: 'The export; up to 256 MiB',
        content: { 'application/json': { schema: { type: 'object' as const } } },
      },
    },
    responses: {
      200: json(
        z.object({
          source: z.string(),
          imported: z.number().int(),
          unchanged: z.number().int(),
          refusedCount: z.number().int(),
          refused: z.array(
            z.object({
              collection: z.string(),
              index: z.number().int(),
              id: z.string().optional(),
              reason: z.string(),
            }),
          ),
          sha256: z.string(),
        }),
        'What became of the items; the first hundred refused ones by name',
      ),
    },
  },
  'ignored',
);
const legacy = route('read', {
  operationId: 'listLegacyItems',
  method: 'get',
  path: '/legacy/{collection}',
  tags,
  summary: 'Items pulled from an old node: never part of this node’s feeds, export or digest',
  request: {
    params: z.object({ collection: z.enum(['listings', 'contracts', 'transactions', 'users']) }),
    query: z.object({
      source: z.string().max(2048).optional(),
      ...pageQuery,
      fence: z.enum(['on', 'off']).default('on'),
    }),
  },
  responses: {
    200: json(
      z.object({
        sources: z.array(z.string()),
        items: z.array(
          z.object({ id: z.string(), owner: z.string(), updatedAt: z.iso.datetime() }).catchall(anyValue),
        ),
        cursor: z.string().optional(),
      }),
      'One page of one source; `sources` names them all',
    ),
  },
});
/** Pulls and imports, and what they brought from old nodes. */
export function pullRoutes({
  env,
  exchange,
  fence,
}: {
  readonly env: Pick<Env, 'monotonic'>;
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

/** A source's name: `legacy:` and its origin, or `legacy:import` for what the operator brings. Throws `query-invalid`. */
function sourceOf(text: string): string {
  const name = text.replace(/^legacy:/, '');
  if (name === 'import') return 'legacy:import';
  if (/^https?:/.test(name) && URL.canParse(name)) return `legacy:${new URL(name).origin}`;
  throw new AgrinetError('query-invalid', 'source: the http(s) origin of an old node, or legacy:import');
}

/** A worker brings only what registered nodes have. Throws `source-unknown`. */
function mayImport(source: string, principal: Principal, exchange: ExchangePort): void {
  if (isOperator(principal) || exchange.sources().some(({ id }) => id === source)) return;
  throw new AgrinetError('source-unknown', `${source} is not a registered old node; its operator can add it`);
}
