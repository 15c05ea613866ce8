import { z } from '@hono/zod-openapi';
import type { NodeQuota, QuotaPort } from '../ports/quota.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { count, flag, text } from '../schemas.ts';

export const nodeParams = z.object({
  id: z.string().min(1).max(1024).openapi({ description: 'Peer ID or `legacy:<origin>`, URL-encoded.' }),
});
/** The limit for a node's entries here, and their actual size: for the operator alone. */
export const QuotaJson = z
  .object({
    quotaMb: count('Quota in MiB; 0 means unlimited.'),
    own: flag('Whether it was set for this node; otherwise it is AUTHOR_QUOTA_MB.'),
    bytes: count('Size of its entries, in bytes.'),
    pendingOps: count('Number of its operations pending on missing dependencies or an upgrade.'),
  })
  .openapi('NodeQuota', { description: 'Storage quota of a node. Operators only.' });
const NodeQuotaAnswer = QuotaJson.extend({ nodeId: text('ID of the node.') }).openapi('NodeQuotaStatus');

const set = route('operator', {
  operationId: 'setNodeQuota',
  method: 'post',
  path: '/nodes/{id}/quota',
  tags: ['Federation'],
  summary: 'Set the storage quota of a node',
  request: {
    params: nodeParams,
    body: jsonInput(
      z.object({
        quotaMb: z.number().int().min(0).max(1_000_000).nullable().openapi({
          description: 'Quota in MiB; 0 means unlimited, null restores AUTHOR_QUOTA_MB.',
        }),
      }),
    ),
  },
  responses: { 200: json(NodeQuotaAnswer, 'The quota now in force.') },
  codes: ['node-unknown'],
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
