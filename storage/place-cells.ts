import geohash from 'ngeohash';
import { type Coordinates, distanceKm, EARTH_RADIUS_KM } from '../protocols/market/coordinates.ts';
import { numberKey } from './keyspace.ts';

/** All within so many kilometres of a place, in degrees. */
export interface Circle {
  readonly lat: number;
  readonly long: number;
  readonly km: number;
}

/** Values of the place index from `from` to below `to`. */
export interface CellRange {
  readonly from: string;
  readonly to: string;
}

/** Bits of a geohash as the place index has it, longitude first: 0.6 m by 0.3 m at the equator. */
const BITS = 52;
const DIGITS = BITS / 4;
/** What a position loses in the index, and rounding of distances: nothing that is nearer to the rim is decided by its key, km. */
const MARGIN_KM = 0.01;
/** Cells that the rim of a circle may run through: more of them fit it better, and each range costs an iterator. */
const RIM_CELLS = 24;

/** A position as stored in the place index. */
export function placeValue({ lat, long }: Coordinates): string {
  return numberKey(geohash.encode_int(lat, long, BITS), DIGITS);
}

/** Whether a position in the place index may be within a circle: to be certain, check the record. */
export function mayBeWithin(value: string, circle: Circle): boolean {
  const { latitude, longitude } = geohash.decode_int(Number.parseInt(value, 16), BITS);
  return distanceKm({ lat: latitude, long: longitude }, circle) <= circle.km + MARGIN_KM;
}

/** A geohash of `depth` bits. */
interface Cell {
  readonly bits: number;
  readonly depth: number;
}

/** Ranges of the place index that together hold a circle, in order. Cells are halved until those at its rim are as many as may be. */
export function cellRangesOf(circle: Circle): CellRange[] {
  const inside: Cell[] = [];
  let rim: Cell[] = [{ bits: 0, depth: 0 }];
  for (let depth = 1; depth <= BITS && rim.length > 0; depth++) {
    const halves = rim
      .flatMap(({ bits }) => [0, 1].map((bit): Cell => ({ bits: bits * 2 + bit, depth })))
      .map((cell) => ({ cell, reach: reachOf(cell, circle) }))
      .filter(({ reach }) => reach !== 'outside');
    const next = halves.filter(({ reach }) => reach === 'rim').map(({ cell }) => cell);
    if (next.length > RIM_CELLS) break;
    inside.push(...halves.filter(({ reach }) => reach === 'inside').map(({ cell }) => cell));
    rim = next;
  }
  return joined(
    [...inside, ...rim].map(({ bits, depth }) => [bits, bits + 1].map((n) => n * 2 ** (BITS - depth))),
  );
}

/** Neighbours become one range. */
function joined(spans: number[][]): CellRange[] {
  const ranges: [number, number][] = [];
  for (const [from = 0, to = 0] of spans.toSorted(([a = 0], [b = 0]) => a - b)) {
    const last = ranges.at(-1);
    if (last?.[1] === from) last[1] = to;
    else ranges.push([from, to]);
  }
  // The end of the last cell of all has a digit more than there are.
  return ranges.map(([from, to]) => ({
    from: numberKey(from, DIGITS),
    to: to === 2 ** BITS ? 'g' : numberKey(to, DIGITS),
  }));
}

function reachOf({ bits, depth }: Cell, circle: Circle): 'inside' | 'rim' | 'outside' {
  const box = boxOf(geohash.decode_bbox_int(bits, depth));
  if (nearestKm(circle, box) > circle.km + MARGIN_KM) return 'outside';
  const antipode = { lat: -circle.lat, long: circle.long > 0 ? circle.long - 180 : circle.long + 180 };
  const farthest = Math.PI * EARTH_RADIUS_KM - nearestKm(antipode, box);
  return farthest <= circle.km - MARGIN_KM ? 'inside' : 'rim';
}

interface Box {
  readonly south: number;
  readonly west: number;
  readonly north: number;
  readonly east: number;
}

function boxOf([south, west, north, east]: readonly [number, number, number, number]): Box {
  return { south, west, north, east };
}

const RADIANS = Math.PI / 180;

/** The great-circle distance from a place to the nearest of a box between meridians and parallels. */
function nearestKm(at: Coordinates, box: Box): number {
  const { lat, long } = at;
  const { south, west, north, east } = box;
  if (long >= west && long <= east) return EARTH_RADIUS_KM * RADIANS * Math.max(0, south - lat, lat - north);
  return Math.min(toMeridianKm(at, west, box), toMeridianKm(at, east, box));
}

/** To a meridian between two parallels. Along it the cosine of the distance is a sine wave: nearest is its crest or an end. */
function toMeridianKm(at: Coordinates, long: number, { south, north }: Box): number {
  const phi = at.lat * RADIANS;
  const crest = Math.atan2(Math.sin(phi), Math.cos(phi) * Math.cos((long - at.long) * RADIANS)) / RADIANS;
  const nearest = Math.min(north, Math.max(south, crest));
  return Math.min(...[south, nearest, north].map((lat) => distanceKm(at, { lat, long })));
}
