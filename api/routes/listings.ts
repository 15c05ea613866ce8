import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import { isLive, type RecordState } from '../../protocols/open-dialog/record.ts';
import { parseRecordKey, recordKey, type RecordKey } from '../../protocols/wire/ids.ts';
import { actingUser, isOperator, type Principal } from '../access.ts';
import type { ApiContext, ListQuery } from '../context.ts';
import { insideFence, outsideOf } from '../fenced.ts';
import { idempotentId } from '../limits/idempotency.ts';
import { createListAnswers } from '../list-answers.ts';
import { keyOf, listingJson, listQuery } from '../records.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { Erasure } from './erasure.ts';
import { fieldsInput } from '../field-inputs.ts';
import { Listing } from '../market-schemas.ts';
import { decimal, filterQuery, flag, idParam, nearQuery, ownerQuery, pageOf, pageQuery } from '../schemas.ts';
import { nextOf, placeOf } from '../paging.ts';
import type { Context } from 'hono';
import { Shown } from '../left-out.ts';

const FILTERS = ['commodity', 'region', 'type', 'status', 'productId'] as const;
const tags = ['Listings'];
const described = Listing.omit({ available: true }).shape;
/** The market's rules judge it, not the schema: theirs are `coordinates-malformed`, and what null means. */
const coordinates = (type: 'string' | ['string', 'null']) =>
  z.unknown().optional().openapi({
    type,
    maxLength: 64,
    description: 'Position as `geoLat_<lat>,geoLong_<long>`, instead of `geoLat_` and `geoLong_`.',
  });
const required = ['type'];
const createBody = jsonInput(
  fieldsInput(
    'listings',
    { name: 'ListingCreate', described, required },
    {
      coordinates: coordinates('string'),
      // What is none is `id-invalid`, as the catalogue says.
      id: z.unknown().optional().openapi({
        type: 'string',
        maxLength: 64,
        description: 'Local ID to create the listing under: 1 to 64 letters, digits, `-` or `_`.',
      }),
    },
  ),
);
const replaceBody = jsonInput(
  fieldsInput(
    'listings',
    { name: 'ListingInput', described, required },
    { coordinates: coordinates('string') },
  ),
);
const updateBody = jsonInput(
  fieldsInput(
    'listings',
    { name: 'ListingUpdate', described, nullable: true },
    { coordinates: coordinates(['string', 'null']) },
  ),
);
const WriteResult = Listing.extend({
  changed: flag('Whether the request changed the listing.'),
}).openapi('ListingWriteResult');

