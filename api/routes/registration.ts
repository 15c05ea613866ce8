import { z } from '@hono/zod-openapi';
import type { JSONValue } from 'hono/utils/types';
import { scalarsOf } from '../../protocols/market/record-fields.ts';
import type { Catalogue } from '../../protocols/market/catalogue.ts';
import { TLS_FINGERPRINT } from '../../protocols/registry/statement.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { recordKey } from '../../protocols/wire/ids.ts';
import { isOperator, registrationKey, seesOf } from '../access.ts';
import type { RecordReader } from '../context.ts';
import { nodeTemplate, profileFields } from '../node-template.ts';
import type { NodeEntry } from '../ports/registration.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { nodeTrust } from '../trust-json.ts';
import { type NodeAdminContext, nodeAdminRoutes } from './node-admin.ts';
import { quotaJson } from './node-quota.ts';
import { entryJson, nodeJson, NodeRow, NotCompared, Registered } from './node-rows.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';

const tags = ['Federation'];
const value = z.unknown() as z.ZodType<JSONValue | undefined>; // it has been JSON all along
const email = z
  .string()
  .max(254)
  .regex(/^[^\s@]{1,64}@[^\s@]{1,189}$/, 'an e-mail address');
/** The URL of a node; what may be asked is the guarded fetcher's to say. */
const nodeUrl = z.string().max(512);
const region = z.string().max(64);
const statement = z
  .string()
  .max(16_384)
  .regex(/^[A-Za-z0-9_-]+$/);

const identity = route('open', {
  operationId: 'getNodeIdentity',
  method: 'get',
  path: '/identity',
  tags,
  summary: 'Who this node is; with a nonce, signed by its key',
  request: {
    query: z.object({
      nonce: z
        .string()
        .regex(/^[0-9a-f]{32}$/)
        .optional(),
    }),
  },
  responses: {
    200: json(
      z.object({
        peerId: z.string(),
        name: z.string(),
        network: z.string(),
        schemaVersion: z.number(),
        multiaddrs: z.array(z.string()),
        region: z.string(),
        nodeUrl: z.string(),
        tlsFingerprint: z.string().optional(),
        proof: z.string().optional(),
      }),
      '`proof`: an envelope of domain `agrinet-identity` in base64url',
    ),
  },
});
const nodes = route('read', {
  operationId: 'listNodes',
  method: 'get',
  path: '/nodes',
  tags,
  summary: 'Every registered node in the Agrinet node template, with how it is doing',
  responses: { 200: json(z.object({ nodes: z.array(NodeRow) }), 'The registry, without contact addresses') },
});
const status = route(
  'read',
  {
    operationId: 'getFederationStatus',
    method: 'get',
    path: '/status',
    tags,
    summary: 'What the Agrinet status CLI reads',
    responses: {
      200: json(
        z.object({
          federationHealth: z.array(
            z.object({
              node: z.string(),
              status: z.enum(['ONLINE', 'OFFLINE']),
              listings: z.number(),
              transactions: z.number(),
              users: z.number(),
              lastSync: z.string().nullable(),
              error: z.string().optional(),
              notCompared: z.array(NotCompared).optional(),
            }),
          ),
        }),
        'One item for each node',
      ),
    },
  },
  'ignored',
);
const Profile = z.object({ nodeId: z.string() }).catchall(value).openapi('NodeProfile');
const readProfile = route('read', {
  operationId: 'getNodeProfile',
  method: 'get',
  path: '/profile',
  tags,
  summary: 'This node’s own profile in the Agrinet node template',
  responses: { 200: json(Profile, 'The profile') },
});
const writeProfile = route('operator', {
  operationId: 'updateNodeProfile',
  method: 'put',
  path: '/profile',
  tags,
  summary: 'Change this node’s profile; null deletes a field',
  request: { body: jsonInput(z.record(z.string().max(256), z.unknown())) },
  responses: { 200: json(Profile, 'The profile as it stands now') },
});
const register = route(
  'register',
  {
    operationId: 'registerNode',
    method: 'post',
    path: '/node/register',
    tags,
    summary:
      'Register a node here: signed and proven it is active, with a key alone it waits for the operator',
    request: {
      body: jsonInput(
        z
          .object({
            nodeUrl: nodeUrl.optional(),
            region: region.optional(),
            contactEmail: email.nullish(),
            peerId: z.string().max(128).optional(),
            multiaddrs: z.array(z.string().max(256)).max(16).optional(),
            time: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER).optional(),
            nonce: z.string().max(64).optional(),
            tlsFingerprint: z.string().max(64).regex(TLS_FINGERPRINT).optional(),
            statement: statement.optional(),
          })
          .refine((body) => body.statement !== undefined || body.nodeUrl !== undefined, {
            message: 'nodeUrl: the URL of the node to register',
          }),
      ),
    },
    responses: {
      200: json(Registered, 'It was registered already'),
      201: json(Registered, 'It is active; `statement` is this node’s own registration'),
      202: json(
        Registered,
        'It is pending until the operator approves it; an unsigned request uses no key up',
      ),
    },
  },
  'ignored',
);
const withdraw = route('open', {
  operationId: 'withdrawRegistration',
  method: 'post',
  path: '/node/withdraw',
  tags,
  summary: 'Take a registration back; only its signer can',
  request: { body: jsonInput(z.object({ statement })) },
  responses: { 204: { description: 'It is not active any more' } },
});

