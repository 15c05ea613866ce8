import { AgrinetError } from '../errors.ts';
import type { Coordinates } from './coordinates.ts';

/**
 * Polygons on the plate carrée, rolled into a cylinder so that 180 and -180 are one line. A point's side of a ring is
 * found by counting the edges between it and the north pole along its meridian: this needs no seam anywhere, only
 * whether the pole itself is within the ring.
 */
export interface Polygon {
  /** The exterior ring, then the holes. */
  readonly rings: readonly Ring[];
}

interface Ring {
  /** x0, y0, x1, y1 of each edge, longitudes unrolled: they continue beyond 180, no edge jumps. */
  readonly edges: Float64Array;
  /** True when the north pole is within the ring though no edge touches it. */
  readonly aroundNorth: boolean;
}

/** Degrees within which a point is on an edge: a tenth of a millimetre, far above rounding and below five decimals. */
const ON_EDGE = 1e-9;

/** From which side a longitude is approached: from the east or from the west. */
type Side = 'east' | 'west';
/** True for latitudes north of the point. */
type North = (lat: number) => boolean;

/** Reads the rings of one GeoJSON polygon. Throws `fence-malformed`. */
export function polygonOf(rings: readonly unknown[], where: string): Polygon {
  if (rings.length === 0) throw malformed(where, 'no ring');
  return {
    rings: rings.map((ring, index) => ringOf(ring, `${where} ring ${index + 1}`)),
  };
}

/** True when the point is inside or on a border; a hole's border belongs to the polygon. */
export function insidePolygon(polygon: Polygon, point: Coordinates): boolean {
  if (Math.abs(point.lat) >= 90 - ON_EDGE) return holdsPole(polygon, point.lat > 0);
  const onAntimeridian = 180 - Math.abs(point.long) <= ON_EDGE;
  const x = onAntimeridian ? 180 : point.long;
  if (polygon.rings.some((ring) => onBorder(ring.edges, x, point.lat))) return true;
  const north: North = (lat) => lat > point.lat;
  // A ring cut at the antimeridian runs along it without there being a border: what lies at either side decides.
  return holds(polygon, x, 'east', north) || (onAntimeridian && holds(polygon, x, 'west', north));
}

function holds(polygon: Polygon, x: number, side: Side, north: North): boolean {
  return polygon.rings.every((ring, index) => within(ring, x, side, north) === (index === 0));
}

function within(ring: Ring, x: number, side: Side, north: North): boolean {
  return (crossings(ring.edges, x, side, north) % 2 === 1) !== ring.aroundNorth;
}

/** A pole belongs to the region that reaches it from any direction, and not to a hole that lies all around it. */
function holdsPole(polygon: Polygon, northern: boolean): boolean {
  const pole = northern ? 90 : -90;
  const ends = polygon.rings.map(({ edges }) => endsAt(edges, pole));
  // Edges that end at the pole cut its surroundings into sectors; within each, one meridian speaks for all.
  const directions = [...new Set(ends.flat())].sort((a, b) => a - b);
  const around = (directions[0] ?? 0) + 360;
  const middles = directions.map((long, index) => (long + (directions[index + 1] ?? around)) / 2);
  if (middles.length === 0) middles.push(0);
  // Next to the north pole only edges on the pole's own line are further north, next to the south pole all others.
  const north: North = northern ? (lat) => lat >= 90 : (lat) => lat > -90;
  return polygon.rings.every((ring, index) =>
    index === 0
      ? ends[0]?.length !== 0 || middles.some((x) => within(ring, x, 'east', north))
      : !middles.every((x) => within(ring, x, 'east', north)),
  );
}

/** Longitudes, 0 to 360, at which edges of the ring begin at this latitude. */
function endsAt(edges: Float64Array, lat: number): number[] {
  const found: number[] = [];
  for (let i = 0; i < edges.length; i += 4)
    if (edges[i + 1] === lat) found.push((((edges[i] ?? 0) % 360) + 360) % 360);
  return found;
}

/** Edges that the meridian meets on its way north, each with one of its ends and without the other. */
function crossings(edges: Float64Array, x: number, side: Side, north: North): number {
  let count = 0;
  for (let i = 0; i < edges.length; i += 4) {
    const x0 = edges[i] ?? 0;
    const x1 = edges[i + 2] ?? 0;
    const low = Math.min(x0, x1);
    const high = Math.max(x0, x1);
    const y0 = edges[i + 1] ?? 0;
    const slope = ((edges[i + 3] ?? 0) - y0) / (x1 - x0);
    for (let at = firstTurn(x, low); at <= high; at += 360) {
      const meets = side === 'east' ? at >= low && at < high : at > low && at <= high;
      if (meets && north(slope === 0 ? y0 : y0 + slope * (at - x0))) count++;
    }
  }
  return count;
}