const create = route(
  'write',
  {
    operationId: 'createListing',
    method: 'post',
    path: '/',
    tags,
    summary: 'Create a listing',
    description:
      'One of `title`, `commodity` or `productId` is required. The response is sent once the listing is on disk.',
    request: { body: createBody },
    responses: { 201: json(Listing, 'The new listing; `Location` is its URL.') },
    codes: ['coordinates-malformed', 'id-invalid', 'listing-exists', 'quantity-granted', 'record-ended'],
  },
  'ignored',
);
const list = route(
  'read',
  {
    operationId: 'listListings',
    method: 'get',
    path: '/',
    tags,
    summary: 'List listings',
    description: 'Newest first unless filtered.',
    request: {
      query: z.object({
        commodity: filterQuery('Name of the commodity.'),
        region: filterQuery('Region.'),
        type: filterQuery('`offer` or `request`.'),
        status: filterQuery('Status.'),
        productId: filterQuery('Product ID.'),
        location: filterQuery('Substring of the location; case-insensitive.'),
        keyword: filterQuery('Substring of the title; case-insensitive.'),
        minPrice: decimal.openapi({ description: 'Minimum price.' }),
        maxPrice: decimal.openapi({ description: 'Maximum price.' }),
        ...ownerQuery,
        ...nearQuery,
        ...pageQuery,
        fence: z.enum(['on', 'off']).default('on').openapi({
          description: '`off` includes listings outside the geofence, each with the reason in `outside`.',
        }),
      }),
    },
    responses: { 200: json(pageOf('listings', Listing), 'A page of listings.') },
    codes: ['coordinates-malformed'],
  },
  'ignored',
);
const read = route(
  'read',
  {
    operationId: 'getListing',
    method: 'get',
    path: '/{id}',
    tags,
    summary: 'Retrieve a listing',
    request: { params: idParam },
    responses: { 200: json(Listing, 'The listing.') },
  },
  'ignored',
);
const change = route(
  'write',
  {
    operationId: 'updateListing',
    method: 'patch',
    path: '/{id}',
    tags,
    summary: 'Update a listing of this node',
    description: 'Fields that are not sent stay as they are; null deletes a field.',
    request: { params: idParam, body: updateBody },
    responses: { 200: json(Listing, 'The updated listing.') },
    codes: ['coordinates-malformed', 'quantity-granted', 'record-ended', 'record-merging'],
  },
  'ignored',
);
const replace = route('write', {
  operationId: 'replaceListing',
  method: 'put',
  path: '/{id}',
  tags,
  summary: 'Create or replace a listing of this node under a chosen ID',
  request: { params: idParam, body: replaceBody },
  responses: {
    200: json(WriteResult, 'The replaced listing.'),
    201: json(WriteResult, 'The new listing.'),
  },
  codes: ['coordinates-malformed', 'id-invalid', 'quantity-granted', 'record-ended', 'record-merging'],
});
const retire = route(
  'write',
  {
    operationId: 'deleteListing',
    method: 'delete',
    path: '/{id}',
    tags,
    summary: 'Delete a listing of this node; optionally erase its content from every node',
    request: {
      params: idParam,
      query: z.object({
        erase: z.enum(['true', 'false']).optional().openapi({
          description:
            'Whether to also erase what the listing said, on this node and on every node that replicates it.',
        }),
      }),
    },
    responses: {
      200: json(Erasure, 'Deleted and erased.'),
      204: { description: 'Deleted.' },
    },
    codes: ['evidence-kept', 'record-ended', 'record-merging'],
  },
  'ignored',
);

