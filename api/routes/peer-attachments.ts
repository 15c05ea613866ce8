import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import { attachmentRequest } from '../../protocols/mycelium/attachment-protocol.ts';
import { REQUEST_HEADER, REQUEST_LIMITS } from '../../protocols/mycelium/signed-request.ts';
import type { ApiContext } from '../context.ts';
import { media, route, router } from '../route.ts';
import { signerOf } from '../signed-reader.ts';

const give = route('open', {
  operationId: 'getPeerAttachment',
  method: 'get',
  path: '/attachments/{sha256}',
  tags: ['Federation'],
  summary: 'Retrieve an attachment that a record names, for another node',
  description:
    'Requires a request signed by a registered node; one that a private record names, of a participant. See protocols/README.md.',
  request: {
    params: z.object({
      sha256: z.string().min(1).max(128).openapi({ description: 'SHA-256 of the bytes, hex.' }),
    }),
    headers: z.object({
      [REQUEST_HEADER]: z.string().max(REQUEST_LIMITS.headerCharacters).optional().openapi({
        description: 'A request signed by a registered node; see protocols/README.md.',
      }),
    }),
    query: z.object({
      record: z.string().min(1).max(256).openapi({ description: 'Key of the record that names it.' }),
    }),
  },
  responses: { 200: media('The bytes.', 'application/octet-stream') },
  codes: ['not-found', 'request-unsigned', 'unauthorized'],
});

/** Attachments over HTTPS, for nodes that cannot reach one another over libp2p. */
export function peerAttachmentRoutes(node: Pick<ApiContext, 'exchange' | 'attachments'>) {
  return router().openapi(give, async (c) => {
    const signer = signerOf(c, node.exchange);
    if (signer === undefined)
      throw new AgrinetError(
        'request-unsigned',
        'attachments are given to registered nodes, by signed requests',
      );
    const request = attachmentRequest(c.req.valid('query').record, c.req.valid('param').sha256);
    const bytes = request && (await node.attachments.answer(signer, request));
    if (bytes === undefined) throw new AgrinetError('not-found', 'Not found');
    return new Response(Buffer.from(bytes), { headers: { 'content-type': 'application/octet-stream' } });
  });
}
