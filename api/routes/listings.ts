import { type Context, Hono } from 'hono';
import { AgrinetError } from '../../protocols/errors.ts';
import { isLive } from '../../protocols/open-dialog/record.ts';
import { parseRecordKey, type RecordKey } from '../../protocols/wire/ids.ts';
import type { Guards } from '../guards.ts';
import { jsonBody, queryNumber } from '../body.ts';
import type { ApiContext } from '../context.ts';
import { keyFrom, listQuery, recordJson } from '../records.ts';

function ownKey(c: Context, node: ApiContext): RecordKey {
  const key = keyFrom(c, node, 'listings');
  if (parseRecordKey(key)?.owner !== node.self)
    throw new AgrinetError('unauthorized', 'only the node that owns a listing can change it');
  return key;
}

export function listingRoutes(node: ApiContext, { needsKey, mayRead }: Guards): Hono {
  const routes = new Hono();
  routes.post('/', needsKey, async (c) => {
    const { state } = await node.catalogue.createListing(await jsonBody(c));
    const json = recordJson(state, 'listingId');
    c.header('location', `/listings/${String(json['listingId'])}`);
    return c.json(json, 201);
  });
  routes.get('/', mayRead, async (c) => {
    const query = listQuery(c, ['commodity', 'region', 'type', 'status', 'productId']);
    const { records, cursor } = await node.reader.list(
      'listings',
      query,
      queryNumber(c, 'limit', 50, 1, 500),
      c.req.query('cursor'),
    );
    return c.json({
      listings: records.map((state) => recordJson(state, 'listingId')),
      ...(cursor === undefined ? {} : { cursor }),
    });
  });
  routes.get('/:id', mayRead, async (c) => {
    const state = await node.reader.get(keyFrom(c, node, 'listings'));
    if (!isLive(state)) throw new AgrinetError('not-found', 'Not found');
    return c.json(recordJson(state, 'listingId'));
  });
  routes.patch('/:id', needsKey, async (c) => {
    const { state } = await node.catalogue.patch(ownKey(c, node), await jsonBody(c));
    return c.json(recordJson(state, 'listingId'));
  });
  routes.put('/:id', needsKey, async (c) => {
    const id = parseRecordKey(ownKey(c, node))?.id ?? '';
    const { state, created, changed } = await node.catalogue.putListing(id, await jsonBody(c));
    return c.json({ ...recordJson(state, 'listingId'), changed }, created ? 201 : 200);
  });
  routes.delete('/:id', needsKey, async (c) => {
    await node.catalogue.remove(ownKey(c, node));
    return c.body(null, 204);
  });
  return routes;
}
