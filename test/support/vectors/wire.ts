import { decodeEntry, signEntry } from '../../../protocols/feed/entry.ts';
import { makeForkProof } from '../../../protocols/feed/fork.ts';
import { encodeHeader, type Header, headerHash } from '../../../protocols/feed/header.ts';
import { encodeOp } from '../../../protocols/feed/op.ts';
import { rendezvousKey } from '../../../protocols/discovery/rendezvous.ts';
import { decodeFrontier, encodePage } from '../../../protocols/mycelium/frontier-page.ts';
import { encodeMessage } from '../../../protocols/mycelium/message.ts';
import { encodeRangeRequest } from '../../../protocols/mycelium/range.ts';
import { signRegistration } from '../../../protocols/registry/statement.ts';
import { concat, hex, sha256 } from '../../../protocols/wire/bytes.ts';
import { type Cbor, encodeCbor } from '../../../protocols/wire/cbor.ts';
import { peerIdOf } from '../../../protocols/wire/identity.ts';
import { outcomeOf } from './outcome.ts';
import { nodeOf } from './signatures.ts';

const PLACE: Omit<Header, 'n' | 'root'> = {
  net: 'vectors',
  channel: 'public',
  epoch: '0123456789abcdef',
  seq: 1,
  prev: null,
  after: [{ epoch: 'fedcba9876543210', seq: 3, hash: '11'.repeat(32) }],
  time: [1_700_000_000_000, 1],
};
const OPS = [
  encodeOp({ v: 1, c: 'prices', k: '', t: 'fact', d: encodeCbor({ a: 1 }) }),
  encodeOp({ v: 2, c: 'later', k: 'whatever', t: 'new', d: new Uint8Array(3) }),
];

export function identityVectors() {
  const valid = [1, 2, 3].map((byte) => {
    const { publicKey, peerId } = nodeOf(byte);
    return { seed: byte.toString(16).padStart(2, '0').repeat(32), publicKey: hex(publicKey), peerId };
  });
  const peerId = peerIdOf(nodeOf(1).publicKey);
  return {
    valid,
    refused: [
      peerId.slice(0, -1),
      `${peerId}1`,
      `1${peerId}`,
      peerId.toLowerCase(),
      `${peerId.slice(0, -1)}0`,
      // Of the right length and beginning, and no Ed25519 key all the same.
      `12D3KooW${'1'.repeat(44)}`,
      `12D3KooW${'z'.repeat(44)}`,
      'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N',
      '',
    ],
  };
}

/** Canonical dag-cbor, and bytes that are not. Hex. */
export function cborVectors() {
  return {
    accepted: {
      'an integer': '1864',
      'the largest safe integer': '1b001fffffffffffff',
      'a float': 'fb3fe0000000000000',
      'a whole number beyond the safe integers, as a float': 'fb4340000000000000',
      'a map, shorter keys first': 'a2616202626161f4',
      'nothing much': '8340f660',
      'a link: canonical, valid in no field': 'd82a450001710000',
      'an integer beyond the safe ones: canonical, valid in no field': '1b0020000000000000',
      'sixteen lists in one another': `${'81'.repeat(15)}80`,
    },
    refused: {
      nothing: '',
      'trailing bytes': '0100',
      'an integer in more bytes than it needs': '1801',
      'unsorted keys': 'a2616201616101',
      'a longer key first': 'a262616101616202',
      'a key twice': 'a2616101616102',
      'a key that is not text': 'a10101',
      'a whole number as a float': 'fb3ff0000000000000',
      'minus zero': 'fb8000000000000000',
      'not a number': 'fb7ff8000000000000',
      infinity: 'fb7ff0000000000000',
      'a half float': 'f93c00',
      'a single float': 'fa3f000000',
      undefined: 'f7',
      'a simple value': 'f820',
      'another tag than 42': 'c101',
      'an indefinite list': '9f01ff',
      'indefinite bytes': '5f4101ff',
      'indefinite text': '7f6161ff',
      'an indefinite map': 'bf616101ff',
      'bad UTF-8': '62c328',
      'a surrogate in UTF-8': '63eda080',
      'text that begins with a byte order mark': '64efbbbf61',
      'a list that ends early': '8201',
      'a list of 2^32 - 1 items that are not there': '9affffffff',
      'seventeen lists in one another': `${'81'.repeat(16)}80`,
      'bytes that end early': '4401',
    },
  };
}