function onBorder(edges: Float64Array, x: number, y: number): boolean {
  for (let i = 0; i < edges.length; i += 4) {
    const y0 = edges[i + 1] ?? 0;
    const y1 = edges[i + 3] ?? 0;
    if (y < Math.min(y0, y1) - ON_EDGE || y > Math.max(y0, y1) + ON_EDGE) continue;
    const x0 = edges[i] ?? 0;
    const x1 = edges[i + 2] ?? 0;
    if (x0 === x1 && Math.abs(x0) % 360 === 180) continue; // along the antimeridian: see insidePolygon
    const low = Math.min(x0, x1) - ON_EDGE;
    const high = Math.max(x0, x1) + ON_EDGE;
    const length = Math.hypot(x1 - x0, y1 - y0);
    for (let at = firstTurn(x, low); at <= high; at += 360)
      if (Math.abs((x1 - x0) * (y - y0) - (at - x0) * (y1 - y0)) <= ON_EDGE * length) return true;
  }
  return false;
}

/** The first of x, x ± 360, x ± 720 ... that is not below `low`. */
function firstTurn(x: number, low: number): number {
  return x + Math.ceil((low - x) / 360) * 360;
}

function ringOf(value: unknown, where: string): Ring {
  const positions = Array.isArray(value) ? (value as unknown[]).map((item) => positionOf(item, where)) : [];
  const [first] = positions;
  const last = positions.at(-1);
  if (first === undefined || last === undefined || positions.length < 4)
    throw malformed(where, 'needs at least four positions');
  if (first[0] !== last[0] || first[1] !== last[1])
    throw malformed(where, 'the last position must repeat the first');
  const { edges, turn } = unroll(positions);
  if (Math.abs(turn) > 360) throw malformed(where, 'goes around the earth more than once');
  const sum = area(edges);
  if (turn === 0) {
    if (sum === 0) throw malformed(where, 'has no area');
    return { edges, aroundNorth: false };
  }
  // Around a pole: the nearer one, because the direction in which a ring is written is wrong too often to say it.
  // `sum` is the mean latitude, times the turn; on the equator the right-hand rule of RFC 7946 decides.
  return { edges, aroundNorth: sum === 0 ? turn > 0 : sum / turn > 0 };
}

function positionOf(value: unknown, where: string): readonly [long: number, lat: number] {
  const [long, lat] = Array.isArray(value) ? (value as unknown[]) : [];
  if (
    typeof long !== 'number' ||
    typeof lat !== 'number' ||
    !(Math.abs(long) <= 180) ||
    !(Math.abs(lat) <= 90)
  )
    throw malformed(where, 'a position is [longitude -180 to 180, latitude -90 to 90]');
  return [long, lat];
}

/**
 * Longitudes made continuous. An edge of more than 180 degrees is meant the short way, across the antimeridian (RFC 7946,
 * section 3.1.9, asks for a cut there, which many files do not have). One from 180 to -180 stays where it is, on that
 * meridian, unless only going around the earth gives the ring an area (the world) or closes one that also runs along the
 * antimeridian (a band, or Antarctica with the pole as its lower edge).
 */
function unroll(positions: readonly (readonly [number, number])[]): { edges: Float64Array; turn: number } {
  const steps = (around: boolean): { edges: Float64Array; turn: number } => {
    const edges = new Float64Array((positions.length - 1) * 4);
    const start = positions[0]?.[0] ?? 0;
    let turns = 0;
    for (let i = 1; i < positions.length; i++) {
      const [x0, y0] = positions[i - 1] ?? [0, 0];
      const [x1, y1] = positions[i] ?? [0, 0];
      const from = x0 + turns * 360;
      const width = Math.abs(x1 - x0);
      if (width > 180 && !(around && width === 360)) turns += x1 < x0 ? 1 : -1;
      edges.set([from, y0, x1 + turns * 360, y1], (i - 1) * 4);
    }
    return { edges, turn: (positions.at(-1)?.[0] ?? 0) + turns * 360 - start };
  };
  const short = steps(false);
  const long = steps(true);
  const runsAlong = positions.some(
    ([x, y], i) => Math.abs(x) === 180 && positions[i + 1]?.[0] === x && positions[i + 1]?.[1] !== y,
  );
  if (short.turn === 0) return area(short.edges) === 0 ? long : short;
  return long.turn === 0 && runsAlong ? long : short;
}

/** The integral of latitude over longitude along the ring, in square degrees. */
function area(edges: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < edges.length; i += 4)
    sum += (((edges[i + 2] ?? 0) - (edges[i] ?? 0)) * ((edges[i + 1] ?? 0) + (edges[i + 3] ?? 0))) / 2;
  return sum;
}

function malformed(where: string, why: string): AgrinetError {
  return fenceMalformed(`${where}: ${why}`);
}

/** Thrown by every reader of a fence, code `fence-malformed`. */
export function fenceMalformed(why: string): AgrinetError {
  return new AgrinetError('fence-malformed', `GEOFENCE: ${why}`);
}