const BY_HAND =
  'registered by the hand of this node’s operator, with its own key; give others one each: agrinet keys issue --scopes register';

const iso = (ms: number): string | null => (ms === 0 ? null : isoTime(ms));

/** What the registration routes need of the node. */
export interface RegistrationContext extends NodeAdminContext {
  readonly self: PeerId;
  readonly reader: Pick<RecordReader, 'get'>;
  readonly catalogue: Pick<Catalogue, 'putProfile'>;
}

export function registrationRoutes(node: RegistrationContext) {
  const { self, reader, catalogue, registration, quotas, trust } = node;
  async function row(each: NodeEntry): Promise<z.output<typeof NodeRow>> {
    const score = await nodeTrust(trust, each.id);
    if (each.peerId === undefined) return nodeJson(each, undefined, score);
    const state = await reader.get(recordKey('nodes', each.peerId, 'profile'));
    return nodeJson(each, state?.view, score);
  }

  return router()
    .openapi(identity, (c) => {
      c.header('cache-control', 'no-store');
      const { multiaddrs, ...rest } = registration.identity(c.req.valid('query').nonce);
      return c.json({ ...rest, multiaddrs: [...multiaddrs] }, 200);
    })
    .openapi(nodes, async (c) => {
      const sees = seesOf(c.get('principal'));
      const rows = (await registration.nodes(sees)).map(async (each) => {
        const quota = sees === 'whole' ? quotas.of(each.id) : undefined;
        return { ...(await row(each)), ...(quota === undefined ? {} : { quota: quotaJson(quota) }) };
      });
      return c.json({ nodes: await Promise.all(rows) }, 200);
    })
    .openapi(status, async (c) => {
      const federationHealth = (await registration.nodes(seesOf(c.get('principal')))).map((each) => ({
        node: each.url === '' ? each.id : each.url,
        status: each.online ? ('ONLINE' as const) : ('OFFLINE' as const),
        listings: each.listings,
        transactions: each.transactions,
        users: each.users,
        lastSync: iso(each.lastSyncAt),
        ...(each.online ? {} : { error: each.error ?? 'not connected' }),
        ...(each.notCompared.length === 0 ? {} : { notCompared: [...each.notCompared] }),
      }));
      return c.json({ federationHealth }, 200);
    })
    .openapi(readProfile, async (c) => {
      const state = await reader.get(recordKey('nodes', self, 'profile'));
      const { trustScore } = await nodeTrust(trust, self);
      const profile: z.output<typeof Profile> = nodeTemplate(self, state?.view);
      return c.json({ ...profile, reputation: { leveson: trustScore ?? 0 } }, 200);
    })
    .openapi(writeProfile, async (c) => {
      const { state } = await catalogue.putProfile(scalarsOf('nodes', profileFields(c.req.valid('json'))));
      const profile: z.output<typeof Profile> = nodeTemplate(self, state.view);
      return c.json(profile, 200);
    })
    .openapi(register, async (c) => {
      const { contactEmail, ...body } = c.req.valid('json');
      const principal = c.get('principal');
      const by = isOperator(principal) ? undefined : (principal.userId ?? principal.id);
      const key = registrationKey(principal);
      const done = await registration.register({ ...body, contactEmail: contactEmail ?? undefined, by, key });
      const shown = entryJson(done.node);
      if (done.statement !== undefined) {
        const answer = {
          ...shown,
          statement: done.statement,
          ...(key === undefined ? { message: BY_HAND } : {}),
        };
        return done.node.status === 'active' ? c.json(answer, 201) : c.json(answer, 202);
      }
      if (!done.created) return c.json(shown, 200);
      const message = `the operator of this node decides: agrinet nodes approve ${done.node.id}`;
      return c.json({ ...shown, message }, 202);
    })
    .openapi(withdraw, async (c) => {
      await registration.withdraw(c.req.valid('json').statement);
      return c.body(null, 204);
    })
    .route('/', nodeAdminRoutes(node));
}
