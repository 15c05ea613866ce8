import type { TradeRole } from '../../../protocols/market/roles.ts';
import { contractVerdict } from './words.ts';
import { bindingNonce } from '../../../protocols/market/contract-book/binding.ts';
import { evaluateContract } from '../../../protocols/market/contract/machine.ts';
import type { Contract } from '../../../protocols/market/contract/model.ts';
import {
  CONTRACT_ENVELOPE,
  verifyTransition,
  signTransition,
  type Statement,
  type Transition,
  type TransitionBody,
} from '../../../protocols/market/contract/statement.ts';
import type { Terms } from '../../../protocols/market/contract/terms.ts';
import { hex } from '../../../protocols/wire/bytes.ts';
import { type Cbor, decodeCbor, encodeCbor } from '../../../protocols/wire/cbor.ts';
import { readEnvelope, signEnvelope } from '../../../protocols/wire/envelope.ts';
import type { Identity } from '../../../protocols/wire/identity.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { outcomeOf } from './outcome.ts';
import { nodeOf } from './signatures.ts';

const NET = 'vectors';
const TIME = 1_700_000_000_000;
const [A, B, C] = [nodeOf(1), nodeOf(2), nodeOf(3)];
const BUYER = `amina@${A.peerId}`;
const SUPPLIER = `mary@${B.peerId}`;
const KEY = recordKey('contracts', A.peerId, 'k'.repeat(43));

/** The contract of the vectors: begun by the buyer's node, taking from a listing of the supplier's. */
const CONTRACT: Contract = {
  key: KEY,
  net: NET,
  parties: [BUYER, SUPPLIER],
  supplier: SUPPLIER,
  stock: true,
};
const TERMS = { title: 'Maize', quantity: 80, price: 55, currency: 'KES', unit: 'kg' };

/** Statements by name, each signed by the node of its party. */
class Statements {
  readonly byName = new Map<string, { readonly bytes: Uint8Array; readonly transition: Transition }>();

  say(
    name: string,
    party: string,
    body: TransitionBody,
    after: readonly string[],
    change: Partial<Statement> = {},
  ): this {
    const identity = party === BUYER ? A : party === SUPPLIER ? B : C;
    const before = after.map((one) => this.hash(one));
    // `change` alters what is common to all kinds, never the kind.
    const statement = { net: NET, contract: KEY, party, before, at: TIME, ...body, ...change } as Statement;
    const bytes = signTransition(identity, statement);
    this.byName.set(name, { bytes, transition: verifyTransition(bytes) });
    return this;
  }

  hash(name: string): string {
    return this.#of(name).transition.hash;
  }

  transitions(names: readonly string[]): Transition[] {
    return names.map((name) => this.#of(name).transition);
  }

  #of(name: string): { readonly bytes: Uint8Array; readonly transition: Transition } {
    const found = this.byName.get(name);
    if (found === undefined) throw new Error(`no statement ${name}`);
    return found;
  }
}

function deal(): Statements {
  const s = new Statements();
  s.say('offer', BUYER, { kind: 'propose', terms: TERMS, heads: [] }, []);
  s.say('accept', SUPPLIER, { kind: 'accept', proposal: s.hash('offer') }, ['offer']);
  s.say('settle-buyer', BUYER, { kind: 'settle', role: 'market_buyer' }, ['accept']);
  s.say('settle-supplier', SUPPLIER, { kind: 'settle', role: 'market_seller' }, ['accept']);
  s.say('settle-as-seller', BUYER, { kind: 'settle', role: 'market_seller' }, ['accept']);
  s.say('cancel-buyer', BUYER, { kind: 'cancel' }, ['accept']);
  s.say('cancel-supplier', SUPPLIER, { kind: 'cancel' }, ['accept']);
  s.say('withdraw', BUYER, { kind: 'cancel' }, ['offer']);
  const everything = ['settle-supplier', 'cancel-buyer'];
  s.say(
    'resolve-buyer',
    BUYER,
    { kind: 'resolve', outcome: 'settled', proposal: s.hash('offer') },
    everything,
  );
  s.say(
    'resolve-supplier',
    SUPPLIER,
    { kind: 'resolve', outcome: 'settled', proposal: s.hash('offer') },
    everything,
  );
  s.say('resolve-otherwise', SUPPLIER, { kind: 'resolve', outcome: 'cancelled' }, everything);
  return s;
}

