import { z } from '@hono/zod-openapi';
import type { JSONValue } from 'hono/utils/types';
import type { ApiContext } from '../context.ts';
import { json, route, router } from '../route.ts';

const tags = ['Federation'];
const anyValue = z.unknown() as z.ZodType<JSONValue>; // rows of the database, JSON all along

const digest = route('read', {
  method: 'get',
  path: '/digest',
  tags,
  summary: 'The state digest: equal on two nodes when they hold the same',
  responses: {
    200: json(
      z.object({
        digest: z.string(),
        owners: z.record(
          z.string(),
          z.object({
            frontier: z.array(
              z.object({
                epoch: z.string(),
                seq: z.number().int(),
                hash: z.string(),
                fork: z.string().optional(),
              }),
            ),
            digest: z.string(),
            collections: z.record(z.string(), z.object({ count: z.number().int(), digest: z.string() })),
          }),
        ),
      }),
      'The total, and each owner’s',
    ),
  },
});
const peers = route('operator', {
  method: 'get',
  path: '/peers',
  tags,
  summary: 'Everybody this node knows of',
  responses: {
    200: json(
      z.object({
        peers: z.array(
          z.object({
            peerId: z.string(),
            registered: z.boolean(),
            connected: z.boolean(),
            nextRetryAt: z.number().optional(),
          }),
        ),
      }),
      'Connected, discovered or registered',
    ),
  },
});
const ops = route('operator', {
  method: 'get',
  path: '/ops',
  tags,
  summary: 'Ops that are void or wait, with their reasons',
  request: { query: z.object({ limit: z.coerce.number().int().min(1).max(1000).default(100) }) },
  responses: { 200: json(z.object({ ops: z.array(anyValue) }), 'The first of them') },
});

/** What this node holds and whom it knows. */
export function digestRoutes(node: Pick<ApiContext, 'digest' | 'peers' | 'reader'>) {
  return router()
    .openapi(digest, (c) => {
      const found = node.digest();
      const owners = Object.fromEntries(
        Object.entries(found.owners).map(([owner, each]) => [
          owner,
          { ...each, frontier: [...each.frontier], collections: { ...each.collections } },
        ]),
      );
      return c.json({ digest: found.digest, owners }, 200);
    })
    .openapi(peers, (c) => c.json({ peers: [...node.peers()] }, 200))
    .openapi(ops, async (c) =>
      c.json({ ops: (await node.reader.verdicts(c.req.valid('query').limit)) as JSONValue[] }, 200),
    );
}
