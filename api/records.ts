import type { z } from '@hono/zod-openapi';
import type { JSONValue } from 'hono/utils/types';
import { AgrinetError } from '../protocols/errors.ts';
import { copiedListing } from '../protocols/market/contract-book/listing-terms.ts';
import { viewJson } from '../protocols/market/record-fields.ts';
import { clausesOf } from '../protocols/market/contract/clauses.ts';
import { parseCoordinates } from '../protocols/market/coordinates.ts';
import { coordinatesText } from '../protocols/market/listing-place.ts';
import type { Scalar } from '../protocols/open-dialog/change.ts';
import type { RecordState, Unmerged } from '../protocols/open-dialog/record.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import {
  parsePublicId,
  parseRecordKey,
  publicIdOf,
  recordKey,
  type RecordKey,
} from '../protocols/wire/ids.ts';
import { attachmentsJson, imageUrls } from './attachment-json.ts';
import { jsonOf } from './json-text.ts';
import type { Price } from './market-schemas.ts';
import { isoTime } from '../protocols/wire/iso-time.ts';
import type { ListQuery } from './ports/search.ts';

/** A record as clients see it: its fields, its ids, and the values that lost to a concurrent write. */
export interface RecordJson {
  [field: string]: JSONValue;
  id: string;
  owner: string;
  createdAt: string;
  updatedAt: string;
  conflicts?: Record<string, { value: Scalar; op: string }[]>;
  /** Why what was written to it at the same time is not merged yet; its fields are those of before. */
  unmerged?: Unmerged;
}

/** `base` is PUBLIC_URL, or empty, of this node: where it serves attachments. */
export function recordJson(state: RecordState, base = ''): RecordJson {
  const parts = parseRecordKey(state.key);
  // Added to the object that viewJson made: a copy of every record of an export costs a tenth of it.
  const json: RecordJson = Object.assign(viewJson(state.view), {
    id: publicIdOf(state.key),
    owner: parts?.owner ?? '',
    createdAt: isoTime(state.created[0]),
    updatedAt: isoTime(state.updated[0]),
  });
  if (state.unmerged !== undefined) json.unmerged = state.unmerged;
  const attachments = attachmentsJson(state, base);
  if (attachments.length > 0) {
    if (Array.isArray(json['images'])) json['images'] = imageUrls(state, json['images'].map(String), base);
    json['attachments'] = attachments;
  }
  const conflicts = Object.entries(state.conflicts);
  if (conflicts.length > 0)
    json.conflicts = Object.fromEntries(
      conflicts.map(([field, values]) => [field, values.map(({ value, op }) => ({ value, op }))]),
    );
  return json;
}

export function listingJson(state: RecordState, base = '') {
  const json = recordJson(state, base);
  const coordinates = coordinatesText(state.view);
  return {
    ...json,
    ...(coordinates === undefined ? {} : { coordinates }),
    listingId: json.id,
    type: state.view['type'] === 'request' ? ('request' as const) : ('offer' as const),
    status: String(state.view['status'] ?? ''),
  };
}

export function priceJson(state: RecordState) {
  const json = recordJson(state);
  return Object.assign(json, { priceId: json.id }) as z.output<typeof Price>; // the collection requires what it has
}

/** A clause as its client gave it: other types than text are stored as JSON. */
function clauseJson(text: Scalar): JSONValue {
  return typeof text === 'string' && /^[[{]/.test(text) ? jsonOf(text) : text;
}

/** The document of a contract: the dotted fields that its delivery window, its clauses and its copy of the listing are kept in as `deliveryWindow`, `terms` and `listing`. */
export function contractRecordJson(state: RecordState) {
  const { view } = state;
  const json = recordJson(state);
  for (const field of Object.keys(json)) if (field.includes('.')) delete json[field];
  const [start, end] = ['deliveryWindow.start', 'deliveryWindow.end'].map((field) => view[field]);
  const window = {
    ...(typeof start === 'string' ? { start } : {}),
    ...(typeof end === 'string' ? { end } : {}),
  };
  const listing = copiedListing(view);
  return Object.assign(json, {
    contractId: json.id,
    ...(listing === undefined ? {} : { listing }),
    ...(Object.keys(window).length === 0 ? {} : { deliveryWindow: window }),
    terms: clausesOf(view).map(({ text }) => clauseJson(text)),
  });
}

/** The record an id in the path names; throws `not-found`. */
export function keyOf(given: string, self: PeerId, collection: string): RecordKey {
  const id = parsePublicId(given, self);
  if (id === undefined) throw new AgrinetError('not-found', 'Not found');
  return recordKey(collection, id.owner, id.id);
}

/** Filters of a list; throws `query-invalid`, `coordinates-malformed`. */
export function listQuery(query: Readonly<Record<string, unknown>>, names: readonly string[]): ListQuery {
  const text = (name: string): string | undefined => {
    const value = query[name];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  // Blank counts as not given: otherwise lists would find nothing, and searches the listings without the field.
  const fields = Object.fromEntries(
    names.map((name) => [name, text(name)?.trim() === '' ? undefined : text(name)]),
  );
  const owner = text('owner') ?? text('ownerId');
  const given = text('coordinates');
  const at = given === undefined ? undefined : parseCoordinates(given);
  const lat = at === undefined ? text('geoLat_') : String(at.lat);
  const long = at === undefined ? text('geoLong_') : String(at.long);
  const radius = text('radiusKm');
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
      'geoLat_ (-90 to 90), geoLong_ (-180 to 180) and radiusKm (above 0) must be given together; coordinates can replace the first two',
    );
  }
  return { fields, owner, near };
}