export function keyVectors() {
  const { peerId } = nodeOf(1);
  return {
    valid: [`listings/${peerId}/a`, `later-collection/${peerId}/A-_9`, `prices/${peerId}/${'x'.repeat(64)}`],
    refused: [
      '',
      `listings/${peerId}`,
      `listings/${peerId}/`,
      `listings/${peerId}/a/b`,
      `listings/${peerId}/${'x'.repeat(65)}`,
      `listings/${peerId}/a.b`,
      `listings/${peerId}/ä`,
      `Listings/${peerId}/a`,
      `1listings/${peerId}/a`,
      `${'l'.repeat(33)}/${peerId}/a`,
      `listings/${peerId.slice(0, -1)}/a`,
      `listings/${peerId}/a\n`,
    ],
  };
}

export function headerVectors() {
  const first: Header = { ...PLACE, n: 2, root: '22'.repeat(32) };
  const next: Header = { ...first, seq: 2, prev: headerHash(encodeHeader(first)), after: [] };
  const good = [first, next].map((header) => {
    const payload = encodeHeader(header);
    return { header, payload: hex(payload), hash: headerHash(payload) };
  });
  const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
  const base = {
    v: 1,
    net: 'vectors',
    channel: 'public',
    epoch: bytes('0123456789abcdef'),
    seq: 1,
    prev: null,
    after: [],
    time: [1, 0],
    n: 1,
    root: bytes('22'.repeat(32)),
  };
  const tail = [bytes('0123456789abcdef'), 1, bytes('11'.repeat(32))];
  const bad: [string, string, Parameters<typeof encodeCbor>[0]][] = [
    ['version 2', 'header-version', { ...base, v: 2 }],
    ['a further field', 'header-malformed', { ...base, x: 1 }],
    ['seq 0', 'header-malformed', { ...base, seq: 0 }],
    ['prev at seq 1', 'header-malformed', { ...base, prev: bytes('11'.repeat(32)) }],
    ['no prev at seq 2', 'header-malformed', { ...base, seq: 2 }],
    ['after at seq 2', 'header-malformed', { ...base, seq: 2, prev: bytes('11'.repeat(32)), after: [tail] }],
    ['33 epochs in after', 'header-malformed', { ...base, after: Array.from({ length: 33 }, () => tail) }],
    ['no ops', 'header-malformed', { ...base, n: 0 }],
    ['1,025 ops', 'header-malformed', { ...base, n: 1025 }],
    ['a short epoch', 'header-malformed', { ...base, epoch: bytes('01') }],
    ['a channel that is no key', 'header-malformed', { ...base, channel: 'private' }],
    ['a network of 33 characters', 'header-malformed', { ...base, net: 'n'.repeat(33) }],
    ['a negative time', 'header-malformed', { ...base, time: [-1, 0] }],
    ['a counter of 33 bits', 'header-malformed', { ...base, time: [1, 2 ** 32] }],
  ];
  const refused = bad.map(([name, code, value]) => ({ name, code, payload: hex(encodeCbor(value)) }));
  return { good, refused };
}

/** One entry whole, with an op erased, and a proof of equivocation. */
export function entryVectors(): unknown {
  const node = nodeOf(1);
  const whole = signEntry(node, PLACE, OPS);
  const [first = new Uint8Array(0), second = new Uint8Array(0)] = OPS;
  const erased = encodeCbor([whole.envelopeBytes, [[sha256(first)], second]]);
  const other = signEntry(node, PLACE, [second]);
  const proof = makeForkProof(whole, other);
  return {
    author: node.peerId,
    ops: OPS.map((op) => hex(op)),
    header: whole.header,
    hash: whole.hash,
    entry: hex(whole.bytes),
    erased: hex(erased),
    erasedRoot: hex(sha256(concat([sha256(first), sha256(second)]))),
    sameHash: decodeEntry(erased).hash === whole.hash,
    forkOther: hex(other.bytes),
    forkProof: { bytes: hex(proof.bytes), id: proof.id, hashes: proof.hashes },
  };
}

