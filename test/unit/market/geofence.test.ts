import { describe, expect, it } from 'vitest';
import {
  coordinateFields,
  distanceKm,
  parseCoordinates,
  placeOf,
  writeCoordinates,
} from '../../../protocols/market/coordinates.ts';
import {
  type Fence,
  FENCE_LIMITS,
  fenceFromGeoJson,
  fenceFromText,
  fenceReason,
  inside,
} from '../../../protocols/market/geofence.ts';

type Position = [long: number, lat: number];

const polygon = (...rings: Position[][]): Fence => fenceFromGeoJson({ type: 'Polygon', coordinates: rings });
const box = (west: number, south: number, east: number, north: number): Position[] => [
  [west, south],
  [east, south],
  [east, north],
  [west, north],
  [west, south],
];
const at = (fence: Fence, lat: number, long: number): boolean => inside(fence, { lat, long });
const text = (value: string): Fence => {
  const fence = fenceFromText(value);
  if (fence === undefined) throw new Error(`no fence: ${value}`);
  return fence;
};

describe('Agrinet coordinates', () => {
  it('are read and written with five decimals', () => {
    expect(parseCoordinates('geoLat_-0.10230,geoLong_34.76170')).toEqual({ lat: -0.1023, long: 34.7617 });
    expect(parseCoordinates(' geoLat_90.0, geoLong_-180.00000 ')).toEqual({ lat: 90, long: -180 });
    expect(writeCoordinates({ lat: -0.1023, long: 34.7617 })).toBe('geoLat_-0.10230,geoLong_34.76170');
    expect(writeCoordinates({ lat: -0.000001, long: 180 })).toBe('geoLat_0.00000,geoLong_180.00000');
    expect(coordinateFields({ lat: 1.234567, long: -2 })).toEqual({
      geoLat_: '1.23457',
      geoLong_: '-2.00000',
    });
  });

  it.each([
    'geoLat_1,geoLong_2.0',
    'geoLat_1.0,geoLong_2',
    'geoLat_90.00001,geoLong_2.0',
    'geoLat_-1.0,geoLong_180.00001',
    'geoLong_1.0,geoLat_2.0',
    'geoLat_1.0;geoLong_2.0',
    'geoLat_+1.0,geoLong_2.0',
    'geoLat_1.0e1,geoLong_2.0',
    'geoLat_1.,geoLong_2.0',
    '1.0,2.0',
    '',
  ])('refuse %j', (bad) => {
    expect(() => parseCoordinates(bad)).toThrow(/must read like/);
  });

  it('refuse to write what is out of range', () => {
    for (const bad of [
      { lat: 90.1, long: 0 },
      { lat: 0, long: -180.1 },
      { lat: Number.NaN, long: 0 },
    ])
      expect(() => writeCoordinates(bad)).toThrow(/latitude/);
  });

  it('are found in listings, prices and items of old nodes', () => {
    const there = { lat: -0.1023, long: 34.7617 };
    expect(placeOf({ geoLat_: '-0.10230', geoLong_: '34.76170' })).toEqual(there);
    expect(placeOf({ geoLat_: -0.1023, geoLong_: 34.7617 })).toEqual(there);
    expect(placeOf({ latitude: -0.1023, longitude: 34.7617 })).toEqual(there);
    expect(placeOf({ location: 'geoLat_-0.10230,geoLong_34.76170' })).toEqual(there);
    for (const none of [
      {},
      { geoLat_: '', geoLong_: '' },
      { geoLat_: '1.0' },
      { geoLat_: '91.0', geoLong_: '1.0' },
      { geoLat_: Number.NaN, geoLong_: 1 },
      { location: 'Kisumu' },
    ])
      expect(placeOf(none)).toBeUndefined();
  });
});

