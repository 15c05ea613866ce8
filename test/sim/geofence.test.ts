import { describe, expect, it } from 'vitest';
import { type Fence, fenceFromGeoJson, fenceFromText, inside } from '../../protocols/market/geofence.ts';
import { seededRandom } from '../support/random.ts';

/**
 * The fence against brute force on the sphere. The other implementation knows no longitudes to wrap and no poles: it walks
 * each ring in steps of a tenth of a degree, sees the steps from a point known to lie outside (stereographic projection,
 * that point at infinity), and counts there how often a ray leaves the picture of the ring.
 */
type Position = readonly [long: number, lat: number];
type Vector = readonly [number, number, number];

/** Rings as drawn, with longitudes that run on, the first point again at the end; and as they are written in the file. */
interface Drawing {
  readonly name: string;
  readonly rings: readonly (readonly Position[])[];
  readonly outside: Position;
  readonly written: unknown;
}

const STEP = 0.1;
/** Degrees from the border within which the walk's corners could decide. */
const DOUBT = 0.02;
const POINTS_PER_FENCE = 200;

function vector([long, lat]: Position): Vector {
  const [l, p] = [(long * Math.PI) / 180, (lat * Math.PI) / 180];
  return [Math.cos(p) * Math.cos(l), Math.cos(p) * Math.sin(l), Math.sin(p)];
}

const dot = (a: Vector, b: Vector): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

function walk(ring: readonly Position[]): Vector[] {
  return ring.slice(1).flatMap((to, i) => {
    const from = ring[i] ?? to;
    const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1]) / STEP));
    return Array.from({ length: steps }, (_, s): Vector =>
      vector([from[0] + ((to[0] - from[0]) * s) / steps, from[1] + ((to[1] - from[1]) * s) / steps]),
    );
  });
}

/** The plane that a point of the sphere sees opposite to itself. */
function projection(from: Position): (v: Vector) => [number, number] {
  const up = vector(from);
  const east = vector([from[0] + 90, 0]);
  const other: Vector = [
    up[1] * east[2] - up[2] * east[1],
    up[2] * east[0] - up[0] * east[2],
    up[0] * east[1] - up[1] * east[0],
  ];
  return (v) => {
    const away = 1 - dot(v, up);
    return [dot(v, east) / away, dot(v, other) / away];
  };
}

/** A judge of points: true, false, or undefined when too near to the border to tell. */
function bruteForce({ rings, outside }: Drawing): (point: Position) => boolean | undefined {
  const see = projection(outside);
  const walks = rings.map(walk);
  const pictures = walks.map((path) => path.map(see));
  const near = Math.cos((DOUBT * Math.PI) / 180);
  return (point) => {
    const p = vector(point);
    if (walks.some((path) => path.some((v) => dot(v, p) > near))) return undefined;
    const [x, y] = see(p);
    return pictures.every((picture, index) => {
      let odd = false;
      let [x0, y0] = picture.at(-1) ?? [0, 0];
      for (const [x1, y1] of picture) {
        if (y0 > y !== y1 > y && x < x0 + ((y - y0) / (y1 - y0)) * (x1 - x0)) odd = !odd;
        [x0, y0] = [x1, y1];
      }
      return odd === (index === 0);
    });
  };
}

const wrapped = (long: number): number => ((((long + 180) % 360) + 360) % 360) - 180;
const closed = (ring: readonly Position[]): Position[] => {
  const all = ring.map(([long, lat]): Position => [wrapped(long), lat]);
  const [first] = all;
  return first === undefined ? all : [...all, first];
};

/** The first point again, one turn later for a ring around a pole. */
const ended = (ring: readonly Position[], turn = 0): Position[] => [
  ...ring,
  ...ring.slice(0, 1).map(([long, lat]): Position => [long + turn, lat]),
];

/** Corners around a point, at growing angles; a star for uneven, an ellipse for even spread. */
function around(random: () => number, center: Position, spread: () => number): Position[] {
  const corners = 5 + Math.floor(random() * 12);
  return Array.from({ length: corners }, (_, i): Position => {
    const angle = ((i + random() * 0.6) / corners) * 2 * Math.PI;
    const far = spread();
    return [center[0] + far * Math.cos(angle) * 1.5, center[1] + far * Math.sin(angle)];
  });
}

