import {
  type AuditEvent,
  type AuditLine,
  nextLine,
  NO_LINES,
  signingEvent,
} from '../../../protocols/audit/chain.ts';
import { fenceFromGeoJson, fenceFromText, fenceReason } from '../../../protocols/market/geofence.ts';
import { cellPrice, type Quote } from '../../../protocols/market/price-cells.ts';
import { cellsOf } from '../cells-of.ts';
import { countBand, priceKindOf, twoDigits } from '../../../protocols/market/price-kind.ts';
import { participantsNonce, writeParticipants } from '../../../protocols/market/conversation-members.ts';
import { messageOrder } from '../../../protocols/market/message-order.ts';
import { type HeldPrice, makeSnapshot } from '../../../protocols/market/trend-snapshot.ts';
import { hex } from '../../../protocols/wire/bytes.ts';
import { PARTIES } from './contracts.ts';
import { nodeOf } from './signatures.ts';

const [A, B] = [nodeOf(1).peerId, nodeOf(2).peerId];

/** Two goods, three markets, two owners; a slip, a correction, a price of nothing and one dated too late; cells of two nodes, one published twice. */
function prices(): HeldPrice[] {
  const made: HeldPrice[] = [];
  const add = (owner: string, over: Partial<HeldPrice>): void => {
    const n = made.length + 1;
    made.push({
      id: `p${String(n).padStart(2, '0')}`,
      owner,
      at: [1_700_000_000_000 + n, 0],
      date: '2025-12-15',
      commodity: 'Maize',
      market: 'Kisumu',
      region: 'Nyanza',
      unit: '90 KG',
      currency: 'KES',
      priceType: 'Wholesale',
      kind: 'observed',
      price: 100,
      ...over,
    });
  };
  for (const [month, factor] of [
    ['10', 1],
    ['11', 1.1],
    ['12', 1.25],
  ] as const)
    for (const market of ['Kisumu', 'Kibuye', 'Ahero'])
      add(market === 'Ahero' ? B : A, { date: `2025-${month}-15`, market, price: Math.round(4000 * factor) });
  add(A, { date: '2025-12-20', price: 50_000 });
  add(A, { date: '2025-12-21', price: 4900, supersedes: 'p09' });
  add(B, { date: '2025-12-22', price: 0 });
  add(B, { date: '2099-01-01', price: 1 });
  for (const day of ['01', '08', '15', '22'])
    add(A, { date: `2025-12-${day}`, commodity: 'Beans', price: 90 + Number(day) / 2 });
  for (const [date, price] of [
    ['2025-12-08', 42],
    ['2025-12-15', 44],
    ['2025-12-15', 99],
  ] as const)
    for (const owner of [A, B]) {
      const cell = { commodity: 'maize', unit: 'kg', priceType: 'Traded', kind: 'traded' } as const;
      add(owner, { ...cell, market: owner, date, price });
    }
  return made;
}

/** Prices and the snapshot that every node makes of them. */
export function trendVectors(): unknown {
  const publishedAt = Date.UTC(2025, 11, 31);
  const held = prices();
  const transactions = [
    { region: 'Nyanza', count: 7 },
    { region: 'Coast', count: 4 },
  ];
  const snapshot = makeSnapshot(held, { region: 'Nyanza', publishedAt, transactions });
  return { prices: held, transactions, snapshot };
}

/** What cells come of quotes, how they are told, and which prices are of a cell: null is one that claims to be and is not. */
export function priceCellVectors(): unknown {
  const week = '2025-12-15';
  const start = Date.parse(week);
  const quotes: Quote[] = [];
  const add = (by: string, price: number, over: Partial<Quote> = {}): void => {
    const goods = { commodity: 'Maize', unit: '90 KG', currency: 'KES' };
    quotes.push({ ...goods, price, by, users: [`user of ${by}`], at: start + quotes.length, ...over });
  };
  for (const price of [4100, 4480, 9000]) add('p1', price);
  for (const by of ['p2', 'p3', 'p4', 'p5']) add(by, 4000 + quotes.length * 100, { commodity: ' maize' });
  add('p6', 1, { at: start - 1 });
  add('p7', 1, { at: start + 7 * 86_400_000 });
  for (const by of ['p1', 'p2']) for (let i = 0; i < 5; i++) add(by, 70, { commodity: 'Beans' });
  for (const by of ['p1', 'p2', 'p3', 'p4']) add(by, 80, { commodity: 'Rice' });
  for (const by of ['p1', 'p2', 'p3', 'p4', 'amina']) add(by, 90, { commodity: "Amina's peas", users: [by] });
  const cells = cellsOf(quotes, week, 5);
  const [cell] = cells;
  if (cell === undefined) throw new Error('no cell');
  const good = cellPrice('traded', cell, { node: A, region: 'Nyanza', monday: week });
  const facts = [
    good,
    cellPrice('asking', cell, { node: A, region: 'Nyanza', monday: week }),
    { ...good, source: 'WFP' },
    { ...good, market: 'Kisumu' },
    { ...good, date: '2025-12-16' },
    { ...good, price: 4210 },
    { ...good, count: 4 },
    { ...good, commodity: 'Maize' },
    { ...good, priceType: 'Retail' },
    { ...good, supersedes: 'p01' },
  ];
  return {
    bands: [3, 4, 5, 9, 10, 19, 20, 49, 50, 999, 1000].map((count) => [count, countBand(count)]),
    medians: [0.0125, 9.95, 41.37, 105, 999.5, 12_345].map((median) => [median, twoDigits(median)]),
    cells: { quotes, week, leastTrades: 5, cells },
    facts: facts.map((fact) => ({ owner: A, fact, kind: priceKindOf(fact, A) ?? null })),
  };
}

