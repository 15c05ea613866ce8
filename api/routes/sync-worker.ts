import { z } from '@hono/zod-openapi';
import { isErrorCode } from '../../protocols/error-codes.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { FeedName } from '../../protocols/ledger/types.ts';
import { FRONTIER_SEQUENCE, readFrontierSequence } from '../../protocols/mycelium/frontier-sequence.ts';
import { ITEM_SEQUENCE } from '../../protocols/mycelium/item-sequence.ts';
import { base64url } from '../../protocols/wire/bytes.ts';
import { parsePeerId } from '../../protocols/wire/identity.ts';
import { isChannel } from '../../protocols/wire/ids.ts';
import type { ApiContext } from '../context.ts';
import type { ExchangePort } from '../ports/exchange.ts';
import type { AskedSource, SignedRequest, WorkerOutcome } from '../ports/sync-target.ts';
import { readItems } from '../item-stream.ts';
import { PEER_CODES } from '../problem.ts';
import { bodyChunks, sequenceRead } from '../raw-body.ts';
import { json, jsonInput, rawInput, route, router } from '../route.ts';
import { count, text } from '../schemas.ts';
import { FeedFrontier } from './feeds.ts';

/**
 * What `agrinet worker` asks of the daemon: what to fetch from a registered node, and admitting the results. It has no key of the
 * node: requests are created and signed here, for the feeds of registered nodes and nothing else, and every entry and item is
 * checked here as if the daemon had fetched it.
 */
const tags = ['Workers'];

/** Peer id of a node, or `legacy:` and the origin of an old one. */
const id = z
  .string()
  .max(2048)
  .refine(isNodeId, 'must be a peer ID or legacy:<origin>')
  .openapi({ description: 'Peer ID or `legacy:<origin>` of a registered node.' });
const feedQuery = {
  author: z.string().max(128).openapi({ description: 'Peer ID of the author.' }),
  channel: z.string().max(256).openapi({ description: '`public`, or the key of a private record.' }),
};

const planQuery = z
  .object({
    source: id,
    frontier: z.literal('true').optional().openapi({
      description: 'Returns the source and a signed request for its frontier.',
    }),
    author: feedQuery.author.optional(),
    channel: feedQuery.channel.optional().openapi({
      description: 'With `author`: returns a signed request for the entries missing from this feed.',
    }),
    from: z
      .string()
      .regex(/^[0-9a-f]{16}$/)
      .optional()
      .openapi({
        description:
          '`next` of the previous response, for a feed with more epochs than fit into one request.',
      }),
  })
  .refine(
    ({ frontier, author, channel, from }) =>
      (author === undefined) === (channel === undefined) &&
      (frontier === undefined || author === undefined) &&
      (from === undefined || author !== undefined),
    'send frontier, or author and channel, or a frontier in the body',
  );
const Source = z
  .object({
    kind: z.enum(['agrinetd', 'legacy']),
    id: text('Peer ID or `legacy:<origin>`.'),
    url: text('URL.'),
    tlsFingerprint: text('SHA-256 of its TLS certificate, hex; empty without TLS.').optional(),
    etag: text('`ETag` of the last response.').optional(),
    key: text('API key for an old back end.').optional(),
  })
  .openapi('SyncSource');
const Signed = z
  .object({
    method: z.enum(['GET', 'POST']),
    path: text('Path and query, relative to the URL of the source.'),
    header: text('Value of the `x-agrinet-request` header.'),
    body: text('The range request to post, base64url.').optional(),
  })
  .openapi('SignedRequest');
const Feed = FeedFrontier.pick({ author: true, channel: true }).openapi('FeedReference');
const Plan = z
  .object({
    source: z
      .union([Source, z.null()])
      .optional()
      .openapi({ description: 'Null if it is not an active registered node with a URL.' }),
    feeds: z.array(Feed).optional().openapi({ description: 'Feeds with missing entries.' }),
    request: Signed.optional(),
    next: text('Pass it as `from` to get the next request for the same feed.').optional(),
  })
  .openapi('SyncPlan');
const plan = route('worker', {
  method: 'post',
  path: '/plan',
  operationId: 'planSync',
  tags,
  summary: 'Plan the next step of a sync with a registered node',
  description:
    'With `frontier=true`, returns the source and a signed request for its frontier; with that frontier as the body, the feeds with missing entries; with `author` and `channel`, a signed request for one of them.',
  request: {
    query: planQuery,
    body: {
      ...rawInput(FRONTIER_SEQUENCE, 'A frontier as returned by `GET /federation/feeds`.'),
      required: false,
    },
  },
  responses: {
    200: json(Plan, 'The next step.'),
  },
  codes: ['source-unknown'],
});
const SubmittedEntries = z
  .object({
    accepted: count('Number of entries accepted.'),
    known: count('Number of entries that were here already.'),
    ignored: count('Number of entries ignored.'),
    reasons: z
      .record(z.string(), z.number().int())
      .openapi({ description: 'Number of ignored entries by error code.' }),
  })
  .openapi('SubmittedEntries');