/** A line around the earth at latitudes from `low` to `high` of one hemisphere, without its last point. */
function girdle(random: () => number, low: number, high: number, sign: number): Position[] {
  const corners = 4 + Math.floor(random() * 12);
  return Array.from({ length: corners }, (_, i): Position => {
    const long = -180 + (i === 0 ? 0 : ((i + random() * 0.6) / corners) * 360);
    return [long, sign * (low + random() * (high - low))];
  });
}

function drawing(random: () => number, kind: number): Drawing {
  const sign = random() < 0.5 ? 1 : -1;
  const crossing = random() < 0.6;
  const center: Position = [crossing ? 170 + random() * 20 : random() * 300 - 150, random() * 110 - 55];
  const opposite: Position = [center[0] + 180, -center[1]];
  const polygon = (...rings: Position[][]): unknown => ({
    type: 'Polygon',
    coordinates: rings.map((ring) => (random() < 0.5 ? closed(ring) : closed(ring).toReversed())),
  });
  switch (kind % 5) {
    case 0: {
      const outer = around(random, center, () => 15 + random() * 15);
      const hole = around(random, center, () => 2 + random() * 6);
      return {
        name: 'star with a hole',
        rings: [ended(outer), ended(hole)],
        outside: opposite,
        written: polygon(outer, hole),
      };
    }
    case 1: {
      const outer = around(random, center, () => 25);
      const halves = [-1, 0, 1].flatMap((turn) => {
        const piece = cut(cut(outer, -180 + turn * 360, 1), 180 + turn * 360, -1);
        const back = piece.map(([long, lat]): Position => [long - turn * 360, lat]);
        return back.length < 3 ? [] : [[[...back, ...back.slice(0, 1)]]];
      });
      return {
        name: `cut at the antimeridian in ${halves.length}`,
        rings: [ended(outer)],
        outside: opposite,
        written: { type: 'MultiPolygon', coordinates: halves },
      };
    }
    case 2: {
      const cap = girdle(random, 40, 75, sign);
      return {
        name: 'around a pole',
        rings: [ended(cap, 360)],
        outside: [0, -sign * 90],
        written: polygon(cap),
      };
    }
    case 3: {
      const cap = girdle(random, 30, 60, sign);
      const hole = girdle(random, 65, 88, sign);
      return {
        name: 'around a pole with a hole around it',
        rings: [ended(cap, 360), ended(hole, 360)],
        outside: [0, -sign * 90],
        written: polygon(cap, hole),
      };
    }
    default: {
      const cap = girdle(random, 40, 75, sign);
      const lat = cap[0]?.[1] ?? 0;
      const ends: Position[] = [
        [180, lat],
        [180, sign * 90],
        [-180, sign * 90],
        [-180, lat],
      ];
      return {
        name: 'to a pole, cut at the antimeridian',
        rings: [ended(cap, 360)],
        outside: [0, -sign * 90],
        written: { type: 'Polygon', coordinates: [[...cap, ...ends]] },
      };
    }
  }
}

/** The part of a convex ring on one side of a meridian. */
function cut(ring: readonly Position[], meridian: number, sign: number): Position[] {
  return ring.flatMap((to, i) => {
    const from = ring.at(i - 1) ?? to;
    const [a, b] = [sign * (from[0] - meridian), sign * (to[0] - meridian)];
    const crossed: Position = [meridian, from[1] + ((to[1] - from[1]) * a) / (a - b)];
    return [...(a >= 0 === b >= 0 ? [] : [crossed]), ...(b >= 0 ? [to] : [])];
  });
}

