import { z } from '@hono/zod-openapi';
import { isOperator } from '../access.ts';
import type { ErasurePort } from '../ports/erasure.ts';
import { json, route, router } from '../route.ts';

/** The answer to an erasure. */
export const Erasure = z
  .object({
    erased: z.literal(true),
    evidence: z.string().openapi({ description: 'What stays, and with whom' }),
  })
  .openapi('Erasure');

const erase = route('write', {
  operationId: 'eraseMessage',
  method: 'delete',
  path: '/{conversationId}/{messageId}',
  tags: ['Chat'],
  summary: 'Erase a message, here and at every node that follows; by its author’s user or the operator',
  request: {
    params: z.object({ conversationId: z.string().min(1).max(256), messageId: z.string().min(1).max(256) }),
  },
  responses: { 200: json(Erasure, 'Nothing of the message is left on this node') },
});

/** Mounted beside the other routes of messages. */
export function erasureRoutes({ erasure }: { readonly erasure: ErasurePort }) {
  return router().openapi(erase, async (c) => {
    const { conversationId, messageId } = c.req.valid('param');
    const principal = c.get('principal');
    const user = isOperator(principal) ? undefined : (principal.userId ?? '');
    return c.json(await erasure.message(conversationId, messageId, user), 200);
  });
}
