import { z } from '@hono/zod-openapi';
import type { NodeAction } from '../../protocols/registry/node-status.ts';
import type { RegistrationPort } from '../ports/registration.ts';
import type { FencePort, TrustPort } from '../ports/trust.ts';
import type { QuotaPort } from '../ports/quota.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { nodeTrust } from '../trust-json.ts';
import { PEER_CODES } from '../problem.ts';
import { text, texts } from '../schemas.ts';
import { type NodeForgetContext, nodeForgetRoutes } from './node-forget.ts';
import { nodeParams, nodeQuotaRoutes, quotaJson } from './node-quota.ts';
import { entryJson, NodeRow, nodeJson, Registered } from './node-rows.ts';

const tags = ['Federation'];
const params = nodeParams;
const responses = { 200: json(Registered, 'The updated node.') };

const NodeDetails = NodeRow.extend({
  contactEmail: z.string().nullable().describe('Contact address; null if unknown.'),
  tlsFingerprint: text('SHA-256 of its TLS certificate, hex; empty without TLS.'),
  multiaddrs: texts('libp2p addresses.'),
  keys: texts('IDs of the registration keys it used; empty if the operator registered it.'),
  error: z.string().nullable().describe('Why the last sync failed; null if it succeeded.'),
  fence: text('Description of the geofence for its records.'),
}).openapi('NodeDetails');
const FencedNode = Registered.extend({
  fence: text('Description of the geofence for its records.'),
}).openapi('FencedNode');

const join = route('operator', {
  operationId: 'joinNode',
  method: 'post',
  path: '/join',
  tags,
  summary: 'Register this node and another one with each other',
  description: 'Either both registrations succeed or neither does.',
  request: {
    body: jsonInput(
      z.object({
        url: z.string().min(1).max(2048).openapi({ description: 'URL of the other node.' }),
        key: z
          .string()
          .min(1)
          .max(512)
          .openapi({ description: 'Key with the scope `register` on that node.' }),
      }),
    ),
  },
  responses,
  codes: [
    ...PEER_CODES,
    'key-invalid',
    'node-state',
    'registration-invalid',
    'registration-self',
    'registry-full',
  ],
});
const add = route('operator', {
  operationId: 'addNode',
  method: 'post',
  path: '/nodes',
  tags,
  summary: 'Register a node by its URL',
  description: 'A back end without libp2p is read over HTTP only, with a key if it requires one.',
  request: {
    body: jsonInput(
      z.object({
        url: z.string().min(1).max(512).openapi({ description: 'URL of the node.' }),
        region: z.string().max(64).default('unspecified').openapi({ description: 'Region.' }),
        contactEmail: z
          .string()
          .max(254)
          .nullish()
          .openapi({ description: 'Contact address; only the operator sees it.' }),
        key: z
          .string()
          .regex(/^[\x21-\x7e]{1,512}$/)
          .nullish()
          .openapi({
            description: 'API key of an old back end; write-only. Null removes it.',
          }),
      }),
    ),
  },
  responses,
  codes: [...PEER_CODES, 'key-malformed', 'node-state', 'registration-self', 'registry-full'],
});
const one = route('operator', {
  operationId: 'getNode',
  method: 'get',
  path: '/nodes/{id}',
  tags,
  summary: 'Retrieve a node, including operator-only details',
  request: { params },
  responses: {
    200: json(NodeDetails, 'The node.'),
  },
  codes: ['node-unknown'],
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
    codes: [...(action === 'approve' ? PEER_CODES : []), 'node-state', 'node-unknown', 'registry-full'],
  });
}
const approve = step('approve', 'Approve a pending or revoked node after checking its identity');
const suspend = step('suspend', 'Suspend a node: stop replicating it and keep the existing data');
const resume = step('resume', 'Resume a suspended node and fetch what was missed');
const revoke = step('revoke', 'Revoke a registration and the keys it used');

const fenced = route('operator', {
  operationId: 'setNodeGeofence',
  method: 'post',
  path: '/nodes/{id}/fence',
  tags,
  summary: 'Set the geofence for the records of a node',
  request: {
    params,
    body: jsonInput(
      z.object({
        fence: z.union([z.string().min(1).max(256), z.looseObject({ type: z.string().max(64) })]).openapi({
          type: 'string',
          description:
            '`lat,long,radiusKm`, `geoLat_<lat>,geoLong_<long>,radiusKm`, `off`, or `default` for GEOFENCE. A GeoJSON object is accepted too.',
        }),
      }),
    ),
  },
  responses: { 200: json(FencedNode, 'The node with its geofence.') },
  codes: ['fence-malformed', 'node-unknown'],
});

/** What a revocation did to keys, in words: a node that the operator registered has none to revoke. */
function endOfKeys(keys: readonly string[]): string {
  return keys.length === 0
    ? 'the operator registered this node; there is no registration key to revoke'
    : `revoked registration keys: ${keys.join(', ')}`;
}

export interface NodeAdminContext extends NodeForgetContext {
  readonly registration: RegistrationPort;
  readonly quotas: QuotaPort;
  readonly fence: Pick<FencePort, 'set' | 'describe'>;
  readonly trust: Pick<TrustPort, 'kept' | 'reliability'>;
}

/** The operator's actions on nodes. Ids in paths are URL-encoded. */
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