describe('a circle', () => {
  it('is read from both forms', () => {
    const expected = { kind: 'circle', center: { lat: -0.1023, long: 34.7617 }, radiusKm: 50 };
    for (const form of [
      '-0.1023,34.7617,50',
      ' -0.1023, 34.7617, 50.0 ',
      'geoLat_-0.10230,geoLong_34.76170,50',
      'geoLat_-0.10230,geoLong_34.76170,radiusKm_50',
    ])
      expect(fenceFromText(form)).toEqual(expected);
    for (const file of ['fence.geojson', './1,2,3.json', 'C:\\fence'])
      expect(fenceFromText(file)).toBeUndefined();
  });

  it.each([
    '91,0,5',
    '0,181,5',
    '0,0,0',
    '0,0,-5',
    '0,0,20101',
    '0,0',
    '1.2.3,0,5',
    '',
    'geoLat_1.0,geoLong_1.0',
  ])('refuses %j', (bad) => {
    expect(() => fenceFromText(bad)).toThrow(/GEOFENCE/);
  });

  it('has its border inside, to the millimetre', () => {
    const degree = (Math.PI * 6371) / 180;
    const fence = text(`0,0,${(degree - 5e-7).toFixed(7)}`);
    for (const [lat, long] of [
      [1, 0],
      [-1, 0],
      [0, 1],
      [0, -1],
    ] as const) {
      expect(at(fence, lat, long)).toBe(true);
      expect(at(fence, lat * 1.0000001, long * 1.0000001)).toBe(false);
    }
  });

  it('reaches over the pole and the antimeridian', () => {
    const pole = text('89.5,0,100');
    for (const long of [-180, -90, 0, 180]) expect(at(pole, 90, long)).toBe(true);
    expect(at(pole, 89.7, 180)).toBe(true);
    expect(at(pole, 89.5, 180)).toBe(false);
    const fiji = text('-17,179.9,30');
    expect(at(fiji, -17, -179.9)).toBe(true);
    expect(at(fiji, -17, -179.8)).toBe(false);
    expect(at(fiji, -17, 180) && at(fiji, -17, -180)).toBe(true);
    expect(distanceKm({ lat: 0, long: 180 }, { lat: 0, long: -180 })).toBeCloseTo(0, 6);
    expect(distanceKm({ lat: 90, long: 0 }, { lat: -90, long: 0 })).toBeCloseTo(Math.PI * 6371, 6);
  });
});

