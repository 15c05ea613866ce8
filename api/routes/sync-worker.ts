import { z } from '@hono/zod-openapi';
import { isErrorCode } from '../../protocols/error-codes.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { decodeItems, ITEM_SEQUENCE } from '../../protocols/mycelium/item-sequence.ts';
import { FRONTIER_SEQUENCE, readFrontierSequence } from '../../protocols/mycelium/frontier-sequence.ts';
import type { RangeRequest } from '../../protocols/mycelium/range.ts';
import { FRAME_LIMITS } from '../../protocols/mycelium/range-frame.ts';
import type { RangeItem } from '../../protocols/mycelium/range-item.ts';
import { parsePeerId } from '../../protocols/wire/identity.ts';
import { isChannel } from '../../protocols/wire/ids.ts';
import type { ApiContext } from '../context.ts';
import type { ExchangePort, WorkerOutcome } from '../ports/exchange.ts';
import { bodyChunks } from '../raw-body.ts';
import { json, jsonInput, rawInput, route, router } from '../route.ts';

/**
 * What `agrinet worker` asks of the daemon: it fetches from registered nodes and hands in what it got. It has no key of the node:
 * requests are signed here, and every entry and item is checked here as if the daemon had fetched it.
 */
const tags = ['Workers'];

/** Peer id of a node, or `legacy:` and the origin of an old one. */
const id = z
  .string()
  .max(2048)
  .refine(isNodeId, 'the peer id of a node, or legacy: and the origin of an old one');
const named = jsonInput(z.object({ source: id }));

