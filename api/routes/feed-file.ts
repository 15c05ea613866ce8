import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import { decodeItems, ITEM_SEQUENCE } from '../../protocols/mycelium/item-sequence.ts';
import { FRAME_LIMITS } from '../../protocols/mycelium/range-frame.ts';
import type { RangeItem } from '../../protocols/mycelium/range-item.ts';
import { parsePeerId, type PeerId } from '../../protocols/wire/identity.ts';
import { byteStream } from '../byte-stream.ts';
import { gatheredItems } from '../item-stream.ts';
import type { ApiContext } from '../context.ts';
import type { FeedFilePort } from '../ports/feed-file.ts';
import { bodyChunks } from '../raw-body.ts';
import { json, media, rawInput, route, router } from '../route.ts';

const tags = ['Operator'];
/** One piece of a file: what one frame of a range holds. */
/** What is wrong with the body as such, and not with what is in it. */
const OF_THE_BODY: ReadonlySet<string> = new Set(['body-too-large', 'body-slow']);
const { frameBytes: PIECE_BYTES, frameItems: PIECE_ITEMS } = FRAME_LIMITS;

const peer = z.string().max(128);
const carry = route('operator', {
  operationId: 'exportFeedFile',
  method: 'get',
  path: '/feed-file',
  tags,
  summary:
    'All feeds held here, to be carried in a file; private channels only for a node that takes part in them',
  request: {
    query: z.object({
      author: z.union([peer, z.array(peer).max(1024)]).optional(),
      for: peer.optional(),
    }),
  },
  responses: { 200: media('Items as GET /federation/feeds/{author} gives them', ITEM_SEQUENCE) },
});
const counts = z.record(z.string(), z.number().int());
const take = route('operator', {
  operationId: 'importFeedFile',
  method: 'post',
  path: '/feed-file',
  tags,
  summary: 'Take in a piece of a carried file; every entry proves itself, the same again changes nothing',
  request: {
    query: z.object({ for: peer.optional() }),
    body: rawInput(
      ITEM_SEQUENCE,
      `Items in the order of the file; at most ${PIECE_ITEMS} in ${PIECE_BYTES} bytes`,
    ),
  },
  responses: {
    200: json(
      z.object({
        accepted: z.number().int(),
        known: z.number().int(),
        ignored: z.number().int(),
        reasons: counts,
        strangers: counts,
        rejected: z.object({ index: z.number().int(), code: z.string() }).optional(),
      }),
      'What became of them; nothing after a rejected one was looked at',
    ),
  },
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
      const items: RangeItem[] = [];
      let bytes = 0;
      try {
        for await (const item of decodeItems(bodyChunks(c, env))) {
          bytes += item.bytes.length;
          if (bytes > PIECE_BYTES || items.push(item) > PIECE_ITEMS)
            throw new AgrinetError('body-too-large', `at most ${PIECE_ITEMS} items in ${PIECE_BYTES} bytes`);
        }
      } catch (error) {
        if (!(error instanceof AgrinetError) || OF_THE_BODY.has(error.code)) throw error;
        throw new AgrinetError('body-malformed', error.message, { cause: error });
      }
      return c.json(await feedFiles.take(items, to), 200);
    });
}

function peerOf(name: string, text: string): PeerId {
  const found = parsePeerId(text);
  if (found === undefined) throw new AgrinetError('query-invalid', `${name}: a peer id`);
  return found;
}

function optionalPeer(text: string | undefined): PeerId | undefined {
  return text === undefined ? undefined : peerOf('for', text);
}
