import { type Coordinates, coordinates, distanceKm, parseCoordinates, placeOf } from './coordinates.ts';
import { fenceMalformed, insidePolygon, polygonOf, type Polygon } from './geofence-polygon.ts';

/** A region of the earth. A point on its border is inside. */
export type Fence =
  | { readonly kind: 'circle'; readonly center: Coordinates; readonly radiusKm: number }
  | { readonly kind: 'polygons'; readonly polygons: readonly Polygon[] };

/** Why a record stays outside; recorded with it, so that it can come in when the fence moves. */
export type FenceReason = 'outside-fence' | 'no-coordinates';

export const FENCE_LIMITS = {
  /** Positions of all rings: a country in detail; each check of a record goes through all of them. */
  positions: 50_000,
  /** Half of the earth's circumference is 20,015 km: a larger circle is a slip of the pen. */
  radiusKm: 20_100,
  /** GeoJSON objects nested in one another. */
  depth: 4,
} as const;

/** A millimetre: what rounding in the haversine may move a border. */
const BORDER_KM = 1e-6;
const CIRCLE = /^([-+]?[\d.]+)\s*,\s*([-+]?[\d.]+)\s*,\s*([-+]?[\d.]+)$/;
const AGRINET_CIRCLE = /^(geoLat_[^,]*,\s*geoLong_[^,]*)\s*,\s*(?:radiusKm_)?([\d.]+)$/;

/**
 * Reads a circle: `lat,long,radiusKm`, or the Agrinet coordinate string and a radius,
 * `geoLat_-0.10230,geoLong_34.76170,50`. Undefined for a text that is neither (a file's name); throws `fence-malformed`
 * for one that is meant to be and is wrong.
 */
export function fenceFromText(text: string): Fence | undefined {
  const trimmed = text.trim();
  const agrinet = AGRINET_CIRCLE.exec(trimmed);
  if (agrinet !== null) return circle(parseCoordinates(agrinet[1] ?? ''), Number(agrinet[2]));
  const match = CIRCLE.exec(trimmed);
  if (match !== null) {
    const at = coordinates(Number(match[1]), Number(match[2]));
    if (at === undefined)
      throw fenceMalformed('the latitude must be from -90 to 90, the longitude from -180 to 180');
    return circle(at, Number(match[3]));
  }
  if (/^(geoLat_|[-+\d.,\s]*$)/.test(trimmed))
    throw fenceMalformed(
      'a circle reads lat,long,radiusKm or geoLat_<lat>,geoLong_<long>,radiusKm; else name a GeoJSON file',
    );
  return undefined;
}

/**
 * A fence from parsed GeoJSON (RFC 7946): Polygon or MultiPolygon, also inside a Feature, FeatureCollection or
 * GeometryCollection. Throws `fence-malformed`, which names the ring.
 */
export function fenceFromGeoJson(value: unknown): Fence {
  const polygons: Polygon[] = [];
  let positions = 0;
  const add = (rings: unknown, where: string): void => {
    if (!Array.isArray(rings)) throw fenceMalformed(`${where}: coordinates must be a list of rings`);
    for (const ring of rings as unknown[]) positions += Array.isArray(ring) ? ring.length : 0;
    if (positions > FENCE_LIMITS.positions)
      throw fenceMalformed(`more than ${FENCE_LIMITS.positions} positions; simplify the polygon`);
    polygons.push(polygonOf(rings, where));
  };
  const walk = (object: unknown, where: string, depth: number): void => {
    if (typeof object !== 'object' || object === null) throw fenceMalformed(`${where}: not a GeoJSON object`);
    if (depth > FENCE_LIMITS.depth) throw fenceMalformed(`${where}: nested too deeply`);
    const { type, coordinates, geometry, geometries, features } = object as Record<string, unknown>;
    switch (type) {
      case 'Polygon':
        return add(coordinates, where);
      case 'MultiPolygon':
        return list(coordinates, where).forEach((rings, index) => add(rings, `${where} part ${index + 1}`));
      case 'Feature':
        return walk(geometry, where, depth + 1);
      case 'FeatureCollection':
        return list(features, where).forEach((inner, index) =>
          walk(inner, `feature ${index + 1}`, depth + 1),
        );
      case 'GeometryCollection':
        return list(geometries, where).forEach((inner, index) =>
          walk(inner, `${where} geometry ${index + 1}`, depth + 1),
        );
      default:
        throw fenceMalformed(`${where}: a fence needs a Polygon or MultiPolygon`);
    }
  };
  walk(value, 'geofence', 0);
  if (polygons.length === 0) throw fenceMalformed('no polygon in it');
  return { kind: 'polygons', polygons };
}

/**
 * True when the point is in the fence or on its border. A pole is one point, whatever the longitude; 180 and -180 are one
 * meridian. A polygon's edges are straight lines in longitude and latitude (RFC 7946, section 3.1.1), not great circles.
 */
export function inside(fence: Fence, point: Coordinates): boolean {
  return fence.kind === 'circle'
    ? distanceKm(fence.center, point) <= fence.radiusKm + BORDER_KM
    : fence.polygons.some((polygon) => insidePolygon(polygon, point));
}

/** Why a record with these fields stays outside of the fence; undefined when it is inside. */
export function fenceReason(
  fence: Fence,
  fields: Readonly<Record<string, unknown>>,
): FenceReason | undefined {
  const at = placeOf(fields);
  if (at === undefined) return 'no-coordinates';
  return inside(fence, at) ? undefined : 'outside-fence';
}

function circle(center: Coordinates, radiusKm: number): Fence {
  if (!(radiusKm > 0 && radiusKm <= FENCE_LIMITS.radiusKm))
    throw fenceMalformed(`the radius must be over 0 and at most ${FENCE_LIMITS.radiusKm} km`);
  return { kind: 'circle', center, radiusKm };
}

function list(value: unknown, where: string): unknown[] {
  if (!Array.isArray(value)) throw fenceMalformed(`${where}: not a list`);
  return value as unknown[];
}
