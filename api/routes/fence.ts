import { z } from '@hono/zod-openapi';
import { coordinatesText } from '../../protocols/market/listing-place.ts';
import type { RecordState } from '../../protocols/open-dialog/record.ts';
import { parseRecordKey, publicId } from '../../protocols/wire/ids.ts';
import type { RecordReader } from '../context.ts';
import { outsideOf } from '../fenced.ts';
import type { ExchangePort, LegacyItem } from '../ports/exchange.ts';
import type { FencePort } from '../ports/trust.ts';
import { json, route, router } from '../route.ts';
import { FenceReason } from '../market-schemas.ts';
import { flag, pageOf as pageSchema, pageQuery, text } from '../schemas.ts';
import { nextOf, placeOf } from '../paging.ts';
import { Shown } from '../left-out.ts';
import type { NoteLeftOut } from '../ports/left-out.ts';

const tags = ['Listings'];
const Outside = z
  .object({
    id: text('ID of the listing; for an item of an old node, the ID it has there.'),
    owner: text('Peer ID of the owner, or `legacy:<origin>`.'),
    title: text('Title.'),
    reason: FenceReason,
    coordinates: z.string().nullable().describe('`geoLat_<lat>,geoLong_<long>`; null without a position.'),
  })
  .openapi('OutsideListing');
const Geofence = z
  .object({
    fence: text('Description of the geofence; `off` without one.'),
    active: flag('Whether there is a geofence.'),
  })
  .openapi('Geofence');

const fenceNow = route('read', {
  operationId: 'getGeofence',
  method: 'get',
  path: '/',
  tags,
  summary: 'Retrieve the geofence of this node',
  responses: { 200: json(Geofence, 'The geofence.') },
});
const outside = route('read', {
  operationId: 'listListingsOutsideGeofence',
  method: 'get',
  path: '/outside',
  tags,
  summary: 'List listings hidden by the geofence, each with the reason',
  request: { query: z.object(pageQuery) },
  responses: { 200: json(pageSchema('outside', Outside), 'A page of listings.') },
});

export interface FenceContext {
  readonly reader: Pick<RecordReader, 'list'>;
  readonly exchange: { readonly legacy: ExchangePort['legacy'] };
  readonly fence: FencePort;
  readonly leftOut: NoteLeftOut;
}

type Row = z.output<typeof Outside>;

/** Where a page begins: among the listings of feeds (source empty), or among the items of an old node. */
interface Place {
  readonly source: string;
  readonly at: string | undefined;
}

export function fenceRoutes({ reader, exchange, fence, leftOut }: FenceContext) {
  async function listings(shown: Shown, limit: number, at: string | undefined) {
    const keep = (state: RecordState): boolean => outsideOf(fence, state) !== undefined;
    const { records, unread, cursor } = await reader.list('listings', { fields: {}, keep }, limit, at);
    shown.missed(unread);
    const rows = shown.each(
      records,
      ({ key }) => key,
      (state): Row[] => {
        const reason = outsideOf(fence, state);
        const parts = parseRecordKey(state.key);
        if (reason === undefined || parts === undefined) return [];
        return [rowOf(publicId(parts), parts.owner, state.view, reason)];
      },
    );
    return { rows: rows.flat(), cursor };
  }
  async function old(source: string, limit: number, at: string | undefined) {
    const { items, cursor } = await exchange.legacy.list('listings', source, limit, at);
    const rows = items.flatMap(({ id, item }: LegacyItem): Row[] => {
      const reason = fence.reason(source, item);
      return reason === undefined ? [] : [rowOf(id, source, item, reason)];
    });
    return { rows, cursor };
  }

  return router()
    .openapi(fenceNow, (c) => c.json({ fence: fence.describe(), active: fence.active }, 200))
    .openapi(outside, async (c) => {
      const { limit, cursor: from } = c.req.valid('query');
      const { source, at } = pageOf(placeOf(c, from));
      const shown = new Shown(leftOut);
      const { rows, cursor } =
        source === '' ? await listings(shown, limit, at) : await old(source, limit, at);
      shown.warn(c);
      if (cursor !== undefined)
        return c.json({ outside: rows, ...nextOf(c, JSON.stringify([source, cursor])) }, 200);
      const next = (await exchange.legacy.sources()).toSorted().find((each) => each > source);
      return c.json(
        { outside: rows, ...nextOf(c, next === undefined ? undefined : JSON.stringify([next])) },
        200,
      );
    });
}

function rowOf(
  id: string,
  owner: string,
  fields: Readonly<Record<string, unknown>>,
  reason: Row['reason'],
): Row {
  const title = [fields['title'], fields['commodity'], fields['productId'], fields['category']].find(
    (text) => typeof text === 'string' && text !== '',
  );
  return {
    id,
    owner,
    title: typeof title === 'string' ? title : '',
    reason,
    coordinates: coordinatesText(fields) ?? null,
  };
}

/** Reads the place of a page, which is JSON. */
function pageOf(text: string | undefined): Place {
  const [source, at] = (text === undefined ? [] : JSON.parse(text)) as [string?, string?]; // as written by the page before
  return { source: source ?? '', at };
}