/** Points everywhere, near the fence, on the poles and on the antimeridian. */
function pointFor(random: () => number, near: readonly Position[], i: number): Position {
  const anywhere: Position = [random() * 360 - 180, (Math.asin(random() * 2 - 1) * 180) / Math.PI];
  const corner = near[Math.floor(random() * near.length)] ?? anywhere;
  const shift = (by: number): number => (random() - 0.5) * by;
  const lat = Math.max(-90, Math.min(90, corner[1] + shift(30)));
  switch (i % 8) {
    case 0:
      return anywhere;
    case 1:
      return [anywhere[0], random() < 0.5 ? 90 : -90];
    case 2:
      return [random() < 0.5 ? 180 : -180, lat];
    default:
      return [wrapped(corner[0] + shift(60)), lat];
  }
}

describe('the geofence against brute force', () => {
  it('agrees on 10,000 points of polygons, over the antimeridian and the poles', () => {
    const seed = Number(process.env['SEED'] ?? 20_261_123);
    const random = seededRandom(seed);
    const seen = { inside: 0, outside: 0, doubtful: 0, poles: 0, antimeridian: 0 };
    for (let kind = 0; seen.inside + seen.outside < 10_000; kind++) {
      const drawn = drawing(random, kind);
      const fence = fenceFromGeoJson(drawn.written);
      const truth = bruteForce(drawn);
      for (let i = 0; i < POINTS_PER_FENCE; i++) {
        const point = pointFor(random, drawn.rings.flat(), i);
        const expected = truth(point);
        if (expected === undefined) {
          seen.doubtful++;
          continue;
        }
        seen[expected ? 'inside' : 'outside']++;
        if (Math.abs(point[1]) === 90) seen.poles++;
        if (Math.abs(point[0]) === 180) seen.antimeridian++;
        const found = inside(fence, { lat: point[1], long: point[0] });
        if (found !== expected)
          throw new Error(
            `seed ${seed}, ${drawn.name}: ${point.join(' ')} inside=${found}, brute force ${expected}: ${JSON.stringify(drawn.written)}`,
          );
      }
      checkBorder(fence, drawn, seed);
    }
    expect(seen.inside).toBeGreaterThan(2000);
    expect(seen.outside).toBeGreaterThan(2000);
    expect(seen.poles).toBeGreaterThan(1000);
    expect(seen.antimeridian).toBeGreaterThan(1000);
    expect(seen.doubtful).toBeLessThan(500);
  });

  it('agrees on 10,000 points of circles', () => {
    const random = seededRandom(4);
    let within = 0;
    for (let i = 0; i < 10_000; i++) {
      const long = i % 3 === 0 ? 180 - random() : random() * 360 - 180;
      const lat = i % 4 === 0 ? 89 + random() : random() * 180 - 90;
      const radius = 10 + random() * 8000;
      const fence: Fence | undefined = fenceFromText(
        `${lat.toFixed(5)},${long.toFixed(5)},${radius.toFixed(3)}`,
      );
      if (fence === undefined) throw new Error('no fence');
      const point = pointFor(random, [[long, lat]], i);
      const [a, b] = [vector([Number(long.toFixed(5)), Number(lat.toFixed(5))]), vector(point)];
      const chord = Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
      const km = 2 * 6371 * Math.asin(Math.min(1, chord / 2));
      if (Math.abs(km - Number(radius.toFixed(3))) < 0.01) continue;
      const expected = km < radius;
      if (expected) within++;
      expect(inside(fence, { lat: point[1], long: point[0] })).toBe(expected);
    }
    expect(within).toBeGreaterThan(2000);
    expect(within).toBeLessThan(9000);
  });
});

/** Corners and the middles of edges are inside. */
function checkBorder(fence: Fence, { rings, name }: Drawing, seed: number): void {
  for (const ring of rings)
    for (const [i, from] of ring.slice(0, -1).entries()) {
      const next = ring[i + 1] ?? from;
      for (const share of [0, 0.25, 0.5]) {
        const long = wrapped(from[0] + (next[0] - from[0]) * share);
        const lat = from[1] + (next[1] - from[1]) * share;
        if (!inside(fence, { lat, long }))
          throw new Error(`seed ${seed}, ${name}: ${long} ${lat} on the border is not inside`);
      }
    }
}
