import { z } from '@hono/zod-openapi';
import {
  commonCoverage,
  type Coverage,
  OWN_COVERAGE,
  readCoverageText,
} from '../../protocols/digest/coverage.ts';
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
import { text } from '../schemas.ts';
import { Covers, FrontierItem } from './digest.ts';

const tags = ['Federation'];

const headers = z.object({
  [REQUEST_HEADER]: z.string().max(REQUEST_LIMITS.headerCharacters).optional().openapi({
    description: 'A request signed by a registered node; see protocols/README.md.',
  }),
  'if-none-match': z.string().max(256).optional().openapi({ description: '`ETag` of an earlier response.' }),
  accept: z.string().max(1024).optional().openapi({ description: 'Media type to answer with.' }),
});
const signed = 'With `PUBLIC_READS=off`, requires a key or a request signed by a registered node. ';
const codes = ['forbidden', 'request-unsigned', 'unauthorized'] as const;
export const FeedFrontier = z
  .object({
    author: text('Peer ID of the author.'),
    channel: text('`public`, or the key of a private record.'),
    items: z.array(FrontierItem),
    digest: text('State digest of the author’s public records, hex.').optional(),
  })
  .openapi('FeedFrontier');
const Frontier = z
  .object({
    knows: Covers,
    feeds: z.array(FeedFrontier),
    digest: text('State digest of all public records, hex.'),
  })
  .openapi('Frontier');

const frontier = route('open', {
  operationId: 'getFrontier',
  method: 'get',
  path: '/feeds',
  tags,
  summary: 'Retrieve the frontier: the newest entry of every feed on this node',
  description: `${signed}Private channels are included only for signed requests of participants. With \`Accept: ${FRONTIER_SEQUENCE}\`, the binary pages that nodes exchange; see protocols/README.md.`,
  request: {
    headers,
    query: z.object({
      knows: z
        .string()
        .max(2048)
        .refine(
          (text) => readCoverageText(text) !== undefined,
          'must list collections in ascending order, such as listings.1,prices.1',
        )
        .optional()
        .openapi({
          description:
            'Collections known to the caller with their versions, such as `listings.1,prices.1`. Digests then cover only what both nodes know.',
        }),
    }),
  },
  responses: {
    200: json(Frontier, 'The frontier and the state digest.'),
    304: { description: 'Unchanged since the `ETag` in `If-None-Match`.' },
  },
  codes,
});
const params = z.object({
  author: z.string().min(1).max(128).openapi({ description: 'Peer ID of the author.' }),
});
const channel = z
  .string()
  .max(256)
  .default('public')
  .openapi({ description: '`public`, or the key of a private record.' });
const sequence = media(
  'A CBOR sequence (RFC 8742) of dag-cbor items `[0, entry]` or `[1, proof]`.',
  ITEM_SEQUENCE,
);
const range = route('open', {
  operationId: 'getFeedEntries',
  method: 'get',
  path: '/feeds/{author}',
  tags,
  summary: 'Retrieve the signed entries of an author that the caller is missing',
  description: `${signed}A private channel requires a signed request of a participant.`,
  request: {
    params,
    headers,
    query: z.object({
      channel,
      have: z.string().max(REQUEST_LIMITS.haveCharacters).optional().openapi({
        description: 'A range request with what the caller has, base64url; by default nothing.',
      }),
    }),
  },
  responses: { 200: sequence },
  codes,
});
const postedRange = route('open', {
  operationId: 'queryFeedEntries',
  method: 'post',
  path: '/feeds/{author}',
  tags,
  summary: 'Retrieve missing entries of an author, with the range request in the body',
  description: `${signed}For range requests that do not fit into a query.`,
  request: {
    params,
    headers,
    query: z.object({ channel }),
    body: rawInput('application/cbor', 'A range request.'),
  },
  responses: { 200: sequence },
  codes,
});

/** Mycelium over HTTPS: frontiers and ranges of signed entries. */
export function feedRoutes(node: { readonly exchange: ExchangePort } & Pick<ApiContext, 'env' | 'log'>) {
  const { feeds } = node.exchange;
  const turns = new FrontierTurns(FRONTIER_SEQUENCE_LIMITS.sequencePages, node.env.random);

  /** Throws `forbidden` for callers who may not hold the channel, whether it exists or not. */
  function answer(request: RangeRequest, signer: PeerId | undefined): Response {
    if (request.channel !== 'public' && (signer === undefined || !feeds.mayHold(signer, request.channel)))
      throw new AgrinetError(
        'forbidden',
        'a private channel requires a request signed by a node that takes part in it',
      );
    const body = byteStream(gatheredItems(feeds.range(request)), (error) =>
      node.log('a range broke off', { err: error, author: request.author }),
    );
    return new Response(body, { headers: { 'content-type': ITEM_SEQUENCE } });
  }

  return router()
    .openapi(frontier, async (c) => {
      const covers = coversOf(c.req.valid('query').knows);
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
      const body = frontierJson(list, feeds.totalDigest(covers));
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

/** What can be compared with a caller who knows these collections; without any given, everything that this node knows. */
function coversOf(knows: string | undefined): Coverage {
  return knows === undefined
    ? OWN_COVERAGE
    : commonCoverage(OWN_COVERAGE, readCoverageText(knows) ?? OWN_COVERAGE);
}

function frontierJson(list: readonly FrontierGroup[], digest: string) {
  const shown = list.map(({ digest: own, items, ...feed }) => ({
    ...feed,
    items: [...items],
    ...(own === '' ? {} : { digest: own }),
  }));
  return { knows: Object.fromEntries(OWN_COVERAGE), feeds: shown, digest };
}

/** Throws `not-found`. */
function authorOf(text: string): PeerId {
  const author = parsePeerId(text);
  if (author === undefined) throw new AgrinetError('not-found', 'Not found');
  return author;
}

/** Throws `query-invalid`. */
function rangeRequestOf(have: string | undefined, author: PeerId, channelText: string): RangeRequest {
  if (have !== undefined) return decoded(fromBase64url(have), author, channelText);
  if (!isChannel(channelText))
    throw new AgrinetError('query-invalid', 'channel: must be public or a record key');
  return { author, channel: channelText, have: [] };
}

/** Undefined for a text that is not base64url. Throws `query-invalid`. */
function decoded(data: Uint8Array | undefined, author: PeerId, channelText: string): RangeRequest {
  const invalid = (cause?: unknown): AgrinetError =>
    new AgrinetError('query-invalid', 'have: must be a range request in base64url, see protocols/README.md', {
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
  throw new AgrinetError('query-invalid', 'have: is for a different author or channel');
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