function hold(s: Statements): Statements {
  const until = TIME + 1000;
  const terms = { ...TERMS, quantity: 60 };
  s.say('hold', SUPPLIER, { kind: 'propose', terms, heads: [], validUntil: until }, []);
  s.say('take', BUYER, { kind: 'accept', proposal: s.hash('hold') }, ['hold']);
  s.say('take-late', BUYER, { kind: 'accept', proposal: s.hash('hold') }, ['hold'], { at: until + 1 });
  s.say('release', SUPPLIER, { kind: 'expire', proposal: s.hash('hold') }, ['hold'], { at: until });
  s.say('release-early', SUPPLIER, { kind: 'expire', proposal: s.hash('hold') }, ['hold'], { at: until - 1 });
  s.say('release-by-buyer', BUYER, { kind: 'expire', proposal: s.hash('hold') }, ['hold'], { at: until });
  s.say('settle-after-take', SUPPLIER, { kind: 'settle', role: 'market_seller' }, ['take']);
  s.say('endless', SUPPLIER, { kind: 'propose', terms, heads: [] }, []);
  s.say('accept-own', SUPPLIER, { kind: 'accept', proposal: s.hash('hold') }, ['hold']);
  s.say('accept-unknown', BUYER, { kind: 'accept', proposal: s.hash('offer') }, ['hold']);
  s.say('settle-nothing', BUYER, { kind: 'settle', role: 'market_buyer' }, ['offer']);
  s.say('stranger', `eve@${C.peerId}`, { kind: 'cancel' }, []);
  s.say('other-contract', BUYER, { kind: 'cancel' }, [], {
    contract: recordKey('contracts', A.peerId, 'z'.repeat(43)),
  });
  return s;
}

/** Proposals of terms that are no deal, by what is wrong with them. */
const INCOMPLETE: Readonly<Record<string, Terms>> = {
  'no-goods': { quantity: 80, price: 55, currency: 'KES', unit: 'kg' },
  'no-quantity': { title: 'Maize', price: 55, currency: 'KES', unit: 'kg' },
  'quantity-0': { ...TERMS, quantity: 0 },
  'no-unit': { title: 'Maize', quantity: 80, price: 55, currency: 'KES' },
  'unit-of-spaces': { ...TERMS, unit: '  ' },
  'no-price': { title: 'Maize', quantity: 80, currency: 'KES', unit: 'kg' },
  'price-in-text': { ...TERMS, price: '55' },
  'no-currency': { title: 'Maize', quantity: 80, price: 55, unit: 'kg' },
  'currency-too-long': { ...TERMS, currency: 'K'.repeat(17) },
};

function incomplete(s: Statements): Statements {
  for (const [name, terms] of Object.entries(INCOMPLETE))
    s.say(name, BUYER, { kind: 'propose', terms, heads: [] }, []);
  s.say('accept-incomplete', SUPPLIER, { kind: 'accept', proposal: s.hash('no-price') }, ['no-price']);
  const { title: commodity, ...rest } = TERMS;
  s.say('by-commodity', BUYER, { kind: 'propose', terms: { ...rest, commodity, price: 0 }, heads: [] }, []);
  return s;
}

const SETS: readonly (readonly [name: string, statements: readonly string[]])[] = [
  ['nothing', []],
  ['an offer', ['offer']],
  ['an agreement', ['offer', 'accept']],
  ['settled by one', ['offer', 'accept', 'settle-buyer']],
  ['settled by both', ['offer', 'accept', 'settle-buyer', 'settle-supplier']],
  ['cancelled by one after the agreement', ['offer', 'accept', 'cancel-buyer']],
  ['cancelled by both', ['offer', 'accept', 'cancel-buyer', 'cancel-supplier']],
  ['an offer taken back', ['offer', 'withdraw']],
  ['an offer taken back while it is accepted', ['offer', 'withdraw', 'accept']],
  ['one settles, the other cancels', ['offer', 'accept', 'settle-supplier', 'cancel-buyer']],
  [
    'a dispute that both resolve alike',
    ['offer', 'accept', 'settle-supplier', 'cancel-buyer', 'resolve-buyer', 'resolve-supplier'],
  ],
  [
    'a dispute that they resolve differently',
    ['offer', 'accept', 'settle-supplier', 'cancel-buyer', 'resolve-buyer', 'resolve-otherwise'],
  ],
  ['an acceptance whose offer is not held', ['accept']],
  ['a settling whose offer is not held', ['accept', 'settle-buyer']],
  ['a hold', ['hold']],
  ['a hold taken', ['hold', 'take']],
  ['a hold taken after its time', ['hold', 'take-late']],
  ['a hold released', ['hold', 'release']],
  ['a hold released before its time', ['hold', 'release-early']],
  ['a hold released by the buyer', ['hold', 'release-by-buyer']],
  ['a hold taken while it is released', ['hold', 'take', 'release']],
  [
    'a hold taken while it is released, and the supplier went on',
    ['hold', 'take', 'release', 'settle-after-take'],
  ],
  ['two agreements side by side', ['offer', 'accept', 'hold', 'take']],
  ["a supplier's offer without an end", ['endless']],
  ...Object.keys(INCOMPLETE).map((name) => [`incomplete terms: ${name}`, [name]] as const),
  ['incomplete terms, accepted', ['no-price', 'accept-incomplete']],
  ['goods named by commodity alone, for nothing', ['by-commodity']],
  ['an own offer accepted', ['hold', 'accept-own']],
  ['an offer accepted that was not seen', ['offer', 'hold', 'accept-unknown']],
  ['settled as what one is not', ['offer', 'accept', 'settle-as-seller']],
  ['settled without an agreement', ['offer', 'settle-nothing']],
  ['a stranger', ['offer', 'stranger']],
  ['a statement of another contract', ['offer', 'other-contract']],
];

