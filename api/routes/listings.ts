import { z } from '@hono/zod-openapi';
import { AgrinetError } from '../../protocols/errors.ts';
import { isLive, type RecordState } from '../../protocols/open-dialog/record.ts';
import type { RecordPage } from '../../protocols/unread.ts';
import { parseRecordKey } from '../../protocols/wire/ids.ts';
import type { ApiContext } from '../context.ts';
import { outsideOf } from '../fenced.ts';
import { type AskedListings, askedListings } from '../asked-listings.ts';
import { fenceQuery, listingQuery } from '../listing-query.ts';
import { forUser, OwnListings } from '../own-listings.ts';
import { idempotentId } from '../limits/idempotency.ts';
import { withImages } from '../listing-images.ts';
import { createListAnswers } from '../list-answers.ts';
import { keyOf, listingJson } from '../records.ts';
import { json, jsonInput, route, router } from '../route.ts';
import { Erasure } from './erasure.ts';
import { fieldsInput } from '../field-inputs.ts';
import { Listing } from '../market-schemas.ts';
import { flag, idParam, pageOf, pageQuery } from '../schemas.ts';
import { nextOf, placeOf } from '../paging.ts';
import type { Context } from 'hono';
import { Shown } from '../left-out.ts';

const BEHIND =
  '299 agrinetd "the search index is being made: listings may be missing; try again in a minute"';
const tags = ['Listings'];
const described = Listing.omit({ available: true, attachments: true }).shape;
/** Checked by the market's rules, not by the schema: they give `coordinates-malformed`, and what null means. */
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
      // Anything else is `id-invalid`, thrown by the catalogue.
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
    description:
      'Newest first unless filtered. With `q`, `sort`, `currency`, `unit` or a range it is a search: in the order of `sort`, newest first without it. A page may be short or even empty and still have a `cursor`.',
    request: {
      query: z.object({
        ...listingQuery,
        ...pageQuery,
        fence: fenceQuery.default('on'),
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

/** A page of a list, or of a search. */
interface Asked extends AskedListings {
  readonly limit: number;
  readonly from: string | undefined;
}

/** What a listing that is being created was before. */
const nothingYet = (): Promise<undefined> => Promise.resolve(undefined);

type Pages = Pick<ApiContext, 'fence' | 'leftOut' | 'limits' | 'reader' | 'search'>;

/** With the reason when it lies outside the fence. */
function shownListing({ fence, limits }: Pick<Pages, 'fence' | 'limits'>, state: RecordState) {
  const outside = outsideOf(fence, state);
  const listing = listingJson(state, limits.publicUrl);
  return outside === undefined ? listing : { ...listing, outside };
}

async function pageAsked(
  node: Pages,
  c: Context,
  { filter, search, limit, from }: Asked,
  warn: (text: string) => void,
) {
  if (search === undefined)
    return shownPage(node, c, await node.reader.list('listings', filter, limit, from), warn);
  const { isBehind, ...found } = await node.search.page(search, filter, limit, from);
  if (isBehind) warn(BEHIND);
  return shownPage(node, c, found, warn);
}

function shownPage(
  node: Pages,
  c: Context,
  { records, unread, cursor }: RecordPage,
  warn: (text: string) => void,
) {
  const each = new Shown(node.leftOut);
  each.missed(unread);
  const listings = each.each(
    records,
    ({ key }) => key,
    (state) => shownListing(node, state),
  );
  const warning = each.warning(false);
  if (warning !== undefined) warn(warning);
  return { listings, ...nextOf(c, cursor) };
}

export function listingRoutes(node: ApiContext) {
  const own = new OwnListings(node);
  const shown = (state: RecordState) => shownListing(node, state);
  const answers = createListAnswers<Awaited<ReturnType<typeof pageAsked>>>(() => node.reader.version());

  return router()
    .openapi(create, async (c) => {
      const principal = c.get('principal');
      const fields = await withImages(node, forUser(c.req.valid('json'), principal), principal, nothingYet);
      const made = listingJson(await own.create(fields, idempotentId(c)), node.limits.publicUrl);
      c.header('location', `/listings/${made.listingId}`);
      return c.json(made, 201);
    })
    .openapi(list, async (c) => {
      const query = c.req.valid('query');
      const { filter, search } = askedListings(query, node.fence);
      const asked = { filter, search, limit: query.limit, from: placeOf(c, query.cursor) };
      if (search !== undefined)
        // Not kept: the index follows the writes that the kept pages go by.
        return c.json(
          await pageAsked(node, c, asked, (text) => c.header('warning', text, { append: true })),
          200,
        );
      return answers(c, JSON.stringify(query), (warn) => pageAsked(node, c, asked, warn));
    })
    .openapi(read, async (c) => {
      const state = await node.reader.get(keyOf(c.req.valid('param').id, node.self, 'listings'));
      if (!isLive(state)) throw new AgrinetError('not-found', 'Not found');
      return c.json(shown(state), 200);
    })
    .openapi(change, async (c) => {
      const principal = c.get('principal');
      const fields = c.req.valid('json');
      const key = await own.changeable(c.req.valid('param').id, principal);
      // Also a number or null in its place, so that nobody can assign a listing to another user, or to none.
      const patch = fields['userId'] === undefined ? fields : forUser(fields, principal);
      const named = await withImages(node, patch, principal, () => node.reader.get(key));
      return c.json(listingJson((await node.catalogue.patch(key, named)).state, node.limits.publicUrl), 200);
    })
    .openapi(replace, async (c) => {
      const principal = c.get('principal');
      const key = await own.changeable(c.req.valid('param').id, principal);
      const id = parseRecordKey(key)?.id ?? '';
      const given = forUser(c.req.valid('json'), principal);
      const fields = await withImages(node, given, principal, () => node.reader.get(key));
      const { state, created, changed } = await node.catalogue.putListing(id, fields);
      return c.json({ ...listingJson(state, node.limits.publicUrl), changed }, created ? 201 : 200);
    })
    .openapi(retire, async (c) => {
      const key = await own.changeable(c.req.valid('param').id, c.get('principal'));
      if (c.req.valid('query').erase === 'true') {
        await own.checkText(key, c.get('principal'));
        return c.json(await node.erasure.listing(key), 200);
      }
      await node.catalogue.remove(key);
      return c.body(null, 204);
    });
}