type Position = readonly [long: number, lat: number];
const box = (west: number, south: number, east: number, north: number): Position[] => [
  [west, south],
  [east, south],
  [east, north],
  [west, north],
  [west, south],
];

/** Fences, points and why each stays outside: null is inside. */
export function geofenceVectors(): unknown {
  const polygon = (...coordinates: Position[][]): unknown => ({ type: 'Polygon', coordinates });
  const cases: [string, string | object, Record<string, unknown>[]][] = [
    [
      'a circle',
      'geoLat_-0.10230,geoLong_34.76170,50',
      [near(-0.1023, 34.7617), near(0.3, 34.7617), near(0.5, 34.7617), {}],
    ],
    ['a circle over a pole', '89.9,0,50', [near(89.9, 180), near(90, 7), near(89, 0)]],
    ['a box', polygon(box(34, -1, 36, 1)) as object, [near(0, 35), near(1, 35), near(1.1, 35), near(0, 36)]],
    [
      'a box with a hole',
      polygon(box(34, -2, 38, 2), box(35, -1, 37, 1)) as object,
      [near(0, 36), near(1, 36), near(1.5, 36)],
    ],
    [
      'across the antimeridian',
      polygon(box(170, -10, -170, 10)) as object,
      [near(0, -175), near(0, 180), near(0, -165), near(0, 175)],
    ],
    [
      'around the south pole',
      polygon(box(-180, -90, 180, -60)) as object,
      [near(-90, 12), near(-60, 0), near(-59, 0)],
    ],
  ];
  return cases.map(([name, given, points]) => {
    const fence = typeof given === 'string' ? fenceFromText(given) : fenceFromGeoJson(given);
    if (fence === undefined) throw new Error(`no fence: ${name}`);
    return {
      name,
      fence: given,
      points: points.map((fields) => ({ fields, reason: fenceReason(fence, fields) ?? null })),
    };
  });
}

function near(lat: number, long: number): Record<string, unknown> {
  return { latitude: lat, longitude: long };
}

/** The order of a conversation's messages, and the nonce that binds its users. */
export function conversationVectors(): unknown {
  const id = (n: number): string => String(n).repeat(43);
  const messages = [
    { hash: id(1), seen: [], sentAt: 50 },
    { hash: id(2), seen: [id(1)], sentAt: 10 },
    { hash: id(3), seen: [id(1)], sentAt: 10 },
    { hash: id(4), seen: [id(9)], sentAt: 60 },
    { hash: id(5), seen: [id(2), id(3)], sentAt: 5 },
  ];
  const participants = writeParticipants([PARTIES.buyer, PARTIES.supplier], new Uint8Array(16).fill(3));
  return {
    participants,
    nonce: hex(participantsNonce(participants)),
    messages,
    order: messageOrder(messages).map(({ hash }) => hash),
  };
}

/** Four lines of an audit log with their hashes; that of the last is what a node signs in public. */
export function auditVectors(): unknown {
  const events: AuditEvent[] = [
    { kind: 'operator', actor: 'node', note: 'started' },
    {
      kind: 'contract',
      actor: PARTIES.buyer,
      subject: PARTIES.contract,
      transactionId: 'k',
      detail: { b: 1, a: { d: null, c: [2] } },
    },
    { kind: 'rating', actor: PARTIES.buyer, subject: PARTIES.supplier },
    signingEvent('5a'.repeat(16)),
  ];
  let head = NO_LINES;
  return events.map((event, i) => {
    const line: AuditLine = nextLine(head, event, PARTIES.time + i);
    head = { no: line.no, hash: line.hash };
    return line;
  });
}