export function listingRoutes(node: ApiContext) {
  /** A listing this caller may change; throws `unauthorized`, `forbidden`. */
  async function own(id: string, principal: Principal): Promise<RecordKey> {
    const key = keyOf(id, node.self, 'listings');
    if (parseRecordKey(key)?.owner !== node.self)
      throw new AgrinetError(
        'unauthorized',
        'only the node that owns a listing can change it; send the request to that node',
      );
    if (isOperator(principal)) return key;
    const state = await node.reader.get(key);
    if (isLive(state) && state.view['userId'] !== principal.userId)
      throw new AgrinetError(
        'forbidden',
        'only the user who created a listing, or the operator, can change it',
      );
    return key;
  }
  /** Whether it has ended or not: what a user wrote only that user erases. */
  async function ownText(key: RecordKey, principal: Principal): Promise<void> {
    const state = await node.reader.get(key);
    if (!isOperator(principal) && state?.view['userId'] !== principal.userId)
      throw new AgrinetError(
        'forbidden',
        'only the user who created a listing, or the operator, can erase it',
      );
  }
  /** The body with the user it is for. */
  function forUser(fields: Record<string, unknown>, principal: Principal): Record<string, unknown> {
    const named = typeof fields['userId'] === 'string' ? fields['userId'] : undefined;
    const userId = actingUser(principal, named);
    return userId === undefined ? fields : { ...fields, userId };
  }

  /** Creates under the caller's id, or under that of its Idempotency-Key: then a repetition after a crash finds what is there. */
  async function created(fields: Record<string, unknown>, id: string | undefined): Promise<RecordState> {
    if (id === undefined || fields['id'] !== undefined)
      return (await node.catalogue.createListing(fields)).state;
    const known = await node.reader.get(recordKey('listings', node.self, id));
    return isLive(known) ? known : (await node.catalogue.createListing({ ...fields, id })).state;
  }

  /** With the reason when it lies outside the fence. */
  const shown = (state: RecordState) => {
    const outside = outsideOf(node.fence, state);
    const listing = listingJson(state);
    return outside === undefined ? listing : { ...listing, outside };
  };
  const answers = createListAnswers<Awaited<ReturnType<typeof page>>>(() => node.reader.version());
  async function page(
    c: Context,
    filter: ListQuery,
    limit: number,
    from: string | undefined,
    warn: (text: string) => void,
  ) {
    const { records, unread, cursor } = await node.reader.list('listings', filter, limit, from);
    const each = new Shown(node.leftOut);
    each.missed(unread);
    const listings = each.each(records, ({ key }) => key, shown);
    const warning = each.warning(false);
    if (warning !== undefined) warn(warning);
    return { listings, ...nextOf(c, cursor) };
  }

  return router()
    .openapi(create, async (c) => {
      const made = listingJson(
        await created(forUser(c.req.valid('json'), c.get('principal')), idempotentId(c)),
      );
      c.header('location', `/listings/${made.listingId}`);
      return c.json(made, 201);
    })
    .openapi(list, async (c) => {
      const query = c.req.valid('query');
      const keep = allOf(query.fence === 'on' ? insideFence(node.fence) : undefined, searched(query));
      const filter = { ...listQuery(query, FILTERS), keep };
      const from = placeOf(c, query.cursor);
      return answers(c, JSON.stringify(query), (warn) => page(c, filter, query.limit, from, warn));
    })
    .openapi(read, async (c) => {
      const state = await node.reader.get(keyOf(c.req.valid('param').id, node.self, 'listings'));
      if (!isLive(state)) throw new AgrinetError('not-found', 'Not found');
      return c.json(shown(state), 200);
    })
    .openapi(change, async (c) => {
      const principal = c.get('principal');
      const fields = c.req.valid('json');
      const key = await own(c.req.valid('param').id, principal);
      // Also a number or null in its place: whoever writes cannot give its listing to another, or to nobody.
      const patch = fields['userId'] === undefined ? fields : forUser(fields, principal);
      return c.json(listingJson((await node.catalogue.patch(key, patch)).state), 200);
    })
    .openapi(replace, async (c) => {
      const principal = c.get('principal');
      const id = parseRecordKey(await own(c.req.valid('param').id, principal))?.id ?? '';
      const fields = forUser(c.req.valid('json'), principal);
      const { state, created, changed } = await node.catalogue.putListing(id, fields);
      return c.json({ ...listingJson(state), changed }, created ? 201 : 200);
    })
    .openapi(retire, async (c) => {
      const key = await own(c.req.valid('param').id, c.get('principal'));
      if (c.req.valid('query').erase === 'true') {
        await ownText(key, c.get('principal'));
        return c.json(await node.erasure.listing(key), 200);
      }
      await node.catalogue.remove(key);
      return c.body(null, 204);
    });
}

type Keep = NonNullable<ListQuery['keep']>;
type Search = Readonly<Partial<Record<'location' | 'keyword' | 'minPrice' | 'maxPrice', string | undefined>>>;

function allOf(...given: (Keep | undefined)[]): Keep | undefined {
  const all = given.filter((keep) => keep !== undefined);
  return all.length === 0 ? undefined : (state) => all.every((keep) => keep(state));
}

/** The filters of the published Agrinet back end: parts of location and title in any case, a price within both bounds. Empty is not given. */
function searched({ location = '', keyword = '', minPrice = '', maxPrice = '' }: Search): Keep | undefined {
  if (location + keyword + minPrice + maxPrice === '') return undefined;
  const holds = (value: unknown, part: string): boolean =>
    part === '' || (typeof value === 'string' && value.toLowerCase().includes(part.toLowerCase()));
  const [least, most] = [minPrice, maxPrice].map((bound) => (bound === '' ? undefined : Number(bound)));
  return ({ view: { location: at, title, price } }) =>
    holds(at, location) &&
    holds(title, keyword) &&
    (least === undefined || (typeof price === 'number' && price >= least)) &&
    (most === undefined || (typeof price === 'number' && price <= most));
}
