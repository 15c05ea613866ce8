import { AgrinetError } from '../errors.ts';

/** Degrees of WGS 84: latitude -90 to 90, longitude -180 to 180. */
export interface Coordinates {
  readonly lat: number;
  readonly long: number;
}

/** As the Agrinet back end has it, so that distances agree with its own. */
export const EARTH_RADIUS_KM = 6371;

/** A decimal point is required: `-0` or `34` alone is more often a cut-off number than a place. */
const DECIMAL = String.raw`-?\d{1,3}\.\d{1,15}`;
const AGRINET = new RegExp(`^geoLat_(${DECIMAL}), ?geoLong_(${DECIMAL})$`);
const FIELD = new RegExp(`^${DECIMAL}$`);

/** Reads Agrinet's coordinate string, `geoLat_-0.10230,geoLong_34.76170`. Throws `coordinates-malformed`. */
export function parseCoordinates(text: string): Coordinates {
  const match = AGRINET.exec(text.trim());
  const at = coordinates(Number(match?.[1] ?? Number.NaN), Number(match?.[2] ?? Number.NaN));
  if (at !== undefined) return at;
  throw new AgrinetError(
    'coordinates-malformed',
    'coordinates must read like geoLat_-0.10230,geoLong_34.76170: latitude -90.0 to 90.0, longitude -180.0 to 180.0, each with a decimal point',
  );
}

/** Writes Agrinet's coordinate string: five decimals, about a metre. Throws `coordinates-malformed` when out of range. */
export function writeCoordinates(at: Coordinates): string {
  const { geoLat_, geoLong_ } = coordinateFields(at);
  return `geoLat_${geoLat_},geoLong_${geoLong_}`;
}

/** The fields of a listing that hold the place. Throws `coordinates-malformed` when out of range. */
export function coordinateFields(at: Coordinates): { geoLat_: string; geoLong_: string } {
  if (coordinates(at.lat, at.long) === undefined) {
    throw new AgrinetError(
      'coordinates-malformed',
      'the latitude must be from -90 to 90 and the longitude from -180 to 180',
    );
  }
  return { geoLat_: fiveDecimals(at.lat), geoLong_: fiveDecimals(at.long) };
}

/**
 * A record's location: a listing's `geoLat_` and `geoLong_` (text, or numbers from old nodes), a price's `latitude` and `longitude`,
 * else a `location` in the Agrinet form. Undefined when it has none, or not a valid one.
 */
export function placeOf(fields: Readonly<Record<string, unknown>>): Coordinates | undefined {
  for (const [latName, longName] of [
    ['geoLat_', 'geoLong_'],
    ['latitude', 'longitude'],
  ] as const) {
    const lat = fieldNumber(fields[latName]);
    const long = fieldNumber(fields[longName]);
    if (lat !== undefined && long !== undefined) return coordinates(lat, long);
  }
  const match = typeof fields['location'] === 'string' ? AGRINET.exec(fields['location'].trim()) : null;
  return match === null ? undefined : coordinates(Number(match[1]), Number(match[2]));
}

/** The pair when both are in range. */
export function coordinates(lat: number, long: number): Coordinates | undefined {
  return Math.abs(lat) <= 90 && Math.abs(long) <= 180 ? { lat, long } : undefined;
}

/** Great-circle distance in kilometres by haversine, R = 6371 km; right across the antimeridian and the poles. */
export function distanceKm(a: Coordinates, b: Coordinates): number {
  const radians = Math.PI / 180;
  const h =
    Math.sin(((b.lat - a.lat) * radians) / 2) ** 2 +
    Math.cos(a.lat * radians) * Math.cos(b.lat * radians) * Math.sin(((b.long - a.long) * radians) / 2) ** 2;
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.min(1, Math.sqrt(h)));
}

function fieldNumber(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && FIELD.test(value) ? Number(value) : undefined;
}

function fiveDecimals(degrees: number): string {
  const text = degrees.toFixed(5);
  return text === '-0.00000' ? '0.00000' : text;
}
