import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import { fenceQuery, listingQuery, type ListingQuery } from '../listing-query.ts';
import { idempotentId } from '../limits/idempotency.ts';
import { ownUser } from '../own-user.ts';
import { nextOf, placeOf } from '../paging.ts';
import type { Want, WantsPort } from '../ports/wants.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { decimal, pageOf, pageQuery, text, timestamp } from '../schemas.ts';

const tags = ['Wants'];
const userId = z.string().min(1).max(256).optional().openapi({
  description: 'User; by default the user of the key, or `operator` for an operator key.',
});
const label = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[^\p{Cc}\p{Zl}\p{Zp}]+$/u)
  .openapi({ description: 'Name that the user gives it; notices show it.' });
const until = z.iso
  .datetime({ offset: true })
  .openapi({ description: 'When the search ends; by default never.' });

const asked = { ...listingQuery, fence: fenceQuery.optional() };
const STRING_OR_NUMBER: ['string', 'number'] = ['string', 'number'];
/** A number of the query, which JSON has as one, too. */
const figure = ({ description }: typeof decimal) =>
  z
    .preprocess((value) => (typeof value === 'number' ? String(value) : value), decimal.unwrap())
    .optional()
    .openapi({ type: STRING_OR_NUMBER, description: description ?? '' });
const given = {
  ...asked,
  priceMin: figure(asked.priceMin),
  priceMax: figure(asked.priceMax),
  quantityMin: figure(asked.quantityMin),
  quantityMax: figure(asked.quantityMax),
  minPrice: figure(asked.minPrice),
  maxPrice: figure(asked.maxPrice),
  geoLat_: figure(asked.geoLat_),
  geoLong_: figure(asked.geoLong_),
  radiusKm: figure(asked.radiusKm),
};
/** Parameters that do not narrow a search. */
const NOT_NARROWING: ReadonlySet<string> = new Set(['sort', 'fence']);

const WantBody = z
  .object({
    id: text('ID of the want.'),
    userId: text('User who saved it.'),
    label: text('Name that the user has given it.').optional(),
    until: timestamp('When it ends.').optional(),
    createdAt: timestamp('When it was saved.'),
    listings: text('URL that lists the matching listings.'),
    ...asked,
  })
  .openapi('Want');
const byUser = z.object({ userId });
const idParam = z.object({
  id: z
    .string()
    .regex(/^[\w-]{1,64}$/)
    .openapi({ description: 'ID of the want.' }),
});

const save = route('write', {
  operationId: 'saveWant',
  method: 'post',
  path: '/',
  tags,
  summary: 'Save a search; its user gets one notice for each new listing that matches',
  description:
    'The query parameters of `GET /listings`, except `limit` and `cursor`, with the same meaning. There are no notices for existing listings; the URL under `listings` in the response lists those.',
  request: {
    body: jsonInput(
      z
        .strictObject({ ...given, label: label.optional(), until: until.optional(), userId })
        .openapi('WantInput'),
    ),
  },
  responses: { 201: json(WantBody, 'The want; `Location` is its URL.') },
  codes: ['coordinates-malformed', 'query-invalid', 'user-unknown', 'wants-full'],
});
const list = route('write', {
  operationId: 'listWants',
  method: 'get',
  path: '/',
  tags,
  summary: 'List the searches that a user has saved, oldest first',
  request: { query: z.object({ userId, ...pageQuery }) },
  responses: { 200: json(pageOf('wants', WantBody), 'A page of wants.') },
});
const read = route('write', {
  operationId: 'getWant',
  method: 'get',
  path: '/{id}',
  tags,
  summary: 'Retrieve a saved search',
  request: { params: idParam, query: byUser },
  responses: { 200: json(WantBody, 'The want.') },
});
const remove = route('write', {
  operationId: 'deleteWant',
  method: 'delete',
  path: '/{id}',
  tags,
  summary: 'Delete a saved search; its notices are kept',
  request: { params: idParam, query: byUser },
  responses: { 204: { description: 'Deleted.' } },
});

/** The criteria that are given. Throws `query-invalid` when there are none. */
function queryIn(names: ListingQuery): ListingQuery {
  const query = Object.fromEntries(Object.entries(names).filter(([, value = '']) => value.trim() !== ''));
  if (Object.keys(query).every((name) => NOT_NARROWING.has(name)))
    throw new AgrinetError(
      'query-invalid',
      'a saved search must contain at least one filter, such as q, commodity or region',
    );
  return query;
}

export function wantRoutes({ wants }: { readonly wants: WantsPort }) {
  return router()
    .openapi(save, async (c) => {
      const { label, until, userId, ...names } = c.req.valid('json');
      const draft = {
        userId: ownUser(c.get('principal'), userId),
        label,
        until: until === undefined ? undefined : Date.parse(until),
        query: queryIn(names),
      };
      const want = await wants.save(draft, idempotentId(c));
      c.header('location', `/wants/${want.id}`);
      return c.json(shown(want), 201);
    })
    .openapi(list, async (c) => {
      const { userId, limit, cursor } = c.req.valid('query');
      const page = await wants.list(ownUser(c.get('principal'), userId), limit, placeOf(c, cursor));
      return c.json({ wants: page.wants.map(shown), ...nextOf(c, page.cursor) }, 200);
    })
    .openapi(read, async (c) => {
      const user = ownUser(c.get('principal'), c.req.valid('query').userId);
      return c.json(shown(await wants.get(user, c.req.valid('param').id)), 200);
    })
    .openapi(remove, async (c) => {
      const user = ownUser(c.get('principal'), c.req.valid('query').userId);
      await wants.remove(user, c.req.valid('param').id);
      return c.body(null, 204);
    });
}

function shown({ id, userId, label, until, createdAt, query }: Want) {
  return {
    ...query,
    id,
    userId,
    ...(label === undefined ? {} : { label }),
    ...(until === undefined ? {} : { until: isoTime(until) }),
    createdAt: isoTime(createdAt),
    listings: `/listings?${new URLSearchParams(Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]))).toString()}`,
  };
}