/** What is no epoch of a frontier or of a range request. */
export function badFrontierItems(): readonly (readonly [name: string, item: Cbor])[] {
  const [epoch, hash, nothing] = [new Uint8Array(8), new Uint8Array(32), new Uint8Array(0)];
  return [
    ['an entry beyond the largest seq', [epoch, 2 ** 32, hash, null]],
    ['an entry without its hash', [epoch, 1, nothing, null]],
    ['a hash of no entry', [epoch, 0, hash, null]],
    ['a hash of no entry, below a fork', [epoch, 0, hash, hash]],
    ['a hash of 31 bytes, below a fork', [epoch, 1, hash.subarray(1), hash]],
  ];
}

/** Frontier pages that are none. */
function refusedPages(): unknown {
  const known: Cbor = [['listings', 1]];
  const letter = (n: number): string => String.fromCharCode(97 + n);
  const many: Cbor = Array.from({ length: 33 }, (_, i) => [
    `${letter(Math.floor(i / 26))}${letter(i % 26)}`,
    1,
  ]);
  const pages: [string, Cbor][] = [
    ['groups alone', []],
    ['something behind the groups', [known, [], []]],
    [
      'collections out of order',
      [
        [
          ['prices', 1],
          ['listings', 1],
        ],
        [],
      ],
    ],
    ['a collection twice', [[...known, ...known], []]],
    ['no collection name', [[['Listings', 1]], []]],
    ['op version 0', [[['listings', 0]], []]],
    ['an op version that is text', [[['listings', '1']], []]],
    ['33 collections', [many, []]],
    ['a digest of 31 bytes', [known, [[nodeOf(1).peerId, 'public', new Uint8Array(31), []]]]],
    ...badFrontierItems().map(([name, item]): [string, Cbor] => [
      name,
      [known, [[nodeOf(1).peerId, 'public', new Uint8Array(0), [item]]]],
    ]),
  ];
  return pages.map(([name, value]) => {
    const page = encodeCbor(value);
    return { name, page: hex(page), code: outcomeOf(() => decodeFrontier(page)) };
  });
}

export function messageVectors(): unknown {
  const author = nodeOf(1).peerId;
  const entry = signEntry(nodeOf(1), PLACE, OPS);
  const announcement = {
    author,
    channel: 'public',
    epoch: PLACE.epoch,
    seq: 1,
    hash: entry.hash,
  } as const;
  const items = [
    { epoch: PLACE.epoch, seq: 1, hash: entry.hash },
    { epoch: 'fedcba9876543210', seq: 0, hash: '', fork: '33'.repeat(32) },
  ];
  const group = { author, channel: 'public', digest: '44'.repeat(32), items } as const;
  const statement = {
    caller: author,
    receiver: nodeOf(2).peerId,
    nodeUrl: 'http://127.0.0.1:5000',
    region: 'Nairobi',
    name: 'nairobi',
    multiaddrs: [`/ip4/127.0.0.1/tcp/7000/p2p/${author}`],
    schemaVersion: 1,
    time: 1_700_000_000_000,
    nonce: '55'.repeat(16),
    tlsFingerprint: '',
  };
  return {
    gossipEntry: hex(encodeMessage({ kind: 'entry', bytes: Uint8Array.of(1, 2) })),
    gossipAnnouncement: { announcement, message: hex(encodeMessage({ kind: 'announcement', announcement })) },
    gossipProof: hex(encodeMessage({ kind: 'proof', bytes: Uint8Array.of(3) })),
    frontierPage: {
      knows: { listings: 1, prices: 1 },
      groups: [group],
      page: hex(
        encodePage(
          [group],
          new Map([
            ['listings', 1],
            ['prices', 1],
          ]),
        ),
      ),
      refused: refusedPages(),
    },
    rangeRequest: hex(encodeRangeRequest({ author, channel: 'public', have: items })),
    registration: {
      net: 'vectors',
      statement,
      envelope: hex(signRegistration(nodeOf(1), 'vectors', statement)),
    },
    rendezvous: ['', 'Nairobi'].map((region) => ({
      network: 'vectors',
      region,
      cid: rendezvousKey('vectors', region).toString(),
    })),
  };
}
