import {
  type AuditEvent,
  type AuditLine,
  nextLine,
  NO_LINES,
  signingEvent,
} from '../../../protocols/audit/chain.ts';
import { fenceFromGeoJson, fenceFromText, fenceReason } from '../../../protocols/market/geofence.ts';
import { participantsNonce, writeParticipants } from '../../../protocols/market/conversation-members.ts';
import { messageOrder } from '../../../protocols/market/message-order.ts';
import { type HeldPrice, makeSnapshot } from '../../../protocols/market/trend-snapshot.ts';
import { hex } from '../../../protocols/wire/bytes.ts';
import { PARTIES } from './contracts.ts';
import { nodeOf } from './signatures.ts';

const [A, B] = [nodeOf(1).peerId, nodeOf(2).peerId];

/** Two goods, three markets, two owners; a slip, a correction, a price of nothing and one dated too late. */
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
