import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import { isOperator, type Principal, SCOPES } from '../access.ts';
import type { IssuedKey, KeyInfo, Keys } from '../ports/access.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { count, pageOf, pageQuery, text, timestamp } from '../schemas.ts';
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
  .regex(/^\P{Cc}+$/u)
  .openapi({ description: 'User that the key belongs to.' });
const keyId = z.string().min(1).max(64).openapi({ description: 'ID of the key.' });
const secret = z.string().min(1).max(256).openapi({ description: 'The key itself.' });

const info = {
  id: text('ID of the key.'),
  userId: text('User that the key belongs to.'),
  scopes: z.array(z.enum(SCOPES)).openapi({ description: 'Scopes of the key.' }),
  status: z.enum(['active', 'expired', 'revoked']),
  issuedAt: timestamp('When it was issued.'),
  expiresAt: timestamp('When it expires.'),
  usageCount: count('Number of requests authenticated with it.'),
  lastUsedAt: timestamp('When it was last used.').optional(),
  revokedAt: timestamp('When it was revoked.').optional(),
  replacedBy: text('ID of the key that replaces it.').optional(),
  uses: count('Number of nodes that can register with it; only with the scope `register`.').optional(),
};
const Key = z.object(info).openapi('ApiKey');
const NewKey = z.object({ key: text('The key; shown only once.'), ...info }).openapi('NewApiKey');
const KeyList = z.object({ keys: z.array(Key) }).openapi('ApiKeyList');
const RotatedKey = NewKey.extend({
  previous: z
    .object({ id: text('ID of the old key.'), expiresAt: timestamp('When it expires.') })
    .openapi({ description: 'The old key.' }),
}).openapi('RotatedApiKey');

/** A key to be issued. */
export const KeyOrder = z
  .object({
    userId,
    scopes: z
      .array(z.enum(SCOPES))
      .min(1)
      .max(SCOPES.length)
      .optional()
      .openapi({ description: 'Scopes; `read` and `write` by default.' }),
    expiresIn: z
      .number()
      .int()
      .min(1)
      .max(MAX_LIFETIME_S)
      .optional()
      .openapi({ description: 'Lifetime in seconds; 90 days by default.' }),
    uses: z.number().int().min(1).max(MAX_USES).optional().openapi({
      description:
        'Number of nodes that can register with the key; needs the scope `register`. 1 by default.',
    }),
  })
  .openapi('ApiKeyCreate');
const order = jsonInput(KeyOrder);
const shownOnce = json(NewKey, 'The new key; it is shown only once.');
const ISSUING = ['key-limit', 'keys-full'] as const;

const list = route('operator', {
  operationId: 'listKeys',
  method: 'get',
  path: '/',
  tags,
  summary: 'List API keys, newest first, without the keys themselves',
  request: { query: z.object({ userId: userId.optional(), ...pageQuery }) },
  responses: { 200: json(pageOf('keys', Key), 'A page of keys.') },
});
const mine = route('known', {
  operationId: 'listOwnKeys',
  method: 'get',
  path: '/mine',
  tags,
  summary: 'List the API keys of the caller',
  responses: { 200: json(KeyList, 'All keys of the user.') },
});
const create = route('operator', {
  operationId: 'createKey',
  method: 'post',
  path: '/',
  tags,
  summary: 'Issue an API key',
  request: { body: order },
  responses: { 201: shownOnce },
  codes: ISSUING,
});
const issue = route(
  'operator',
  {
    operationId: 'issueKey',
    method: 'post',
    path: '/issue',
    tags,
    summary: 'Issue an API key; alias of POST /api/keys',
    request: { body: order },
    responses: { 201: shownOnce },
    codes: ISSUING,
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
    summary: 'Revoke an API key',
    request: {
      body: jsonInput(
        z.union([z.object({ id: keyId }), z.object({ key: secret })]).openapi('ApiKeyReference', {
          description: 'The key, by its ID or by itself.',
        }),
      ),
    },
    responses: { 200: json(Key, 'The revoked key.') },
    codes: ['key-unknown'],
  },
  'ignored',
);
const rotate = route('known', {
  operationId: 'rotateKey',
  method: 'post',
  path: '/{id}/rotate',
  tags,
  summary: 'Replace an API key with a new one',
  description: 'Operators can rotate any key; everybody else only the key of the request.',
  request: {
    params: z.object({ id: keyId }),
    body: {
      content: jsonInput(
        z.object({
          graceSeconds: z.number().int().min(0).max(MAX_GRACE_S).optional().openapi({
            description: 'How long the old key stays valid, in seconds; one day by default.',
          }),
        }),
      ).content,
    },
  },
  responses: { 201: json(RotatedKey, 'The new key, shown only once, and the old one.') },
  codes: ['key-inactive', 'key-limit', 'key-unknown', 'keys-full', 'rejoining'],
});
const oldIssue = route(
  'operator',
  {
    operationId: 'issueKeyLegacy',
    method: 'post',
    path: '/issue-key',
    tags,
    summary: 'Issue an API key, for clients of the old back end',
    request: { body: jsonInput(z.object({ userId })) },
    responses: {
      201: json(
        z.object({ message: text('What was done.'), data: NewKey }).openapi('LegacyIssuedKey'),
        'The new key; it is shown only once.',
      ),
    },
    codes: ISSUING,
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
    summary: 'Check whether an API key belongs to a user, for clients of the old back end',
    request: { body: jsonInput(z.object({ userId, key: secret })) },
    responses: {
      200: json(
        z.object({ valid: z.literal(true), message: text('Confirmation.') }).openapi('LegacyKeyValidation'),
        'The key is valid.',
      ),
    },
    codes: ['key-invalid'],
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
        throw new AgrinetError('forbidden', 'a key can rotate only itself; operators can rotate any key');
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

/** Refuses callers without credentials: these two routes are open to every scope, but not to anonymous callers. */
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
