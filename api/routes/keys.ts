import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import { isOperator, type Principal, SCOPES } from '../access.ts';
import type { IssuedKey, KeyInfo, Keys } from '../ports/access.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { pageQuery } from '../schemas.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import { nextOf, placeOf } from '../paging.ts';

const tags = ['Keys'];
const MAX_LIFETIME_S = 366 * 24 * 3600;
const MAX_USES = 32;
const MAX_GRACE_S = 30 * 24 * 3600;

const userId = z
  .string()
  .min(1)
  .max(128)
  .regex(/^\P{Cc}+$/u);
const keyId = z.string().min(1).max(64);
const secret = z.string().min(1).max(256);

const info = {
  id: z.string(),
  userId: z.string(),
  scopes: z.array(z.enum(SCOPES)),
  status: z.enum(['active', 'expired', 'revoked']),
  issuedAt: z.iso.datetime(),
  expiresAt: z.iso.datetime(),
  usageCount: z.number().int(),
  lastUsedAt: z.iso.datetime().optional(),
  revokedAt: z.iso.datetime().optional(),
  replacedBy: z.string().optional(),
  uses: z
    .number()
    .int()
    .optional()
    .openapi({ description: 'Nodes that may register with it; only with the scope `register`' }),
};
const Key = z.object(info).openapi('ApiKey');
const NewKey = z.object({ key: z.string(), ...info }).openapi('NewApiKey');

const order = jsonInput(
  z.object({
    userId,
    scopes: z.array(z.enum(SCOPES)).min(1).max(SCOPES.length).optional(),
    expiresIn: z
      .number()
      .int()
      .min(1)
      .max(MAX_LIFETIME_S)
      .optional()
      .openapi({ description: 'Seconds; default 90 days' }),
    uses: z
      .number()
      .int()
      .min(1)
      .max(MAX_USES)
      .optional()
      .openapi({ description: 'With the scope `register`: how many nodes it is for; default one' }),
  }),
);
const shownOnce = json(NewKey, 'The key, shown this once');

const list = route('operator', {
  operationId: 'listKeys',
  method: 'get',
  path: '/',
  tags,
  summary: 'The keys this node has issued, newest first; never the keys themselves',
  request: { query: z.object({ userId: userId.optional(), ...pageQuery }) },
  responses: { 200: json(z.object({ keys: z.array(Key), cursor: z.string().optional() }), 'One page') },
});
const mine = route('known', {
  operationId: 'listOwnKeys',
  method: 'get',
  path: '/mine',
  tags,
  summary: 'The keys of the user that the key or token acts for; not without one',
  responses: { 200: json(z.object({ keys: z.array(Key) }), 'All of them') },
});
const create = route('operator', {
  operationId: 'createKey',
  method: 'post',
  path: '/',
  tags,
  summary: 'Issue a key',
  request: { body: order },
  responses: { 201: shownOnce },
});
const issue = route(
  'operator',
  {
    operationId: 'issueKey',
    method: 'post',
    path: '/issue',
    tags,
    summary: 'Issue a key',
    request: { body: order },
    responses: { 201: shownOnce },
  },
  'ignored',
);
const revoke = route(
  'operator',
  {
    operationId: 'revokeKey',
    method: 'post',
    path: '/revoke',
    tags,
    summary: 'End a key at once, named by its id or itself',
    request: { body: jsonInput(z.union([z.object({ id: keyId }), z.object({ key: secret })])) },
    responses: { 200: json(Key, 'The key as it stands now') },
  },
  'ignored',
);
const rotate = route('known', {
  operationId: 'rotateKey',
  method: 'post',
  path: '/{id}/rotate',
  tags,
  summary: 'Replace a key: the operator any, everybody else the one sent along',
  request: {
    params: z.object({ id: keyId }),
    body: {
      content: jsonInput(
        z.object({
          graceSeconds: z
            .number()
            .int()
            .min(0)
            .max(MAX_GRACE_S)
            .optional()
            .openapi({ description: 'How long the old key stays valid; default a day' }),
        }),
      ).content,
    },
  },
  responses: {
    201: json(
      NewKey.extend({ previous: z.object({ id: z.string(), expiresAt: z.iso.datetime() }) }),
      'The new key, shown this once, and until when the old one is valid',
    ),
  },
});
const oldIssue = route(
  'operator',
  {
    operationId: 'issueKeyLegacy',
    method: 'post',
    path: '/issue-key',
    tags,
    summary: 'Issue a key, as old clients ask for it',
    request: { body: jsonInput(z.object({ userId })) },
    responses: {
      201: json(z.object({ message: z.string(), data: NewKey }), 'The key, shown this once'),
    },
  },
  'ignored',
);
const oldValidate = route(
  'operator',
  {
    operationId: 'validateKeyLegacy',
    method: 'post',
    path: '/validate-key',
    tags,
    summary: 'Whether a key is a valid one of this user, as old clients ask; 400 when it is not',
    request: { body: jsonInput(z.object({ userId, key: secret })) },
    responses: {
      200: json(z.object({ valid: z.literal(true), message: z.string() }), 'It is'),
    },
  },
  'ignored',
);

