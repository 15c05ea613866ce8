import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import { isoTime, isTimeZone } from '../../protocols/wire/iso-time.ts';
import { isOperator, type Principal } from '../access.ts';
import { nextOf, placeOf } from '../paging.ts';
import { NOTICE_KINDS, type User, type UsersPort } from '../ports/users.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { flag, pageOf, pageQuery, text, timestamp } from '../schemas.ts';

const tags = ['Users'];
const CLOCK = /^([01]\d|2[0-3]):[0-5]\d$/;

const userId = z
  .string()
  .min(1)
  .max(128)
  .regex(/^\P{Cc}+$/u)
  .refine((id) => id.isWellFormed(), 'must be well-formed Unicode')
  .openapi({ description: 'ID of the user, as in keys and tokens.' });
const idParam = z.object({ id: userId });
/** A line of text that is not blank. */
const line = (max: number, description: string) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[^\p{Cc}\p{Zl}\p{Zp}]+$/u)
    .openapi({ description });
const clock = (description: string) => z.string().regex(CLOCK, 'must be HH:MM').openapi({ description });

const fields = {
  displayName: line(128, 'Name that others are shown.'),
  role: line(64, 'Role, such as `farmer` or `buyer`; only an operator sets it.'),
  region: line(128, 'Region.'),
  language: z
    .string()
    .max(35)
    .regex(/^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*$/, 'must be a language tag such as en or sw')
    .openapi({
      description: 'Language of notices, a BCP 47 tag; English if there are no texts in that language.',
    }),
  phone: z
    .string()
    .regex(/^\+[1-9]\d{6,14}$/, 'must be a phone number such as +254700000000')
    .openapi({ description: 'Phone number (E.164). It stays on this node.' }),
  email: z
    .string()
    .max(254)
    .regex(/^[^\s@\p{Cc}]+@[^\s@\p{Cc}]+$/u, 'must be an e-mail address')
    .openapi({ description: 'E-mail address. It stays on this node.' }),
  quietHours: z
    .object({
      from: clock('Begin, `HH:MM`.'),
      to: clock('End, `HH:MM`; over midnight where it lies before the begin.'),
      timeZone: z
        .string()
        .max(64)
        .refine(isTimeZone, 'must be a time zone such as Africa/Nairobi')
        .default('UTC')
        .openapi({ description: 'IANA time zone.' }),
    })
    .openapi({
      description: 'Hours in which no SMS is sent; an SMS due then is sent when they end.',
    }),
  sms: z
    .boolean()
    .openapi({ description: 'Whether SMS are sent; becomes false when the phone answers STOP.' }),
  muted: z
    .array(z.enum(NOTICE_KINDS))
    .max(NOTICE_KINDS.length)
    .openapi({ description: 'Kinds of notices that are listed, but not sent to webhooks.' }),
};
const { quietHours } = fields;
const UserBody = z
  .object({
    id: text('ID of the user.'),
    displayName: text('Name that others are shown.').optional(),
    role: text('Role.').optional(),
    region: text('Region.').optional(),
    language: text('Language of notices.').optional(),
    phone: text('Phone number.').optional(),
    email: text('E-mail address.').optional(),
    quietHours: quietHours.openapi('QuietHours').optional(),
    sms: flag('Whether the user wants SMS.'),
    muted: z.array(z.enum(NOTICE_KINDS)).openapi({ description: 'Kinds that are only listed.' }),
    createdAt: timestamp('When the user was entered.').optional(),
    updatedAt: timestamp('When the entry was last changed.').optional(),
  })
  .openapi('User');
const changeable = Object.fromEntries(
  Object.entries(fields).map(([name, schema]) => [name, schema.nullable().optional()]),
) as { [F in keyof typeof fields]: z.ZodOptional<z.ZodNullable<(typeof fields)[F]>> }; // each field by itself, wrapped

const list = route('operator', {
  operationId: 'listUsers',
  method: 'get',
  path: '/',
  tags,
  summary: 'List the users of this node: those with a key, and those in its directory',
  request: { query: z.object(pageQuery) },
  responses: { 200: json(pageOf('users', UserBody), 'A page of users, by ID.') },
});
const read = route('write', {
  operationId: 'getUser',
  method: 'get',
  path: '/{id}',
  tags,
  summary: 'Retrieve the directory entry of a user; operators can retrieve any, others their own',
  request: { params: idParam },
  responses: { 200: json(UserBody, 'The user.') },
  codes: ['user-unknown'],
});
const change = route('write', {
  operationId: 'updateUser',
  method: 'patch',
  path: '/{id}',
  tags,
  summary: 'Update the directory entry of a user; operators can also create one',
  request: {
    params: idParam,
    body: jsonInput(
      z.strictObject(changeable).openapi('UserUpdate', {
        description: 'Fields to change; null removes a field, absent fields stay as they are.',
      }),
    ),
  },
  responses: { 200: json(UserBody, 'The user.') },
  codes: ['users-full'],
});
const remove = route('write', {
  operationId: 'deleteUser',
  method: 'delete',
  path: '/{id}',
  tags,
  summary: 'Delete the directory entry of a user with all its data; keys are kept',
  request: { params: idParam },
  responses: { 204: { description: 'Deleted.' } },
  codes: ['user-unknown'],
});

/** A user may see and change its own entry, the operator all. Throws `forbidden`, whoever else exists. */
function requireOwn(principal: Principal, id: string): void {
  if (!isOperator(principal) && principal.userId !== id)
    throw new AgrinetError('forbidden', `this key acts for ${principal.userId ?? 'nobody'} only`);
}

export function userRoutes({ users }: { readonly users: UsersPort }) {
  return router()
    .openapi(list, (c) => {
      const { limit, cursor } = c.req.valid('query');
      const page = users.list(limit, placeOf(c, cursor));
      return c.json({ users: page.users.map(shown), ...nextOf(c, page.cursor) }, 200);
    })
    .openapi(read, (c) => {
      const { id } = c.req.valid('param');
      requireOwn(c.get('principal'), id);
      return c.json(shown(users.get(id)), 200);
    })
    .openapi(change, async (c) => {
      const { id } = c.req.valid('param');
      const principal = c.get('principal');
      requireOwn(principal, id);
      const body = c.req.valid('json');
      if (body.role !== undefined && !isOperator(principal))
        throw new AgrinetError('forbidden', 'role: only an operator can set it');
      return c.json(shown(await users.change(id, body)), 200);
    })
    .openapi(remove, async (c) => {
      const { id } = c.req.valid('param');
      requireOwn(c.get('principal'), id);
      await users.remove(id);
      return c.body(null, 204);
    });
}

function shown({ createdAt, updatedAt, muted = [], sms = true, ...user }: User) {
  return {
    ...user,
    sms,
    muted: [...muted],
    ...(createdAt === undefined ? {} : { createdAt: isoTime(createdAt) }),
    ...(updatedAt === undefined ? {} : { updatedAt: isoTime(updatedAt) }),
  };
}
