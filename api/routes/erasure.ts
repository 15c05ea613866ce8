import { z } from '@hono/zod-openapi';
import { isOperator } from '../access.ts';
import type { ErasurePort } from '../ports/erasure.ts';
import { json, route, router } from '../route.ts';
import { recordId, text } from '../schemas.ts';

/** The answer to an erasure. */
export const Erasure = z
  .object({
    erased: z.literal(true),
    evidence: text('What remains, and where.'),
  })
  .openapi('Erasure');

const erase = route('write', {
  operationId: 'eraseMessage',
  method: 'delete',
  path: '/{conversationId}/{messageId}',
  tags: ['Conversations'],
  summary: 'Erase a message from this node and from every node that replicates it',
  description: 'Only for the user who sent it and for operators.',
  request: {
    params: z.object({ conversationId: recordId, messageId: recordId }),
  },
  responses: { 200: json(Erasure, 'Erased; nothing of the message is left on this node.') },
  codes: ['evidence-kept', 'record-ended'],
});

/** Mounted with the other routes of messages. */
export function erasureRoutes({ erasure }: { readonly erasure: ErasurePort }) {
  return router().openapi(erase, async (c) => {
    const { conversationId, messageId } = c.req.valid('param');
    const principal = c.get('principal');
    const user = isOperator(principal) ? undefined : (principal.userId ?? '');
    return c.json(await erasure.message(conversationId, messageId, user), 200);
  });
}
