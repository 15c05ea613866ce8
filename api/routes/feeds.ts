import { z } from '@hono/zod-openapi';
import { commonCoverage, OWN_COVERAGE, readCoverageText } from '../../protocols/digest/coverage.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { encodePage, type FrontierGroup } from '../../protocols/mycelium/frontier-page.ts';
import {
  FRONTIER_SEQUENCE,
  FRONTIER_SEQUENCE_LIMITS,
  sequenceItem,
} from '../../protocols/mycelium/frontier-sequence.ts';
import { FrontierTurns } from '../../protocols/mycelium/frontier-turns.ts';
import { ITEM_SEQUENCE } from '../../protocols/mycelium/item-sequence.ts';
import { decodeRangeRequest, RANGE_LIMITS, type RangeRequest } from '../../protocols/mycelium/range.ts';
import { REQUEST_HEADER, REQUEST_LIMITS } from '../../protocols/mycelium/signed-request.ts';
import { concat, fromBase64url, fromHex, sha256Hex } from '../../protocols/wire/bytes.ts';
import { CpuTurn } from '../../protocols/wire/cpu-turn.ts';
import { parsePeerId, type PeerId } from '../../protocols/wire/identity.ts';
import { isChannel } from '../../protocols/wire/ids.ts';
import { byteStream } from '../byte-stream.ts';
import { gatheredItems } from '../item-stream.ts';
import type { ApiContext } from '../context.ts';
import type { ExchangePort } from '../ports/exchange.ts';
import { bodyBytes } from '../raw-body.ts';
import { json, media, rawInput, route, router } from '../route.ts';
import { signerOf } from '../signed-reader.ts';
import { Covers } from './digest.ts';

const tags = ['Federation'];

const FrontierItem = z.object({
  epoch: z.string(),
  seq: z.number().int(),
  hash: z.string(),
  fork: z.string().optional(),
});
const headers = z.object({
  [REQUEST_HEADER]: z.string().max(REQUEST_LIMITS.headerCharacters).optional().openapi({
    description: 'A request signed by a registered node; see protocols/README.md',
  }),
  'if-none-match': z.string().max(256).optional(),
  accept: z.string().max(1024).optional(),
});
const signed = 'Without PUBLIC_READS a key, or a request signed by a registered node. ';

const frontier = route('open', {
  operationId: 'getFrontier',
  method: 'get',
  path: '/feeds',
  tags,
  summary:
    'How far this node has every feed; private channels only for a signed request of one who takes part',
  description: `${signed}With Accept: ${FRONTIER_SEQUENCE} the pages that nodes exchange, see protocols/README.md.`,
  request: {
    headers,
    query: z.object({
      knows: z
        .string()
        .max(2048)
        .refine(
          (text) => readCoverageText(text) !== undefined,
          'collections as listings.1,prices.1, ascending',
        )
        .optional()
        .openapi({
          description:
            'Collections that the asker knows, each with its op version: the digests are over those that both know. Without it they are over all that this node knows.',
        }),
    }),
  },
  responses: {
    200: json(
      z.object({
        knows: Covers,
        feeds: z.array(
          z.object({
            author: z.string(),
            channel: z.string(),
            items: z.array(FrontierItem),
            digest: z.string().optional(),
          }),
        ),
        digest: z.string(),
      }),
      'The frontier, and the state digest over all public records',
    ),
    304: { description: 'As the ETag says' },
  },
});
const params = z.object({ author: z.string().min(1).max(128) });
const channel = z.string().max(256).default('public');
const sequence = media(
  'What the asker lacks: dag-cbor of [0, entry] or [1, proof], one behind the other (RFC 8742)',
  ITEM_SEQUENCE,
);
const range = route('open', {
  operationId: 'getFeedEntries',
  method: 'get',
  path: '/feeds/{author}',
  tags,
  summary: 'Signed entries of an author that the asker lacks',
  description: `${signed}A private channel only for a signed request of one who takes part.`,
  request: {
    params,
    headers,
    query: z.object({
      channel,
      have: z.string().max(REQUEST_LIMITS.haveCharacters).optional().openapi({
        description: 'What the asker has: a range request in base64url; nothing means all',
      }),
    }),
  },
  responses: { 200: sequence },
});
const postedRange = route('open', {
  operationId: 'queryFeedEntries',
  method: 'post',
  path: '/feeds/{author}',
  tags,
  summary: 'The same for askers who have more epochs than fit a query',
  description: signed,
  request: {
    params,
    headers,
    query: z.object({ channel }),
    body: rawInput('application/cbor', 'A range request'),
  },
  responses: { 200: sequence },
});

