import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import { UNSIGNED } from '../../protocols/mycelium/snapshot-answer.ts';
import { REQUEST_HEADER, REQUEST_LIMITS } from '../../protocols/mycelium/signed-request.ts';
import { decodeSnapshotRequest, type SnapshotRequest } from '../../protocols/mycelium/snapshot-request.ts';
import { snapshotSequence } from '../../protocols/mycelium/snapshot-sequence.ts';
import { fromBase64url } from '../../protocols/wire/bytes.ts';
import { parsePeerId } from '../../protocols/wire/identity.ts';
import { byteStream } from '../byte-stream.ts';
import type { ApiContext } from '../context.ts';
import { media, route, router } from '../route.ts';
import { signerOf } from '../signed-reader.ts';

const give = route('open', {
  operationId: 'getSnapshot',
  method: 'get',
  path: '/snapshots/{author}',
  tags: ['Federation'],
  summary: 'Retrieve the checkpoints of an author, or chunks of the snapshot of one',
  description:
    'With `PUBLIC_READS=off`, requires a key or a request signed by a registered node. The answer is the binary frames that nodes exchange; see protocols/README.md.',
  request: {
    params: z.object({
      author: z.string().min(1).max(128).openapi({ description: 'Peer ID of the author.' }),
    }),
    headers: z.object({
      [REQUEST_HEADER]: z.string().max(REQUEST_LIMITS.headerCharacters).optional().openapi({
        description: 'A request signed by a registered node; see protocols/README.md.',
      }),
    }),
    query: z.object({
      request: z.string().max(256).optional().openapi({
        description: 'A snapshot request for this author, base64url; by default for its checkpoints.',
      }),
    }),
  },
  responses: { 200: media('A CBOR sequence (RFC 8742) of frames.', 'application/cbor-seq') },
  codes: ['busy', 'not-found', 'request-unsigned', 'unauthorized'],
});

/** Snapshots over HTTPS, for nodes that cannot reach one another over libp2p. */
export function snapshotRoutes(node: Pick<ApiContext, 'exchange' | 'snapshots' | 'log'>) {
  return router().openapi(give, async (c) => {
    const signer = signerOf(c, node.exchange);
    const request = requestOf(c.req.valid('query').request, c.req.valid('param').author);
    const frames = node.snapshots.frames(signer ?? UNSIGNED, request);
    const first = await frames.next();
    if (first.done === true || first.value.length === 0) throw new AgrinetError('not-found', 'Not found');
    const body = byteStream(snapshotSequence(behind(first.value, frames)), (error) =>
      node.log('a snapshot broke off', { err: error, author: request.author }),
    );
    return new Response(body, { headers: { 'content-type': 'application/cbor-seq' } });
  });
}

async function* behind(first: Uint8Array, rest: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  yield* rest;
}

/** Throws `not-found`, and `query-invalid` for what is no request, or one for another author. */
function requestOf(text: string | undefined, authorText: string): SnapshotRequest {
  const author = parsePeerId(authorText);
  if (author === undefined) throw new AgrinetError('not-found', 'Not found');
  if (text === undefined) return { kind: 'checkpoints', author };
  const invalid = (cause?: unknown): AgrinetError =>
    new AgrinetError(
      'query-invalid',
      'request: must be a snapshot request in base64url for this author, see protocols/README.md',
      { cause },
    );
  const data = fromBase64url(text);
  if (data === undefined) throw invalid();
  let request: SnapshotRequest;
  try {
    request = decodeSnapshotRequest(data);
  } catch (error) {
    throw invalid(error);
  }
  if (request.author !== author) throw invalid();
  return request;
}
