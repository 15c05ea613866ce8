import { describe, expect, it } from 'vitest';
import {
  CONTRACT_ENVELOPE,
  signTransition,
  type Statement,
} from '../../../protocols/market/contract/statement.ts';
import { parseParty } from '../../../protocols/market/party.ts';
import { readRating, writeReceipt } from '../../../protocols/market/rating.ts';
import { encodeCbor } from '../../../protocols/wire/cbor.ts';
import { signEnvelope } from '../../../protocols/wire/envelope.ts';
import { type Identity, identityFromSeed } from '../../../protocols/wire/identity.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';

const [a, b, c] = [1, 2, 3].map((n) => identityFromSeed(new Uint8Array(32).fill(n))) as [
  Identity,
  Identity,
  Identity,
];
const NET = 'agrinet';
const BUYER = `omar@${a.peerId}`;
const SELLER = `amina@${b.peerId}`;
const CONTRACT = recordKey('contracts', a.peerId, 'deal');
const KEY = recordKey('ratings', a.peerId, 'x'.repeat(43));

function step(identity: Identity, party: string, more: Partial<Statement> = {}): Uint8Array {
  const role = party === SELLER ? 'market_seller' : 'market_buyer';
  const settle = { net: NET, contract: CONTRACT, party, kind: 'settle', role, before: [], at: 1 } as const;
  return signTransition(identity, { ...settle, ...more } as Statement);
}

/** Signed by a node that is not the party's. */
function foreign(identity: Identity, party: string): Uint8Array {
  const payload = {
    v: 1,
    net: NET,
    contract: CONTRACT,
    party,
    kind: 'settle',
    role: 'market_seller',
    before: [],
    at: 1,
  };
  return signEnvelope(identity, CONTRACT_ENVELOPE, encodeCbor(payload));
}

const both = writeReceipt(step(a, BUYER), step(b, SELLER));
const fields = { from: BUYER, to: SELLER, score: 3, receipt: both, ratedAt: 1_700_000_000_000 };
const problem = (view: Record<string, string | number>, key = KEY): string | null =>
  readRating(key, view, NET, 2).problem;

describe('a rating', () => {
  it('reads with the receipt of both parties, in either order', () => {
    expect(readRating(KEY, { ...fields, comment: 'ripe', tags: '["fair"]' }, NET, 2)).toEqual({
      id: KEY,
      from: BUYER,
      to: SELLER,
      score: 3,
      contract: CONTRACT,
      role: 'market_seller',
      signedAt: 2,
      settledAt: 1,
      supersedes: null,
      comment: 'ripe',
      tags: '["fair"]',
      ratedAt: 1_700_000_000_000,
      problem: null,
    });
    expect(writeReceipt(step(b, SELLER), step(a, BUYER))).toBe(both);
    expect(problem({ ...fields, receipt: both.split('.').toReversed().join('.') })).toBeNull();
    for (const score of [-1, 0, 4]) expect(problem({ ...fields, score })).toBeNull();
    const back = { ...fields, from: SELLER, to: BUYER };
    expect(problem(back, recordKey('ratings', b.peerId, 'y'))).toBeNull();
  });

  it('names the rating that it corrects, of its own feed', () => {
    const older = 'o'.repeat(43);
    const read = readRating(KEY, { ...fields, supersedes: older }, NET, 2);
    expect(read).toMatchObject({ problem: null, supersedes: recordKey('ratings', a.peerId, older) });
    expect(problem({ ...fields, supersedes: '../x' })).toBe('rating-supersedes');
    expect(problem({ ...fields, supersedes: '' })).toBe('rating-supersedes');
  });

  it.each<[string, Record<string, string | number>]>([
    ['rating-malformed', { score: 'four' }],
    ['rating-malformed', { ratedAt: 'now' }],
    ['rating-score', { score: 2.5 }],
    ['rating-score', { score: -2 }],
    ['rating-score', { score: 5 }],
    ['rating-party', { from: 'omar' }],
    ['rating-party', { to: `@${b.peerId}` }],
    ['rating-party', { to: BUYER }],
    ['rating-foreign', { from: SELLER, to: BUYER }],
    ['receipt-malformed', { receipt: '' }],
    ['receipt-malformed', { receipt: both.slice(0, both.indexOf('.')) }],
    ['receipt-malformed', { receipt: `${both}.${both}` }],
    ['receipt-malformed', { receipt: `${both}=` }],
    ['receipt-signature', { receipt: `AAAA.${both.split('.')[1]}` }],
    ['receipt-party', { to: `amina@${c.peerId}` }],
    ['receipt-party', { to: `juma@${b.peerId}` }],
  ])('is refused with %s for %j', (code, change) => {
    expect(problem({ ...fields, ...change })).toBe(code);
  });

  it.each<[string, Uint8Array, Uint8Array]>([
    ['receipt-malformed', step(a, BUYER), step(a, BUYER)],
    ['receipt-party', step(a, BUYER), step(a, `other@${a.peerId}`)],
    ['receipt-party', step(a, BUYER), step(c, `amina@${c.peerId}`)],
    ['receipt-signature', step(a, BUYER), foreign(a, SELLER)],
    ['receipt-signature', step(a, BUYER), foreign(b, 'amina')],
    ['receipt-kind', step(a, BUYER), step(b, SELLER, { kind: 'cancel' })],
    ['receipt-role', step(a, BUYER), step(b, SELLER, { role: 'market_buyer' })],
    ['receipt-role', step(a, BUYER, { role: 'market_seller' }), step(b, SELLER)],
    ['receipt-net', step(a, BUYER), step(b, SELLER, { net: 'elsewhere' })],
    [
      'receipt-contract',
      step(a, BUYER),
      step(b, SELLER, { contract: recordKey('contracts', a.peerId, 'z') }),
    ],
    ...['contracts', 'listings'].map((collection): [string, Uint8Array, Uint8Array] => {
      const contract = recordKey(collection, collection === 'listings' ? a.peerId : c.peerId, 'z');
      return ['receipt-contract', step(a, BUYER, { contract }), step(b, SELLER, { contract })];
    }),
  ])('is refused with %s for a receipt of other statements', (code, one, other) => {
    expect(problem({ ...fields, receipt: writeReceipt(one, other) })).toBe(code);
  });

  it('is refused for every bit flipped in a statement', () => {
    const other = step(b, SELLER);
    for (let at = 0; at < other.length * 8; at += 3) {
      const bent = Uint8Array.from(other);
      bent[at >> 3] = (bent[at >> 3] ?? 0) ^ (1 << (at & 7));
      expect(problem({ ...fields, receipt: writeReceipt(step(a, BUYER), bent) })).toBe('receipt-signature');
    }
  });
});

describe('a party', () => {
  it('is a user and a node, divided at the last @', () => {
    expect(parseParty(SELLER)).toEqual({ user: 'amina', node: b.peerId });
    expect(parseParty(`amina@farm@${b.peerId}`)).toEqual({ user: 'amina@farm', node: b.peerId });
    for (const bad of [
      'amina',
      `@${b.peerId}`,
      `a\n@${b.peerId}`,
      `${'a'.repeat(129)}@${b.peerId}`,
      'a@b',
      7,
      b.peerId,
    ])
      expect(parseParty(bad)).toBeUndefined();
  });
});