const source = route('worker', {
  operationId: 'getSyncSource',
  method: 'get',
  path: '/source',
  tags,
  summary: 'A registered node to sync with',
  request: { query: z.object({ id }) },
  responses: {
    200: json(
      z.object({
        source: z
          .object({
            kind: z.enum(['agrinetd', 'legacy']),
            id: z.string(),
            url: z.string(),
            tlsFingerprint: z.string().optional(),
            etag: z.string().optional(),
            key: z.string().optional(),
          })
          .nullable(),
      }),
      'Null when it is not an active registered node with an address',
    ),
  },
});
const item = z.object({
  epoch: z.string(),
  seq: z.number().int(),
  hash: z.string(),
  fork: z.string().optional(),
});
const plan = route('worker', {
  operationId: 'planSync',
  method: 'post',
  path: '/plan',
  tags,
  summary: 'What is lacking here of what a node shows',
  request: {
    query: z.object({ source: id }),
    body: rawInput(FRONTIER_SEQUENCE, 'The pages of a frontier, as GET /federation/feeds gives them'),
  },
  responses: {
    200: json(
      z.object({
        requests: z.array(z.object({ author: z.string(), channel: z.string(), have: z.array(item) })),
      }),
      'What to ask it for',
    ),
  },
});
const entries = route('worker', {
  operationId: 'submitEntries',
  method: 'post',
  path: '/entries',
  tags,
  summary: 'Signed entries that a worker has fetched',
  request: {
    query: z.object({ source: id, author: z.string().max(128), channel: z.string().max(256) }),
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
const requests = route('worker', {
  operationId: 'signFeedRequest',
  method: 'post',
  path: '/requests',
  tags,
  summary: 'Sign a request for the feeds of a registered node',
  request: {
    body: jsonInput(
      z.object({ source: id, method: z.enum(['GET', 'POST']), path: z.string().min(1).max(20_000) }),
    ),
  },
  responses: { 200: json(z.object({ header: z.string() }), 'The value of x-agrinet-request') },
});
const certificates = route('worker', {
  operationId: 'renewCertificate',
  method: 'post',
  path: '/certificates',
  tags,
  summary: 'Ask the node key of a registered node about the certificate it shows now',
  request: { body: named },
  responses: { 200: json(z.object({ tlsFingerprint: z.string() }), 'The one in force') },
});
const count = z.number().int().min(0);
/** Spelled out nowhere in the document: there are hundreds, and each version has its own. */
const errorCode = z
  .string()
  .max(64)
  .refine(isErrorCode, 'not a code of this version')
  .openapi({ description: 'A code of `protocols/error-codes.ts`; its sentence is written here' });
const synced = route('worker', {
  operationId: 'reportSync',
  method: 'post',
  path: '/synced',
  tags,
  summary: 'Note how a sync ended; nothing that is told here is held against its source',
  request: {
    body: jsonInput(
      z.object({
        source: id,
        outcome: z.object({
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
        }),
      }),
    ),
  },
  responses: { 200: json(z.object({ noted: z.literal(true) }), 'Noted') },
});

export function syncWorkerRoutes({
  env,
  exchange,
}: Pick<ApiContext, 'env'> & { readonly exchange: Pick<ExchangePort, 'worker'> }) {
  const { worker } = exchange;
  return router()
    .openapi(source, async (c) => {
      const found = await worker.source(c.req.valid('query').id);
      return c.json({ source: found ?? null }, 200);
    })
    .openapi(plan, async (c) => {
      let asked: readonly RangeRequest[];
      try {
        asked = await worker.plan(c.req.valid('query').source, readFrontierSequence(bodyChunks(c, env), env));
      } catch (error) {
        throw malformedInput(error);
      }
      const found = asked.map(({ author, channel, have }) => ({ author, channel, have: [...have] }));
      return c.json({ requests: found }, 200);
    })
    .openapi(entries, async (c) => {
      const query = c.req.valid('query');
      const author = parsePeerId(query.author);
      if (author === undefined || !isChannel(query.channel))
        throw new AgrinetError('query-invalid', 'author: a peer id; channel: public, or a record key');
      const asked: RangeRequest = { author, channel: query.channel, have: [] };
      const items: RangeItem[] = [];
      let bytes = 0;
      try {
        for await (const each of decodeItems(bodyChunks(c, env))) {
          bytes += each.bytes.length;
          if (bytes > FRAME_LIMITS.frameBytes || items.push(each) > FRAME_LIMITS.frameItems)
            throw new AgrinetError(
              'body-too-large',
              `entries: at most ${FRAME_LIMITS.frameItems} in ${FRAME_LIMITS.frameBytes} bytes`,
            );
        }
      } catch (error) {
        throw malformedInput(error);
      }
      return c.json(await worker.receive(query.source, asked, items), 200);
    })
    .openapi(requests, async (c) => {
      const { source: to, method, path } = c.req.valid('json');
      return c.json({ header: await worker.signRequest(to, method, path) }, 200);
    })
    .openapi(certificates, async (c) =>
      c.json({ tlsFingerprint: await worker.renewCertificate(c.req.valid('json').source) }, 200),
    )
    .openapi(synced, async (c) => {
      const { source: of, outcome } = c.req.valid('json');
      if ((await worker.source(of)) === undefined)
        throw new AgrinetError('source-unknown', `${of} is not an active registered node with an address`);
      const { receivedPrivate, lastHash, etag, error, ...counts } = outcome;
      const noted: WorkerOutcome = {
        ...counts,
        ...(receivedPrivate === undefined ? {} : { receivedPrivate }),
        ...(lastHash === undefined ? {} : { lastHash }),
        ...(etag === undefined ? {} : { etag }),
        ...(error !== undefined && isErrorCode(error.code) ? { error: { code: error.code } } : {}),
      };
      await worker.noteSync(of, noted);
      return c.json({ noted: true as const }, 200);
    });
}

function isNodeId(text: string): boolean {
  if (!text.startsWith('legacy:')) return parsePeerId(text) !== undefined;
  const origin = text.slice('legacy:'.length);
  return /^https?:/.test(origin) && URL.canParse(origin) && new URL(origin).origin === origin;
}

/** A codec’s refusal as that of a body; anything else as it is. */
function malformedInput(error: unknown): unknown {
  const codes = ['frontier-malformed', 'range-malformed', 'not-canonical'];
  if (!(error instanceof AgrinetError) || !codes.includes(error.code)) return error;
  return new AgrinetError('body-malformed', error.message, { cause: error });
}
