import { z } from '@hono/zod-openapi';
import type { NodeAction } from '../../protocols/registry/node-status.ts';
import type { RegistrationPort } from '../ports/registration.ts';
import type { FencePort, TrustPort } from '../ports/trust.ts';
import type { QuotaPort } from '../ports/quota.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { nodeTrust } from '../trust-json.ts';
import { type NodeForgetContext, nodeForgetRoutes } from './node-forget.ts';
import { nodeQuotaRoutes, quotaJson } from './node-quota.ts';
import { entryJson, NodeRow, nodeJson, Registered } from './node-rows.ts';

const tags = ['Federation'];
const params = z.object({ id: z.string().min(1).max(1024) });
const responses = { 200: json(Registered, 'The node as it stands now') };

const join = route('operator', {
  operationId: 'joinNode',
  method: 'post',
  path: '/join',
  tags,
  summary: 'Register this node and another with one another, or neither',
  request: {
    body: jsonInput(z.object({ url: z.string().min(1).max(2048), key: z.string().min(1).max(512) })),
  },
  responses,
});
const add = route('operator', {
  operationId: 'addNode',
  method: 'post',
  path: '/nodes',
  tags,
  summary:
    'Register a node by its URL: an old back end is read over HTTP only, with a key where it wants one',
  request: {
    body: jsonInput(
      z.object({
        url: z.string().min(1).max(512),
        region: z.string().max(64).default('unspecified'),
        contactEmail: z.string().max(254).nullish(),
        key: z
          .string()
          .regex(/^[\x21-\x7e]{1,512}$/)
          .nullish()
          .openapi({
            description: 'What an old back end is asked with; kept, never shown; null: without one',
          }),
      }),
    ),
  },
  responses,
});
const one = route('operator', {
  operationId: 'getNode',
  method: 'get',
  path: '/nodes/{id}',
  tags,
  summary: 'One node with what only the operator sees',
  request: { params },
  responses: {
    200: json(
      NodeRow.extend({
        contactEmail: z.string().nullable(),
        tlsFingerprint: z.string(),
        multiaddrs: z.array(z.string()),
        keys: z.array(z.string()).openapi({
          description: 'Ids of the registration keys it came with; none: by the operator’s hand',
        }),
        error: z.string().nullable(),
        fence: z.string(),
      }),
      'The node',
    ),
  },
});

function step<A extends NodeAction>(action: A, summary: string) {
  return route('operator', {
    operationId: `${action}Node`,
    method: 'post',
    path: `/nodes/{id}/${action}` as const,
    tags,
    summary,
    request: { params },
    responses,
  });
}
const approve = step('approve', 'Make a pending or revoked node active; it is asked who it is');
const suspend = step('suspend', 'Take no more entries of a node; what is held stays');
const resume = step('resume', 'End a suspension and fetch what was missed');
const revoke = step(
  'revoke',
  'End a registration and the keys it came with, until the operator approves it anew',
);

const fenced = route('operator', {
  operationId: 'setNodeGeofence',
  method: 'post',
  path: '/nodes/{id}/fence',
  tags,
  summary: 'Another geofence than GEOFENCE for what comes from a node',
  request: {
    params,
    body: jsonInput(
      z.object({
        fence: z.union([z.string().min(1).max(256), z.looseObject({ type: z.string().max(64) })]).openapi({
          description: 'lat,long,radiusKm; the Agrinet string and radiusKm; GeoJSON; `off`; or `default`',
        }),
      }),
    ),
  },
  responses: { 200: json(Registered.extend({ fence: z.string() }), 'The node with the fence in words') },
});

/** What a revocation did to keys, in words: a node that came by the operator's hand leaves none that could be ended. */
function endOfKeys(keys: readonly string[]): string {
  return keys.length === 0
    ? 'it came by the hand of this node’s operator: no key of its own ends with it'
    : `the keys it came with have ended: ${keys.join(', ')}`;
}

export interface NodeAdminContext extends NodeForgetContext {
  readonly registration: RegistrationPort;
  readonly quotas: QuotaPort;
  readonly fence: Pick<FencePort, 'set' | 'describe'>;
  readonly trust: Pick<TrustPort, 'score' | 'reliability'>;
}

/** What the operator does about nodes. Ids in paths are URL-encoded. */
export function nodeAdminRoutes(node: NodeAdminContext) {
  const { registration, quotas, fence, trust } = node;
  return router()
    .openapi(join, async (c) => {
      const { url, key } = c.req.valid('json');
      return c.json(entryJson(await registration.join(url, key)), 200);
    })
    .openapi(add, async (c) => {
      const { url, region, contactEmail, key } = c.req.valid('json');
      const added = await registration.add(url, region, contactEmail ?? undefined, key);
      return c.json(entryJson(added), 200);
    })
    .openapi(one, async (c) => {
      const node = await registration.node(c.req.valid('param').id);
      const { contactEmail, tlsFingerprint, multiaddrs, error } = node;
      const quota = quotas.of(node.id);
      return c.json(
        {
          ...nodeJson(node, undefined, await nodeTrust(trust, node.id)),
          ...(quota === undefined ? {} : { quota: quotaJson(quota) }),
          fence: fence.describe(node.id),
          contactEmail: contactEmail ?? null,
          tlsFingerprint,
          multiaddrs: [...multiaddrs],
          keys: [...node.keys],
          error: error ?? null,
        },
        200,
      );
    })
    .openapi(fenced, async (c) => {
      const node = await registration.node(c.req.valid('param').id);
      await fence.set(node.id, c.req.valid('json').fence);
      return c.json({ ...entryJson(node), fence: fence.describe(node.id) }, 200);
    })
    .openapi(approve, async (c) =>
      c.json(entryJson(await registration.change(c.req.valid('param').id, 'approve')), 200),
    )
    .openapi(suspend, async (c) =>
      c.json(entryJson(await registration.change(c.req.valid('param').id, 'suspend')), 200),
    )
    .openapi(resume, async (c) =>
      c.json(entryJson(await registration.change(c.req.valid('param').id, 'resume')), 200),
    )
    .openapi(revoke, async (c) => {
      const node = await registration.change(c.req.valid('param').id, 'revoke');
      return c.json({ ...entryJson(node), message: endOfKeys(node.keys) }, 200);
    })
    .route('/', nodeQuotaRoutes({ quotas }))
    .route('/', nodeForgetRoutes(node));
}
