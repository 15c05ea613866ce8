import { z } from '@hono/zod-openapi';
import { isErrorCode } from '../../protocols/error-codes.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import type { FeedName } from '../../protocols/ledger/types.ts';
import { FRONTIER_SEQUENCE, readFrontierSequence } from '../../protocols/mycelium/frontier-sequence.ts';
import { decodeItems, ITEM_SEQUENCE } from '../../protocols/mycelium/item-sequence.ts';
import { FRAME_LIMITS } from '../../protocols/mycelium/range-frame.ts';
import type { RangeItem } from '../../protocols/mycelium/range-item.ts';
import { base64url } from '../../protocols/wire/bytes.ts';
import { parsePeerId } from '../../protocols/wire/identity.ts';
import { isChannel } from '../../protocols/wire/ids.ts';
import type { ApiContext } from '../context.ts';
import type { ExchangePort } from '../ports/exchange.ts';
import type { AskedSource, SignedRequest, WorkerOutcome } from '../ports/sync-target.ts';
import { bodyChunks } from '../raw-body.ts';
import { json, jsonInput, rawInput, route, router } from '../route.ts';

/**
 * What `agrinet worker` asks of the daemon: what to fetch from a registered node, and what becomes of what it got. It has no key of the
 * node: requests are made and signed here, for the feeds of registered nodes and nothing else, and every entry and item is checked here as
 * if the daemon had fetched it.
 */
const tags = ['Workers'];

/** Peer id of a node, or `legacy:` and the origin of an old one. */
const id = z
  .string()
  .max(2048)
  .refine(isNodeId, 'the peer id of a node, or legacy: and the origin of an old one');
const feedQuery = { author: z.string().max(128), channel: z.string().max(256) };

const planQuery = z
  .object({
    source: id,
    frontier: z.literal('true').optional().openapi({
      description: 'Answers with the source, and with a signed request for its frontier',
    }),
    author: feedQuery.author.optional(),
    channel: feedQuery.channel.optional().openapi({
      description: 'With author: answers with a signed request for what is missing here of this feed',
    }),
    from: z
      .string()
      .regex(/^[0-9a-f]{16}$/)
      .optional()
      .openapi({
        description: '`next` of the answer before, for a feed of more epochs than one request names',
      }),
  })
  .refine(
    ({ frontier, author, channel, from }) =>
      (author === undefined) === (channel === undefined) &&
      (frontier === undefined || author === undefined) &&
      (from === undefined || author !== undefined),
    'frontier, or author and channel, or neither and a frontier as the body',
  );
const Source = z.object({
  kind: z.enum(['agrinetd', 'legacy']),
  id: z.string(),
  url: z.string(),
  tlsFingerprint: z.string().optional(),
  etag: z.string().optional(),
  key: z.string().optional(),
});
const Signed = z.object({
  method: z.enum(['GET', 'POST']),
  path: z.string().openapi({ description: 'Path and query behind the URL of the source' }),
  header: z.string().openapi({ description: 'The value of x-agrinet-request' }),
  body: z.string().optional().openapi({ description: 'The range request to post, base64url' }),
});
const plan = route('worker', {
  method: 'post',
  path: '/plan',
  operationId: 'planSync',
  tags,
  summary: 'What to ask a registered node for next, as signed requests for its feeds',
  description:
    'With frontier=true: the source and a request for its frontier. With that frontier as the body: the feeds of which something is missing here. With author and channel: a request for one of them, made now.',
  request: {
    query: planQuery,
    body: {
      ...rawInput(FRONTIER_SEQUENCE, 'The pages of a frontier, as GET /federation/feeds gives them'),
      required: false,
    },
  },
  responses: {
    200: json(
      z.object({
        source: Source.nullable().optional().openapi({
          description: 'Null when it is not an active registered node with an address',
        }),
        feeds: z.array(z.object({ author: z.string(), channel: z.string() })).optional(),
        request: Signed.optional(),
        next: z.string().optional(),
      }),
      'As asked',
    ),
  },
});
const entries = route('worker', {
  method: 'post',
  path: '/entries',
  operationId: 'submitEntries',
  tags,
  summary: 'Signed entries that a worker has fetched',
  request: {
    query: z.object({ source: id, ...feedQuery }),
    body: rawInput(ITEM_SEQUENCE, 'Range items, as GET /federation/feeds/{author} gives them'),
  },
  responses: {
    200: json(
      z.object({
        accepted: z.number().int(),
        known: z.number().int(),
        ignored: z.number().int(),
        reasons: z.record(z.string(), z.number().int()),
      }),
      'What became of them',
    ),
  },
});
const count = z.number().int().min(0);
/** Spelled out nowhere in the document: there are hundreds, and each version has its own. */
const errorCode = z
  .string()
  .max(64)
  .refine(isErrorCode, 'not a code of this version')
  .openapi({ description: 'A code of `protocols/error-codes.ts`; its sentence is written here' });
const Outcome = z.object({
  received: count,
  receivedPrivate: count.optional(),
  imported: count,
  unchanged: count,
  refused: count,
  bytes: count,
  lastHash: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  etag: z.string().max(256).optional(),
  error: z.object({ code: errorCode }).optional(),
});
const synced = route('worker', {
  method: 'post',
  path: '/synced',
  operationId: 'reportSync',
  tags,
  summary: 'Note how a sync ended, or that the source shows another certificate',
  description:
    'Nothing that is told here is held against the source. A changed certificate counts when the node key of the source vouches for it.',
  request: {
    body: jsonInput(
      z.union([
        z.object({ source: id, outcome: Outcome }),
        z.object({ source: id, certificate: z.literal('changed') }),
      ]),
    ),
  },
  responses: {
    200: json(
      z.object({
        noted: z.literal(true),
        tlsFingerprint: z.string().optional().openapi({
          description: 'Of the certificate now in force, when it was told to have changed',
        }),
      }),
      'Noted',
    ),
  },
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
      return c.json({ feeds: [...(await bodyRead(worker.plan(source, pages)))] }, 200);
    })
    .openapi(entries, async (c) => {
      const { source, author, channel } = c.req.valid('query');
      const feed = feedOf(author, channel);
      const items = await bodyRead(itemsOf(bodyChunks(c, env)));
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
          `${told.source} is not an active registered node with an address`,
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
  throw new AgrinetError('query-invalid', 'author: a peer id; channel: public, or a record key');
}

/** Items of one body: no more than a frame holds. Throws `body-too-large`, `range-malformed`. */
async function itemsOf(body: AsyncIterable<Uint8Array>): Promise<RangeItem[]> {
  const items: RangeItem[] = [];
  let bytes = 0;
  for await (const each of decodeItems(body)) {
    bytes += each.bytes.length;
    if (bytes > FRAME_LIMITS.frameBytes || items.push(each) > FRAME_LIMITS.frameItems)
      throw new AgrinetError(
        'body-too-large',
        `entries: at most ${FRAME_LIMITS.frameItems} in ${FRAME_LIMITS.frameBytes} bytes`,
      );
  }
  return items;
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

/** What is read from a body: a codec’s refusal is that of the body. */
async function bodyRead<T>(reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    const codes = ['frontier-malformed', 'range-malformed', 'not-canonical'];
    if (!(error instanceof AgrinetError) || !codes.includes(error.code)) throw error;
    throw new AgrinetError('body-malformed', error.message, { cause: error });
  }
}