/** Statements with their bytes, and the state of every set of them, in any order. */
export function contractVectors(): unknown {
  const s = incomplete(hold(deal()));
  const statements = [...s.byName].map(([name, { bytes, transition }]) => ({
    name,
    hash: transition.hash,
    bytes: hex(bytes),
  }));
  const states = SETS.map(([name, names]) => ({
    name,
    statements: names,
    verdict: contractVerdict(evaluateContract(CONTRACT, s.transitions(names))),
  }));
  return { contract: CONTRACT, statements, refused: refusedStatements(s), states, binding: bindingVector() };
}

/** Envelopes that hold no statement, each with its code. */
function refusedStatements(s: Statements): unknown {
  const like = s.byName.get('offer')?.bytes ?? new Uint8Array(0);
  const forged = (change: (map: Record<string, Cbor>) => void, by: Identity = A): Uint8Array => {
    const map = { ...(decodeCbor(readEnvelope(CONTRACT_ENVELOPE, like).payload) as Record<string, Cbor>) };
    change(map);
    return signEnvelope(by, CONTRACT_ENVELOPE, encodeCbor(map));
  };
  const hash = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);
  const cases: [string, Uint8Array][] = [
    ["signed by another node than the party's", forged(() => undefined, B)],
    ['version 2', forged((map) => (map['v'] = 2))],
    ['an unknown kind', forged((map) => (map['kind'] = 'sign'))],
    ['a further field', forged((map) => (map['note'] = 'x'))],
    ['a settle with terms', forged((map) => (map['kind'] = 'settle'))],
    [
      'a settle without a role',
      forged((map) => {
        map['kind'] = 'settle';
        delete map['terms'];
        delete map['heads'];
      }),
    ],
    [
      'a settle in an unknown role',
      forged((map) => {
        map['kind'] = 'settle';
        map['role'] = 'seller';
        delete map['terms'];
        delete map['heads'];
      }),
    ],
    ['a propose without heads', forged((map) => delete map['heads'])],
    ['before out of order', forged((map) => (map['before'] = [hash(2), hash(1)]))],
    ['before with one twice', forged((map) => (map['before'] = [hash(1), hash(1)]))],
    ['17 in before', forged((map) => (map['before'] = Array.from({ length: 17 }, (_, i) => hash(i))))],
    ['a negative quantity', forged((map) => (map['terms'] = { quantity: -1 }))],
    [
      '65 terms',
      forged(
        (map) => (map['terms'] = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`t${i}`, 1]))),
      ),
    ],
    ['a text of 2,049 characters', forged((map) => (map['terms'] = { note: 'x'.repeat(2049) }))],
    ['a term that is a list', forged((map) => (map['terms'] = { note: [] }))],
    ['validUntil as a fraction', forged((map) => (map['validUntil'] = 1.5))],
    ['cut short', like.subarray(0, like.length - 1)],
  ];
  return cases.map(([name, bytes]) => ({
    name,
    bytes: hex(bytes),
    code: outcomeOf(() => verifyTransition(bytes)),
  }));
}

/** The nonce by which a contract's id commits to its parties. */
function bindingVector(): unknown {
  const binding = { buyer: BUYER, supplier: SUPPLIER, listing: `${B.peerId}.maize-1` };
  const salt = new Uint8Array(16).fill(9);
  return { ...binding, salt: hex(salt), nonce: hex(bindingNonce(binding, salt)) };
}

/** Two settles of one contract, for receipts: `wrong` alters the second, `role` is the buyer's. */
export function settles(
  wrong: Partial<Statement> = {},
  role: TradeRole = 'market_buyer',
): {
  readonly buyer: Uint8Array;
  readonly supplier: Uint8Array;
} {
  const common = { kind: 'settle', net: NET, contract: KEY, before: [], at: TIME } as const;
  return {
    buyer: signTransition(A, { ...common, party: BUYER, role }),
    supplier: signTransition(B, { ...common, party: SUPPLIER, role: 'market_seller', ...wrong } as Statement),
  };
}

export const PARTIES = { buyer: BUYER, supplier: SUPPLIER, contract: KEY, net: NET, time: TIME } as const;
