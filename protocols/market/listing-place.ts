import { AgrinetError } from '../errors.ts';
import { coordinateFields, parseCoordinates, placeOf, writeCoordinates } from './coordinates.ts';

/**
 * The body of a listing with `coordinates`, the Agrinet string, replaced by the two fields that a listing has; null removes both.
 * Throws `coordinates-malformed`, and `fields-invalid` when the body names two locations.
 */
export function withPlace(body: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  if (!Object.hasOwn(body, 'coordinates')) return body;
  const { coordinates, ...fields } = body;
  if (coordinates === null) return { geoLat_: null, geoLong_: null, ...fields };
  if (typeof coordinates !== 'string') throw new AgrinetError('fields-invalid', 'coordinates: must be text');
  const place = coordinateFields(parseCoordinates(coordinates));
  for (const name of ['geoLat_', 'geoLong_'] as const) {
    const given = fields[name];
    if (given !== undefined && Number(given) !== Number(place[name]))
      throw new AgrinetError('fields-invalid', `${name}: contradicts coordinates; send one of the two`);
  }
  return { ...fields, ...place };
}

/** The place of a record in the Agrinet form; undefined when it does not say. */
export function coordinatesText(fields: Readonly<Record<string, unknown>>): string | undefined {
  const at = placeOf(fields);
  return at === undefined ? undefined : writeCoordinates(at);
}
