import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import { ITEM_SEQUENCE } from '../../protocols/mycelium/item-sequence.ts';
import { FRAME_LIMITS } from '../../protocols/mycelium/range-frame.ts';
import { parsePeerId, type PeerId } from '../../protocols/wire/identity.ts';
import { byteStream } from '../byte-stream.ts';
import { gatheredItems, readItems } from '../item-stream.ts';
import type { ApiContext } from '../context.ts';
import type { FeedFilePort } from '../ports/feed-file.ts';
import { bodyChunks } from '../raw-body.ts';
import { json, media, rawInput, route, router } from '../route.ts';
import { count, text } from '../schemas.ts';

const tags = ['Operator'];
/** One piece of a file: what one frame of a range holds. */
const { frameBytes: PIECE_BYTES, frameItems: PIECE_ITEMS } = FRAME_LIMITS;

const peer = z.string().max(128);
const carry = route('operator', {
  operationId: 'exportFeedFile',
  method: 'get',
  path: '/feed-file',
  tags,
  summary: 'Export feeds to a file for a node without a network connection',
  request: {
    query: z.object({
      author: z
        .union([peer, z.array(peer).max(1024)])
        .optional()
        .openapi({
          type: 'array',
          items: { type: 'string', maxLength: 128 },
          maxItems: 1024,
          description: 'Peer IDs of the authors to export; all by default.',
        }),
      for: peer.optional().openapi({
        description: 'Peer ID of the receiving node; includes the private channels it takes part in.',
      }),
    }),
  },
  responses: { 200: media('The feeds, in the format of `GET /federation/feeds/{author}`.', ITEM_SEQUENCE) },
});
const counts = z.record(z.string(), z.number().int());
const FeedFileResult = z
  .object({
    accepted: count('Number of entries accepted.'),
    known: count('Number of entries that were here already.'),
    ignored: count('Number of entries ignored.'),
    reasons: counts.openapi({ description: 'Number of ignored entries by error code.' }),
    strangers: counts.openapi({
      description: 'Number of entries by authors not registered here, by peer ID.',
    }),
    rejected: z
      .object({ index: count('Position in the request.'), code: text('Error code.') })
      .optional()
      .openapi({ description: 'The first invalid item; nothing after it was read.' }),
  })
  .openapi('FeedFileResult');
const take = route('operator', {
  operationId: 'importFeedFile',
  method: 'post',
  path: '/feed-file',
  tags,
  summary: 'Import a part of a feed file; repeating it changes nothing',
  request: {
    query: z.object({
      for: peer.optional().openapi({ description: 'Peer ID of the node that the file was exported for.' }),
    }),
    body: rawInput(
      ITEM_SEQUENCE,
      `Items in the order of the file, at most ${PIECE_ITEMS} in ${PIECE_BYTES} bytes.`,
    ),
  },
  responses: { 200: json(FeedFileResult, 'What was imported.') },
});

/** Feeds out of and into files, for nodes that no network connects. */
export function feedFileRoutes({
  env,
  feedFiles,
  log,
}: { readonly feedFiles: FeedFilePort } & Pick<ApiContext, 'env' | 'log'>) {
  return router()
    .openapi(carry, (c) => {
      const { author = [], for: to } = c.req.valid('query');
      const authors = [author].flat().map((text) => peerOf('author', text));
      const found = feedFiles.items({ authors, to: optionalPeer(to) });
      const body = byteStream(gatheredItems(found.items()), (error) =>
        log('a feed file broke off', { err: error }),
      );
      return c.body(body, 200, { 'content-type': ITEM_SEQUENCE, 'x-agrinet-entries': String(found.entries) });
    })
    .openapi(take, async (c) => {
      const to = optionalPeer(c.req.valid('query').for);
      const items = await readItems(bodyChunks(c, env));
      return c.json(await feedFiles.take(items, to), 200);
    });
}

function peerOf(name: string, text: string): PeerId {
  const found = parsePeerId(text);
  if (found === undefined) throw new AgrinetError('query-invalid', `${name}: must be a peer ID`);
  return found;
}

function optionalPeer(text: string | undefined): PeerId | undefined {
  return text === undefined ? undefined : peerOf('for', text);
}
