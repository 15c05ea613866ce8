import type { Context } from 'hono';
import { AgrinetError } from '../protocols/errors.ts';
import { viewJson } from '../protocols/market/catalogue.ts';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import { parsePublicId, parseRecordKey, publicId, recordKey, type RecordKey } from '../protocols/wire/ids.ts';
import type { ApiContext, ListQuery } from './context.ts';

/** A record as clients see it: its fields, its ids, and the values that lost to a concurrent write. */
export function recordJson(state: RecordState, idField: string): Record<string, unknown> {
  const parts = parseRecordKey(state.key);
  const id = parts === undefined ? state.key : publicId(parts);
  const base = {
    ...viewJson(state.view),
    [idField]: id,
    id,
    owner: parts?.owner,
    createdAt: new Date(state.created[0]).toISOString(),
    updatedAt: new Date(state.updated[0]).toISOString(),
  };
  return Object.keys(state.conflicts).length === 0 ? base : { ...base, conflicts: state.conflicts };
}

/** The record an id in the path names; throws `not-found`. */
export function keyFrom(c: Context, node: ApiContext, collection: string): RecordKey {
  const id = parsePublicId(c.req.param('id') ?? '', node.self);
  if (id === undefined) throw new AgrinetError('not-found', 'Not found');
  return recordKey(collection, id.owner, id.id);
}

/** Filters of a list; throws `query-invalid`. */
export function listQuery(c: Context, names: readonly string[]): ListQuery {
  const fields = Object.fromEntries(names.map((name) => [name, c.req.query(name)]));
  const owner = c.req.query('owner') ?? c.req.query('ownerId');
  const [lat, long, radius] = ['geoLat_', 'geoLong_', 'radiusKm'].map((name) => c.req.query(name));
  if (lat === undefined && long === undefined && radius === undefined) return { fields, owner };
  const near = { lat: Number(lat), long: Number(long), km: Number(radius) };
  if (
    lat === undefined ||
    long === undefined ||
    !(Math.abs(near.lat) <= 90) ||
    !(Math.abs(near.long) <= 180) ||
    !(near.km > 0 && near.km <= 20_100)
  ) {
    throw new AgrinetError(
      'query-invalid',
      'geoLat_ (-90 to 90), geoLong_ (-180 to 180) and radiusKm (over 0) belong together',
    );
  }
  return { fields, owner, near };
}