describe('a polygon', () => {
  it('has its border and the border of its holes inside, the holes outside', () => {
    const fence = polygon(box(0, 0, 10, 10), box(4, 4, 6, 6).toReversed());
    for (const [lat, long] of [
      [0, 0],
      [10, 10],
      [5, 0],
      [0, 5],
      [10, 5],
      [5, 10],
      [4, 5],
      [6, 6],
      [5, 4],
      [1, 1],
    ] as const)
      expect(at(fence, lat, long), `${lat} ${long}`).toBe(true);
    for (const [lat, long] of [
      [5, 5],
      [-0.00001, 5],
      [10.00001, 5],
      [5, -0.00001],
      [5, 10.00001],
      [10, 10.00001],
      [10, -5],
      [0, 20],
    ] as const)
      expect(at(fence, lat, long), `${lat} ${long}`).toBe(false);
    const slope = polygon([
      [0, 0],
      [3, 1],
      [0, 1],
      [0, 0],
    ]);
    expect(at(slope, 1 / 3, 1)).toBe(true);
    expect(at(slope, 1 / 3 - 0.00001, 1)).toBe(false);
  });

  it('has straight edges in longitude and latitude, not great circles', () => {
    const fence = polygon(box(-60, 0, 60, 50));
    expect(at(fence, 50, 0)).toBe(true);
    expect(at(fence, 50.1, 0)).toBe(false); // the great circle between the corners reaches 67 degrees
  });

  const cut: Fence = fenceFromGeoJson({
    type: 'MultiPolygon',
    coordinates: [[box(177, -20, 180, -15)], [box(-180, -20, -178, -15)]],
  });
  const uncut = polygon([
    [177, -20],
    [-178, -20],
    [-178, -15],
    [177, -15],
    [177, -20],
  ]);
  const touching = polygon([
    [177, -20],
    [180, -20],
    [-180, -20],
    [-178, -20],
    [-178, -15],
    [-180, -15],
    [180, -15],
    [177, -15],
    [177, -20],
  ]);
  it.each([
    ['cut there', cut],
    ['not cut there', uncut],
    ['with points on it', touching],
  ])('crosses the antimeridian %s', (_name, fence) => {
    for (const long of [177, 179.99999, 180, -180, -179.99999, -178]) {
      for (const lat of [-20, -17, -15]) expect(at(fence, lat, long), `${lat} ${long}`).toBe(true);
      for (const lat of [-20.00001, -14.99999]) expect(at(fence, lat, long), `${lat} ${long}`).toBe(false);
    }
    for (const long of [176.99999, -177.99999, 0, -90]) expect(at(fence, -17, long)).toBe(false);
  });

  it('may end at the antimeridian, from either side', () => {
    for (const fence of [polygon(box(170, 0, 180, 10)), polygon(box(-180, 0, -170, 10))]) {
      for (const lat of [0, 5, 10]) expect(at(fence, lat, 180) && at(fence, lat, -180)).toBe(true);
      expect(at(fence, 11, 180) || at(fence, -1, -180)).toBe(false);
    }
    expect(at(polygon(box(170, 0, 180, 10)), 5, -179.99999)).toBe(false);
  });

  it('keeps a hole whole across the antimeridian', () => {
    const hole: Position[] = [
      [179, -18],
      [-179, -18],
      [-179, -17],
      [179, -17],
      [179, -18],
    ];
    const fence = polygon(uncut.kind === 'polygons' ? box(177, -20, 180, -15) : [], box(178, -18, 179, -17));
    expect(at(fence, -17.5, 178.5)).toBe(false);
    const crossing = polygon(
      [
        [177, -20],
        [-178, -20],
        [-178, -15],
        [177, -15],
        [177, -20],
      ],
      hole,
    );
    for (const long of [179.5, 180, -180, -179.5]) {
      expect(at(crossing, -17.5, long)).toBe(false);
      expect(at(crossing, -18, long) && at(crossing, -17, long)).toBe(true);
      expect(at(crossing, -19, long)).toBe(true);
    }
  });

  const arctic: [string, Fence][] = [
    [
      'a ring around it',
      polygon([
        [-180, 70],
        [-90, 70],
        [0, 70],
        [90, 70],
        [180, 70],
        [-180, 70],
      ]),
    ],
    [
      'the same, westward',
      polygon([
        [180, 70],
        [90, 70],
        [0, 70],
        [-90, 70],
        [-180, 70],
        [180, 70],
      ]),
    ],
    [
      'a ring without a point at 180',
      polygon([
        [-135, 70],
        [-45, 70],
        [45, 70],
        [135, 70],
        [-135, 70],
      ]),
    ],
    ['a box to the pole', polygon(box(-180, 70, 180, 90))],
    [
      'four boxes to the pole',
      fenceFromGeoJson({
        type: 'MultiPolygon',
        coordinates: [-180, -90, 0, 90].map((west) => [box(west, 70, west + 90, 90)]),
      }),
    ],
    ['the world without what is south of it', polygon(box(-180, -90, 180, 90), box(-180, -90, 180, 70))],
  ];
  it.each(arctic)('holds the north pole: %s', (_name, fence) => {
    for (const long of [-180, -179.99999, -135, -1, 0, 45, 90, 179.99999, 180]) {
      for (const lat of [90, 89.99999, 80, 70]) expect(at(fence, lat, long), `${lat} ${long}`).toBe(true);
      for (const lat of [69.99999, 0, -70, -90]) expect(at(fence, lat, long), `${lat} ${long}`).toBe(false);
    }
  });

  const antarctic: [string, Fence][] = [
    [
      'a ring around it',
      polygon([
        [180, -70],
        [90, -70],
        [0, -70],
        [-90, -70],
        [-180, -70],
        [180, -70],
      ]),
    ],
    [
      'as maps of Antarctica have it',
      polygon([
        [-180, -70],
        [-60, -70],
        [60, -70],
        [180, -70],
        [180, -90],
        [-180, -90],
        [-180, -70],
      ]),
    ],
    ['the world without what is north of it', polygon(box(-180, -90, 180, 90), box(-180, -70, 180, 90))],
  ];
  it.each(antarctic)('holds the south pole: %s', (_name, fence) => {
    for (const long of [-180, -179.99999, -60, 0, 60, 90, 180]) {
      for (const lat of [-90, -89.99999, -80, -70]) expect(at(fence, lat, long), `${lat} ${long}`).toBe(true);
      for (const lat of [-69.99999, 0, 70, 90]) expect(at(fence, lat, long), `${lat} ${long}`).toBe(false);
    }
  });

  it('holds a pole that is its corner, and not one in the midst of its hole', () => {
    const wedge = polygon([
      [0, 80],
      [10, 80],
      [5, 90],
      [0, 80],
    ]);
    for (const long of [-180, 5, 100]) expect(at(wedge, 90, long)).toBe(true);
    expect(at(wedge, 89, 100)).toBe(false);
    const bitten = polygon(box(-180, 50, 180, 90), box(0, 80, 90, 90));
    expect(at(bitten, 90, 45)).toBe(true);
    expect(at(bitten, 85, 45)).toBe(false);
    const collar = polygon(box(-180, 50, 180, 90), [
      [-135, 80],
      [-45, 80],
      [45, 80],
      [135, 80],
      [-135, 80],
    ]);
    expect(at(collar, 90, 0)).toBe(false);
    expect(at(collar, 80, 20) && at(collar, 79, 180)).toBe(true);
    expect(at(collar, 80.1, 180)).toBe(false);
  });

  it('may be the whole world', () => {
    const world = polygon(box(-180, -90, 180, 90));
    for (const long of [-180, -1, 0, 180])
      for (const lat of [-90, -45, 0, 45, 90]) expect(at(world, lat, long)).toBe(true);
    const band = polygon([
      [-180, 10],
      [0, 10],
      [180, 10],
      [180, 20],
      [-180, 20],
      [-180, 10],
    ]);
    for (const long of [-180, -1, 0, 180]) {
      expect(at(band, 10, long) && at(band, 15, long) && at(band, 20, long)).toBe(true);
      expect(at(band, 9.9, long) || at(band, 20.1, long) || at(band, 90, long)).toBe(false);
    }
  });

  it('is read from features and collections', () => {
    const geometry = { type: 'Polygon', coordinates: [box(0, 0, 1, 1)] };
    const feature = { type: 'Feature', properties: null, geometry };
    const other = { type: 'MultiPolygon', coordinates: [[box(5, 5, 6, 6)]] };
    const all = fenceFromGeoJson({
      type: 'FeatureCollection',
      features: [feature, { type: 'Feature', geometry: { type: 'GeometryCollection', geometries: [other] } }],
    });
    expect(at(fenceFromGeoJson(feature), 0.5, 0.5)).toBe(true);
    expect(at(all, 0.5, 0.5) && at(all, 5.5, 5.5)).toBe(true);
    expect(at(all, 3, 3)).toBe(false);
  });

  const square = box(0, 0, 1, 1);
  const nested = { type: 'GeometryCollection', geometries: [{}] as unknown[] };
  nested.geometries[0] = nested;
  it.each<[string, unknown]>([
    ['not a GeoJSON object', null],
    ['needs a Polygon', { type: 'Point', coordinates: [0, 0] }],
    ['needs a Polygon', {}],
    ['no polygon', { type: 'MultiPolygon', coordinates: [] }],
    ['no ring', { type: 'Polygon', coordinates: [] }],
    ['list of rings', { type: 'Polygon', coordinates: 'x' }],
    ['four positions', { type: 'Polygon', coordinates: [square.slice(0, 3)] }],
    ['four positions', { type: 'Polygon', coordinates: [7] }],
    ['repeat the first', { type: 'Polygon', coordinates: [square.slice(0, 4)] }],
    ['a position is', { type: 'Polygon', coordinates: [[[0, 91], ...square]] }],
    ['a position is', { type: 'Polygon', coordinates: [[[190, 0], ...square]] }],
    ['a position is', { type: 'Polygon', coordinates: [[['0', 0], ...square]] }],
    ['a position is', { type: 'Polygon', coordinates: [[[Number.NaN, 0], ...square]] }],
    [
      'no area',
      {
        type: 'Polygon',
        coordinates: [
          [
            [0, 0],
            [1, 1],
            [0, 0],
            [0, 0],
          ],
        ],
      },
    ],
    ['nested too deeply', nested],
    [
      'more than once',
      {
        type: 'Polygon',
        coordinates: [
          [
            [0, 70],
            [120, 70],
            [-120, 70],
            [0, 71],
            [120, 71],
            [-120, 71],
            [0, 70],
          ],
        ],
      },
    ],
    [
      'positions; simplify',
      { type: 'Polygon', coordinates: [Array(FENCE_LIMITS.positions + 1).fill([0, 0])] },
    ],
  ])('is refused: %s', (why, value) => {
    expect(() => fenceFromGeoJson(value)).toThrow(why);
  });
});

describe('a record', () => {
  it('stays outside with the reason', () => {
    const fence = text('-0.1,34.8,50');
    expect(fenceReason(fence, { geoLat_: '-0.10230', geoLong_: '34.76170' })).toBeUndefined();
    expect(fenceReason(fence, { geoLat_: '-1.28640', geoLong_: '36.81720' })).toBe('outside-fence');
    expect(fenceReason(fence, { location: 'Kisumu' })).toBe('no-coordinates');
  });
});
