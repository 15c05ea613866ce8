import { z } from '@hono/zod-openapi';
import { scalarsOf } from '../../protocols/market/record-fields.ts';
import type { Catalogue } from '../../protocols/market/catalogue.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import { TLS_FINGERPRINT } from '../../protocols/registry/statement.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { recordKey } from '../../protocols/wire/ids.ts';
import { isOperator, registrationKey, visibilityOf } from '../access.ts';
import type { RecordReader } from '../context.ts';
import { nodeTemplate, Profile, profileFields, ProfileUpdate } from '../node-template.ts';
import type { NodeEntry } from '../ports/registration.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { count, text, texts } from '../schemas.ts';
import { nodeTrust } from '../trust-json.ts';
import type { ErrorCode } from '../../protocols/error-codes.ts';
import { PEER_CODES } from '../problem.ts';
import { type NodeAdminContext, nodeAdminRoutes } from './node-admin.ts';
import { quotaJson } from './node-quota.ts';
import { entryJson, nodeJson, NodeRow, NotCompared, Registered } from './node-rows.ts';
import { isoOrNull } from '../../protocols/wire/iso-time.ts';

const tags = ['Federation'];
const email = z
  .string()
  .max(254)
  .regex(/^[^\s@]{1,64}@[^\s@]{1,189}$/, 'must be an e-mail address');
/** The URL of a node; what may be asked is the guarded fetcher's to say. */
const nodeUrl = z.string().max(512);
const region = z.string().max(64);
const statement = z
  .string()
  .max(16_384)
  .regex(/^[A-Za-z0-9_-]+$/);

const Identity = z
  .object({
    peerId: text('Peer ID.'),
    name: text('Name; may be empty.'),
    network: text('Name of the federation’s network.'),
    schemaVersion: z.number().int().describe('Version of the record schemas.'),
    multiaddrs: texts('libp2p addresses.'),
    region: text('Region.'),
    nodeUrl: text('Public URL; may be empty.'),
    tlsFingerprint: text('SHA-256 of the TLS certificate, hex; absent without TLS.').optional(),
    proof: text('With a nonce: a signed envelope of domain `agrinet-identity`, base64url.').optional(),
  })
  .openapi('NodeIdentity');
const HealthRow = z
  .object({
    node: text('URL of the node, or its ID if it has none.'),
    status: z.enum(['ONLINE', 'OFFLINE']),
    listings: count('Number of its listings on this node.'),
    transactions: count('Number of its transactions on this node; 0 unless the caller is an operator.'),
    users: count('Number of its rated users on this node.'),
    lastSync: z.iso.datetime().nullable().describe('When the last sync ended; null before the first.'),
    error: text('Why it is offline.').optional(),
    notCompared: z.array(NotCompared).optional(),
  })
  .openapi('FederationHealth');
const identity = route('open', {
  operationId: 'getNodeIdentity',
  method: 'get',
  path: '/identity',
  tags,
  summary: 'Retrieve the identity of this node; with a nonce, signed by its key',
  request: {
    query: z.object({
      nonce: z
        .string()
        .regex(/^[0-9a-f]{32}$/)
        .optional()
        .openapi({ description: '16 random bytes, hex; the node signs them.' }),
    }),
  },
  responses: {
    200: json(Identity, 'The identity.'),
  },
});
const nodes = route('read', {
  operationId: 'listNodes',
  method: 'get',
  path: '/nodes',
  tags,
  summary: 'List registered nodes in the Agrinet node template, with their health',
  responses: {
    200: json(
      z.object({ nodes: z.array(NodeRow) }).openapi('NodeList'),
      'Registered nodes, without contact details.',
    ),
  },
});
const status = route(
  'read',
  {
    operationId: 'getFederationStatus',
    method: 'get',
    path: '/status',
    tags,
    summary: 'Retrieve the health of the federation, as the Agrinet status CLI shows it',
    responses: {
      200: json(
        z.object({ federationHealth: z.array(HealthRow) }).openapi('FederationStatus'),
        'One item per registered node.',
      ),
    },
  },
  'ignored',
);
const readProfile = route('read', {
  operationId: 'getNodeProfile',
  method: 'get',
  path: '/profile',
  tags,
  summary: 'Retrieve the profile of this node in the Agrinet node template',
  responses: { 200: json(Profile, 'The profile.') },
});
const writeProfile = route('operator', {
  operationId: 'updateNodeProfile',
  method: 'put',
  path: '/profile',
  tags,
  summary: 'Update the profile of this node',
  description: 'Fields that are not sent stay as they are; null deletes a field.',
  request: { body: jsonInput(ProfileUpdate) },
  responses: { 200: json(Profile, 'The updated profile.') },
  codes: ['record-merging'],
});
const REGISTERING: readonly ErrorCode[] = [
  ...PEER_CODES,
  'key-used',
  'node-state',
  'registration-invalid',
  'registration-replayed',
  'registration-self',
  'registry-full',
];
const register = route(
  'register',
  {
    operationId: 'registerNode',
    method: 'post',
    path: '/node/register',
    tags,
    summary: 'Register a node with this one',
    description:
      'A signed registration becomes active once the node has proven its identity. An unsigned one stays pending until the operator approves it.',
    request: {
      body: jsonInput(
        z
          .object({
            nodeUrl: nodeUrl.optional(),
            region: region.optional(),
            contactEmail: email
              .nullish()
              .openapi({ description: 'Contact address; only the operator sees it.' }),
            peerId: z.string().max(128).optional().openapi({ description: 'Must match the statement.' }),
            multiaddrs: z
              .array(z.string().max(256))
              .max(16)
              .optional()
              .openapi({ description: 'Must match the statement.' }),
            time: z
              .number()
              .int()
              .min(0)
              .max(Number.MAX_SAFE_INTEGER)
              .optional()
              .openapi({ description: 'Milliseconds since the Unix epoch. Must match the statement.' }),
            nonce: z.string().max(64).optional().openapi({ description: 'Must match the statement.' }),
            tlsFingerprint: z
              .string()
              .max(64)
              .regex(TLS_FINGERPRINT)
              .optional()
              .openapi({ description: 'SHA-256 of the TLS certificate, hex. Must match the statement.' }),
            statement: statement.optional().openapi({ description: 'The signed registration, base64url.' }),
          })
          .openapi('NodeRegistration')
          .refine((body) => body.statement !== undefined || body.nodeUrl !== undefined, {
            message: 'nodeUrl: required, the URL of the node to register',
          }),
      ),
    },
    responses: {
      200: json(Registered, 'The node is already registered.'),
      201: json(Registered, 'It is active; `statement` is the registration of this node in return.'),
      202: json(
        Registered,
        'It is pending until the operator approves it. An unsigned request does not use up the key.',
      ),
    },
    codes: REGISTERING,
  },
  'ignored',
);
const withdraw = route('open', {
  operationId: 'withdrawRegistration',
  method: 'post',
  path: '/node/withdraw',
  tags,
  summary: 'Withdraw a registration; only its signer can',
  request: {
    body: jsonInput(
      z.object({ statement: statement.openapi({ description: 'The signed withdrawal, base64url.' }) }),
    ),
  },
  responses: { 204: { description: 'Withdrawn; the registration is pending.' } },
  codes: ['node-state', 'node-unknown', 'registration-invalid', 'registration-replayed'],
});