const entries = route('worker', {
  method: 'post',
  path: '/entries',
  operationId: 'submitEntries',
  tags,
  summary: 'Submit signed entries that a worker has fetched',
  request: {
    query: z.object({ source: id, ...feedQuery }),
    body: rawInput(ITEM_SEQUENCE, 'Entries as returned by `GET /federation/feeds/{author}`.'),
  },
  responses: {
    200: json(SubmittedEntries, 'What was accepted.'),
  },
  codes: ['not-asked-for', 'peer-sent-invalid', 'source-unknown'],
});
/** Spelled out nowhere in the document: there are hundreds, and each version has its own. */
const errorCode = z
  .string()
  .max(64)
  .refine(isErrorCode, 'must be a known error code')
  .openapi({ description: 'Error code; see protocols/error-codes.ts.' });
const Counted = z.object({
  received: count('Number of entries received.'),
  receivedPrivate: count('Number of those in private channels.').optional(),
  imported: count('Number of items imported.'),
  unchanged: count('Number of items that were already up to date.'),
  refused: count('Number of items rejected.'),
  bytes: count('Number of bytes received.'),
  lastHash: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  /** It is sent back as a header: what no header may hold would end every sync that follows. */
  etag: z
    .string()
    .max(256)
    .regex(/^[\t\x20-\x7e\x80-\xff]*$/)
    .optional(),
  error: z.object({ code: errorCode }).optional(),
});
const Outcome = Counted.refine(
  ({ received, receivedPrivate = 0 }) => receivedPrivate <= received,
  'receivedPrivate: at most received',
);
const synced = route('worker', {
  method: 'post',
  path: '/synced',
  operationId: 'reportSync',
  tags,
  summary: 'Report the outcome of a sync, or a changed certificate of the source',
  description:
    'Reports do not affect the reputation of the source. A changed certificate is accepted once the node key of the source confirms it.',
  request: {
    body: jsonInput(
      z
        .union([
          z.object({ source: id, outcome: Outcome }),
          z.object({ source: id, certificate: z.literal('changed') }),
        ])
        .openapi('SyncReport'),
    ),
  },
  responses: {
    200: json(
      z
        .object({
          noted: z.literal(true),
          tlsFingerprint: text('SHA-256 of the certificate now in force, hex, if it has changed.').optional(),
        })
        .openapi('SyncReportReceipt'),
      'Recorded.',
    ),
  },
  codes: [...PEER_CODES, 'source-unknown'],
});

export function syncWorkerRoutes({
  env,
  exchange: { worker, sources },
}: Pick<ApiContext, 'env'> & { readonly exchange: Pick<ExchangePort, 'worker' | 'sources'> }) {
  return router()
    .openapi(plan, async (c) => {
      const { source, frontier, author, channel, from } = c.req.valid('query');
      if (frontier !== undefined) return c.json(shownSource(await worker.source(source)), 200);
      if (author !== undefined && channel !== undefined) {
        const { request, next } = await worker.rangeRequest(source, feedOf(author, channel), from);
        return c.json({ request: shownRequest(request), ...(next === undefined ? {} : { next }) }, 200);
      }
      const pages = readFrontierSequence(bodyChunks(c, env), env);
      return c.json({ feeds: [...(await sequenceRead(worker.plan(source, pages)))] }, 200);
    })
    .openapi(entries, async (c) => {
      const { source, author, channel } = c.req.valid('query');
      const feed = feedOf(author, channel);
      const items = await readItems(bodyChunks(c, env));
      return c.json(await worker.receive(source, feed, items), 200);
    })
    .openapi(synced, async (c) => {
      const told = c.req.valid('json');
      if ('certificate' in told)
        return c.json(
          { noted: true as const, tlsFingerprint: await worker.renewCertificate(told.source) },
          200,
        );
      if (!sources().some((each) => each.id === told.source))
        throw new AgrinetError(
          'source-unknown',
          `${told.source} is not an active registered node with a URL`,
        );
      await worker.noteSync(told.source, outcomeOf(told.outcome));
      return c.json({ noted: true as const }, 200);
    });
}

function shownSource(found: AskedSource | undefined) {
  if (found === undefined) return { source: null };
  if (found.kind === 'legacy') return { source: found };
  const { request, ...source } = found;
  return { source, request: shownRequest(request) };
}

function shownRequest({ body, ...request }: SignedRequest): z.infer<typeof Signed> {
  return body === undefined ? request : { ...request, body: base64url(body) };
}

/** Throws `query-invalid`. */
function feedOf(authorText: string, channel: string): FeedName {
  const author = parsePeerId(authorText);
  if (author !== undefined && isChannel(channel)) return { author, channel };
  throw new AgrinetError(
    'query-invalid',
    'author: must be a peer ID; channel: must be public or a record key',
  );
}

function outcomeOf({
  receivedPrivate,
  lastHash,
  etag,
  error,
  ...counts
}: z.infer<typeof Outcome>): WorkerOutcome {
  return {
    ...counts,
    ...(receivedPrivate === undefined ? {} : { receivedPrivate }),
    ...(lastHash === undefined ? {} : { lastHash }),
    ...(etag === undefined ? {} : { etag }),
    ...(error !== undefined && isErrorCode(error.code) ? { error: { code: error.code } } : {}),
  };
}

function isNodeId(text: string): boolean {
  if (!text.startsWith('legacy:')) return parsePeerId(text) !== undefined;
  const origin = text.slice('legacy:'.length);
  return /^https?:/.test(origin) && URL.canParse(origin) && new URL(origin).origin === origin;
}
