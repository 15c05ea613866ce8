import { z } from '@hono/zod-openapi';
import type { NodeQuota, QuotaPort } from '../ports/quota.ts';
import { json, jsonInput, route, router } from '../route.ts';

/** What a node's entries may take up here, and what they do: the operator's alone. */
export const QuotaJson = z
  .object({
    /** MiB; 0: no bound. */
    quotaMb: z.number(),
    /** Set for this node; otherwise everybody's. */
    own: z.boolean(),
    bytes: z.number(),
    pendingOps: z.number(),
  })
  .openapi('NodeQuota');

const set = route('operator', {
  operationId: 'setNodeQuota',
  method: 'post',
  path: '/nodes/{id}/quota',
  tags: ['Federation'],
  summary: 'Another AUTHOR_QUOTA_MB for one node; nobody else is told of it',
  request: {
    params: z.object({ id: z.string().min(1).max(1024) }),
    body: jsonInput(
      z.object({
        quotaMb: z
          .number()
          .int()
          .min(0)
          .max(1_000_000)
          .nullable()
          .openapi({ description: 'MiB; 0: no bound; null: as AUTHOR_QUOTA_MB says' }),
      }),
    ),
  },
  responses: { 200: json(QuotaJson.extend({ nodeId: z.string() }), 'The quota as it is in force now') },
});

export function quotaJson({ quotaMb, own, bytes, pendingOps }: NodeQuota): z.output<typeof QuotaJson> {
  return { quotaMb, own, bytes, pendingOps };
}

export function nodeQuotaRoutes({ quotas }: { readonly quotas: QuotaPort }) {
  return router().openapi(set, async (c) => {
    const quota = await quotas.set(c.req.valid('param').id, c.req.valid('json').quotaMb ?? undefined);
    return c.json({ nodeId: quota.id, ...quotaJson(quota) }, 200);
  });
}