const BY_HAND =
  'registered with the operator’s own key; issue one key per node to others: agrinet keys issue --scopes register';

/** What the registration routes need of the node. */
export interface RegistrationContext extends NodeAdminContext {
  readonly self: PeerId;
  readonly reader: Pick<RecordReader, 'get'>;
  readonly catalogue: Pick<Catalogue, 'putProfile'>;
}

const healthJson = (each: NodeEntry) => ({
  node: each.url === '' ? each.id : each.url,
  status: each.online ? ('ONLINE' as const) : ('OFFLINE' as const),
  listings: each.listings,
  transactions: each.transactions,
  users: each.users,
  lastSync: isoOrNull(each.lastSyncAt),
  ...(each.online ? {} : { error: each.error ?? 'not connected' }),
  ...(each.notCompared.length === 0 ? {} : { notCompared: [...each.notCompared] }),
});

/** The node's public description of itself. */
function profileRoutes({
  self,
  reader,
  catalogue,
  trust,
}: Pick<RegistrationContext, 'self' | 'reader' | 'catalogue' | 'trust'>) {
  /** The percentage is what this node counts: what the record may say of it is the node's own word. */
  async function profileJson(view: RecordState['view'] | undefined): Promise<z.output<typeof Profile>> {
    const { trustScore } = await nodeTrust(trust, self);
    return { ...nodeTemplate(self, view), reputation: { leveson: trustScore ?? 0 } };
  }

  return router()
    .openapi(readProfile, async (c) => {
      const state = await reader.get(recordKey('nodes', self, 'profile'));
      return c.json(await profileJson(state?.view), 200);
    })
    .openapi(writeProfile, async (c) => {
      const { state } = await catalogue.putProfile(scalarsOf('nodes', profileFields(c.req.valid('json'))));
      return c.json(await profileJson(state.view), 200);
    });
}

export function registrationRoutes(node: RegistrationContext) {
  const { reader, registration, quotas, trust } = node;
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
      const sees = visibilityOf(c.get('principal'));
      const rows = (await registration.nodes(sees)).map(async (each) => {
        const quota = sees === 'whole' ? quotas.of(each.id) : undefined;
        return { ...(await row(each)), ...(quota === undefined ? {} : { quota: quotaJson(quota) }) };
      });
      return c.json({ nodes: await Promise.all(rows) }, 200);
    })
    .openapi(status, async (c) => {
      const federationHealth = (await registration.nodes(visibilityOf(c.get('principal')))).map(healthJson);
      return c.json({ federationHealth }, 200);
    })
    .route('/', profileRoutes(node))
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
      const message = `pending approval by the operator of this node: agrinet nodes approve ${done.node.id}`;
      return c.json({ ...shown, message }, 202);
    })
    .openapi(withdraw, async (c) => {
      await registration.withdraw(c.req.valid('json').statement);
      return c.body(null, 204);
    })
    .route('/', nodeAdminRoutes(node));
}