/** Mycelium over HTTPS: frontiers and ranges of signed entries. */
export function feedRoutes(node: { readonly exchange: ExchangePort } & Pick<ApiContext, 'env' | 'log'>) {
  const { feeds } = node.exchange;
  const turns = new FrontierTurns(FRONTIER_SEQUENCE_LIMITS.sequencePages, node.env.random);

  /** Throws `forbidden` for whoever may not hold the channel, whether it exists or not. */
  function answer(request: RangeRequest, signer: PeerId | undefined): Response {
    if (request.channel !== 'public' && (signer === undefined || !feeds.mayHold(signer, request.channel)))
      throw new AgrinetError(
        'forbidden',
        'a private channel is shown only to a signed request of a node that takes part in it',
      );
    const body = byteStream(gatheredItems(feeds.range(request)), (error) =>
      node.log('a range broke off', { err: error, author: request.author }),
    );
    return new Response(body, { headers: { 'content-type': ITEM_SEQUENCE } });
  }

  function authorOf(text: string): PeerId {
    const author = parsePeerId(text);
    if (author === undefined) throw new AgrinetError('not-found', 'Not found');
    return author;
  }

  return router()
    .openapi(frontier, async (c) => {
      const { knows } = c.req.valid('query');
      const covers =
        knows === undefined
          ? OWN_COVERAGE
          : commonCoverage(OWN_COVERAGE, readCoverageText(knows) ?? OWN_COVERAGE);
      const signer = signerOf(c, node.exchange);
      const list = feeds.list(signer, covers);
      c.header('vary', `${REQUEST_HEADER}, accept`);
      if (c.req.valid('header').accept === FRONTIER_SEQUENCE) {
        const pages = turns.pagesFor(signer ?? '', list);
        const body = await sequenceOf(pages, feeds.totalDigest(covers), node.env);
        const etag = `"${sha256Hex(body).slice(0, 32)}"`;
        const head = { etag, 'content-type': FRONTIER_SEQUENCE };
        return c.req.header('if-none-match') === etag
          ? c.body(null, 304, head)
          : new Response(Buffer.from(body), { headers: { ...head, vary: `${REQUEST_HEADER}, accept` } });
      }
      const shown = list.map(({ digest, items, ...feed }) => ({
        ...feed,
        items: [...items],
        ...(digest === '' ? {} : { digest }),
      }));
      const body = {
        knows: Object.fromEntries(OWN_COVERAGE),
        feeds: shown,
        digest: feeds.totalDigest(covers),
      };
      const etag = `"${sha256Hex(JSON.stringify(body)).slice(0, 32)}"`;
      c.header('etag', etag);
      return c.req.header('if-none-match') === etag ? c.body(null, 304) : c.json(body, 200);
    })
    .openapi(range, (c) => {
      const author = authorOf(c.req.valid('param').author);
      const query = c.req.valid('query');
      const signer = signerOf(c, node.exchange);
      return answer(rangeRequestOf(query.have, author, query.channel), signer);
    })
    .openapi(postedRange, async (c) => {
      const author = authorOf(c.req.valid('param').author);
      const query = c.req.valid('query');
      const signer = signerOf(c, node.exchange);
      return answer(
        decoded(await bodyBytes(c, node.env, RANGE_LIMITS.requestBytes), author, query.channel),
        signer,
      );
    });
}

/** Throws `query-invalid`. */
function rangeRequestOf(have: string | undefined, author: PeerId, channelText: string): RangeRequest {
  if (have !== undefined) return decoded(fromBase64url(have), author, channelText);
  if (!isChannel(channelText)) throw new AgrinetError('query-invalid', 'channel: public, or a record key');
  return { author, channel: channelText, have: [] };
}

/** Undefined is a text that is no base64url. Throws `query-invalid`. */
function decoded(data: Uint8Array | undefined, author: PeerId, channelText: string): RangeRequest {
  const invalid = (cause?: unknown): AgrinetError =>
    new AgrinetError('query-invalid', 'have: a range request in base64url, see protocols/README.md', {
      cause,
    });
  if (data === undefined) throw invalid();
  let request: RangeRequest;
  try {
    request = decodeRangeRequest(data);
  } catch (error) {
    throw invalid(error);
  }
  if (request.author === author && request.channel === channelText) return request;
  throw new AgrinetError('query-invalid', 'have: made for another author or channel');
}

/** The pages and behind them the digest, made page by page. */
async function sequenceOf(
  pages: readonly (readonly FrontierGroup[])[],
  digest: string,
  env: ApiContext['env'],
): Promise<Uint8Array> {
  const turn = new CpuTurn(env);
  const items: Uint8Array[] = [];
  for (const page of pages) {
    await turn.pause();
    items.push(sequenceItem(encodePage(page)));
  }
  return concat([...items, sequenceItem(fromHex(digest))]);
}