/** `/api/keys`. Answers with a key in them are not to be stored anywhere: not by caches, not for `Idempotency-Key`. */
export function keyRoutes({ keys }: { readonly keys: Keys }) {
  return router()
    .openapi(list, async (c) => {
      const query = c.req.valid('query');
      const page = await keys.list({ ...query, cursor: placeOf(c, query.cursor) });
      const body = { keys: page.keys.map(shown) };
      return c.json({ ...body, ...nextOf(c, page.cursor) }, 200);
    })
    .openapi(mine, async (c) => {
      const principal = known(c.get('principal'));
      if (principal.userId === undefined) return c.json({ keys: [] }, 200);
      // A user has fewer than this: the ring's own limits say so.
      const page = await keys.list({ userId: principal.userId, limit: 500 });
      return c.json({ keys: page.keys.map(shown) }, 200);
    })
    .openapi(create, async (c) => {
      c.header('cache-control', 'no-store');
      return c.json(shownWithKey(await keys.issue(c.req.valid('json'))), 201);
    })
    .openapi(issue, async (c) => {
      c.header('cache-control', 'no-store');
      return c.json(shownWithKey(await keys.issue(c.req.valid('json'))), 201);
    })
    .openapi(revoke, async (c) => c.json(shown(await keys.revoke(c.req.valid('json'))), 200))
    .openapi(rotate, async (c) => {
      const principal = known(c.get('principal'));
      const { id } = c.req.valid('param');
      if (!isOperator(principal) && principal.id !== id)
        throw new AgrinetError('forbidden', 'a key can rotate itself only; the operator can rotate any');
      const { issued, previous } = await keys.rotate(id, c.req.valid('json').graceSeconds);
      const { expiresAt } = shown(previous);
      c.header('cache-control', 'no-store');
      return c.json({ ...shownWithKey(issued), previous: { id, expiresAt } }, 201);
    })
    .openapi(oldIssue, async (c) => {
      const data = shownWithKey(await keys.issue({ userId: c.req.valid('json').userId }));
      c.header('cache-control', 'no-store');
      return c.json({ message: 'Key issued successfully', data }, 201);
    })
    .openapi(oldValidate, async (c) => {
      const { userId, key } = c.req.valid('json');
      if (!(await keys.validate(userId, key)))
        throw new AgrinetError('key-invalid', 'Invalid or retired key');
      return c.json({ valid: true as const, message: 'Key validated' }, 200);
    });
}

/** Refuses who sent no credentials: these two routes are open to every scope, but not to nobody. */
function known(principal: Principal): Principal {
  if (principal.id === 'anonymous') throw new AgrinetError('unauthorized', 'Unauthorized: Invalid API Key');
  return principal;
}

/** Field by field, so that nothing else of a key can slip out. */
function shown(key: KeyInfo) {
  return {
    id: key.id,
    userId: key.userId,
    scopes: [...key.scopes],
    status: key.state,
    issuedAt: isoTime(key.issuedAt),
    expiresAt: isoTime(key.expiresAt),
    usageCount: key.usageCount,
    ...(key.lastUsedAt === undefined ? {} : { lastUsedAt: isoTime(key.lastUsedAt) }),
    ...(key.revokedAt === undefined ? {} : { revokedAt: isoTime(key.revokedAt) }),
    ...(key.replacedBy === undefined ? {} : { replacedBy: key.replacedBy }),
    ...(key.uses === undefined ? {} : { uses: key.uses }),
  };
}

function shownWithKey(issued: IssuedKey) {
  return { key: issued.key, ...shown(issued) };
}
