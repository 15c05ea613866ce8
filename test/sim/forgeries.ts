import { draftTombstone } from '../../protocols/ledger/drafts.ts';
import { ENTRY_ENVELOPE } from '../../protocols/feed/header.ts';
import { encodeChange } from '../../protocols/open-dialog/change.ts';
import { decodeOp, encodeOp } from '../../protocols/feed/op.ts';
import type { Entry } from '../../protocols/feed/entry.ts';
import { actorOf } from '../../protocols/open-dialog/read-op.ts';
import { genesisOf } from '../../protocols/open-dialog/genesis.ts';
import { COLLECTIONS } from '../../protocols/open-dialog/schema.ts';
import { bytesEqual, concat, sha256 } from '../../protocols/wire/bytes.ts';
import { type Cbor, encodeCbor } from '../../protocols/wire/cbor.ts';
import { signEnvelope } from '../../protocols/wire/envelope.ts';
import { recordKey } from '../../protocols/wire/ids.ts';
import { LIMITS } from '../../protocols/wire/limits.ts';
import {
  Hand,
  listingOps,
  NET,
  openLedger,
  priceOps,
  type Random,
  someIdentity,
  type TestLedger,
} from '../support/forge.ts';

/** What is to become of one forgery: the entry's outcome, or the code of its first op's verdict `rejected`. */
export interface Forgery {
  readonly bytes: Uint8Array;
  /** `kind` or `kind:code` of the entry; several where it depends on which byte was hit. */
  readonly expect: readonly string[];
  /** Code that the op is rejected with, when the entry itself is to be admitted. */
  readonly rejectedWith?: string;
}

/** The stage: a victim, a registered attacker, a suspended author, a stranger, and a ledger that follows the first two. */
export interface Stage {
  readonly random: Random;
  readonly test: TestLedger;
  readonly victim: Hand;
  readonly attacker: Hand;
  readonly suspended: Hand;
  readonly stranger: Hand;
  /** Entries of the victim and the attacker that are held. */
  readonly held: Entry[];
  readonly attackerHeld: Entry[];
}

const RECORDS = 64;

/** A ledger on disk with some records of everybody on the stage. */
export async function setTheStage(folder: string, random: Random): Promise<Stage> {
  const test = await openLedger(folder, someIdentity(random));
  const hand = (): Hand => new Hand(someIdentity(random), random.hex(8));
  const victim = hand();
  const attacker = hand();
  const suspended = hand();
  const stranger = hand();
  for (const one of [victim, attacker, suspended]) test.followStates.set(one.identity.peerId, 'followed');
  const grow = (one: Hand): Entry[] =>
    Array.from({ length: RECORDS }, (_, i) => [
      one.next(listingOps(one.pen, `r${i}`, undefined, { title: `record ${i}`, price: i })),
      one.next(priceOps(one.pen, `Market ${i}`, i)),
    ]).flat();
  const held = grow(victim);
  const attackerHeld = grow(attacker);
  const results = await test.ledger.receive(
    [...held, ...attackerHeld, ...grow(suspended)].map((entry) => entry.bytes),
  );
  const refused = results.find((result) => result.kind !== 'accept');
  if (refused !== undefined) throw new Error(`the stage was refused: ${refused.kind} ${refused.code ?? ''}`);
  test.followStates.set(suspended.identity.peerId, 'suspended');
  test.verdicts();
  return { random, test, victim, attacker, suspended, stranger, held, attackerHeld };
}

const someOps = (hand: Hand, random: Random): Uint8Array[] =>
  random.int(2) === 0
    ? listingOps(hand.pen, `f${random.hex(6)}`, undefined, { title: random.hex(4) })
    : priceOps(hand.pen, random.hex(4), random.int(10_000));

/** Envelope fields of an entry, to be put together in other ways. */
function envelopeFields(entry: Entry): {
  key: Uint8Array;
  type: Uint8Array;
  payload: Uint8Array;
  sig: Uint8Array;
} {
  const { publicKey, payload, signature } = entry.envelope;
  const key = concat([Uint8Array.of(0x0a, 0x24, 0x08, 0x01, 0x12, 0x20), publicKey]);
  const typeBytes = ENTRY_ENVELOPE.payloadType;
  const type = concat([Uint8Array.of(0x12, typeBytes.length), typeBytes]);
  const length = payload.length;
  const head =
    length < 128 ? Uint8Array.of(0x1a, length) : Uint8Array.of(0x1a, (length & 0x7f) | 0x80, length >> 7);
  return { key, type, payload: concat([head, payload]), sig: concat([Uint8Array.of(0x2a, 64), signature]) };
}

/** The same envelope in another protobuf encoding. */
function reencoded(entry: Entry, random: Random): Uint8Array {
  const { key, type, payload, sig } = envelopeFields(entry);
  const length = entry.envelope.payload.length;
  const overlong = concat([
    Uint8Array.of(0x1a, (length & 0x7f) | 0x80, ((length >> 7) & 0x7f) | 0x80, 0),
    entry.envelope.payload,
  ]);
  const unknown = Uint8Array.of(0x30, random.int(128));
  return random.pick([
    concat([type, key, payload, sig]),
    concat([key, type, sig, payload]),
    concat([sig, payload, type, key]),
    concat([key, key, type, payload, sig]),
    concat([key, type, payload, payload, sig]),
    concat([key, type, payload, sig, sig]),
    concat([key, type, overlong, sig]),
    concat([key, type, payload, Uint8Array.of(0x2a, 0xc0, 0x00), entry.envelope.signature]),
    concat([Uint8Array.of(0x0a, 0xa4, 0x00), key.subarray(2), type, payload, sig]),
    // the inner key message with its fields the other way round
    concat([
      Uint8Array.of(0x0a, 0x24, 0x12, 0x20),
      entry.envelope.publicKey,
      Uint8Array.of(8, 1),
      type,
      payload,
      sig,
    ]),
    concat([key, type, payload, sig, unknown]),
    concat([unknown, key, type, payload, sig]),
  ]);
}

/** An entry with another envelope in front of its body. */
function withEnvelope(entry: Entry, envelope: Uint8Array): Uint8Array {
  return encodeCbor([envelope, entry.body.map((item) => ('op' in item ? item.op : [item.erased]))]);
}

const ALTERED = [
  'reject:not-canonical',
  'reject:entry-malformed',
  'reject:envelope-malformed',
  'reject:header-malformed',
  'reject:header-version',
  'reject:signature-invalid',
  'reject:body-mismatch',
  'reject:network-wrong',
  'ignore:author-not-registered',
  'known:copy-differs',
  'ignore:ops-erased',
] as const;

function altered(entry: Entry, random: Random): Uint8Array {
  const bytes = entry.bytes.slice();
  const at = random.int(bytes.length);
  switch (random.int(4)) {
    case 0:
      return concat([bytes.subarray(0, at), bytes.subarray(at + 1)]);
    case 1:
      return concat([bytes.subarray(0, at), random.bytes(1 + random.int(4)), bytes.subarray(at)]);
    case 2:
      for (let i = 1 + random.int(8); i > 0; i--) bytes[random.int(bytes.length)] = random.int(256);
      return bytes;
    default:
      bytes[at] = (bytes[at] ?? 0) ^ (1 << random.int(8));
      return bytes;
  }
}

/** A body whose ops were replaced by their hashes: root and signature still hold, and anybody could do it. */
function erased(entry: Entry): Uint8Array {
  return encodeCbor([
    entry.envelopeBytes,
    entry.body.map((item) => ['op' in item ? sha256(item.op) : item.erased]),
  ]);
}

/** An edit of a record as its owner would make it, by any pen. */
function editOp(key: string, type: string, d: Uint8Array): Uint8Array {
  return encodeOp({ v: 1, c: 'listings', k: key, t: type, d });
}

function firstChange(actor: string, random: Random): Uint8Array {
  const listings = COLLECTIONS['listings'];
  if (listings === undefined) throw new Error('no listings');
  const genesis = genesisOf(listings);
  return encodeChange({
    actor,
    seq: 1,
    startOp: genesis.maxOp + 1,
    time: 0,
    deps: [genesis.hash],
    ops: [
      { action: 'set', field: 'type', value: 'offer', pred: [] },
      { action: 'set', field: 'status', value: random.hex(3), pred: [] },
    ],
  });
}

/** Every class of forgery: makes one more each time it is called. */
export const FORGERIES: Readonly<Record<string, (stage: Stage) => Forgery>> = {
  'wrong key': ({ random, victim, attacker }) => {
    const ops = someOps(victim, random);
    const honest = victim.sign(ops);
    const forged = attacker.sign(ops, {
      epoch: victim.epoch,
      seq: honest.header.seq,
      prev: honest.header.prev,
    });
    const { key, type, payload } = envelopeFields(honest);
    // the victim's key in front, the attacker's signature behind, over the very same payload or over its own
    const own = envelopeFields(forged);
    const domain = signEnvelope(
      attacker.identity,
      { ...ENTRY_ENVELOPE, domain: 'agrinet-registration' },
      honest.envelope.payload,
    );
    const signature = random.pick([
      own.sig,
      domain.subarray(domain.length - 66),
      concat([Uint8Array.of(0x2a, 64), random.bytes(64)]),
    ]);
    return {
      bytes: withEnvelope(honest, concat([key, type, payload, signature])),
      expect: ['reject:signature-invalid'],
    };
  },
  'altered bytes': ({ random, victim, held }) => {
    const fresh = random.int(2) === 0;
    const entry = fresh ? victim.sign(someOps(victim, random)) : random.pick(held);
    if (random.int(50) === 0) return { bytes: erased(entry), expect: ['ignore:ops-erased'] };
    let bytes = altered(entry, random);
    while (bytesEqual(bytes, entry.bytes)) bytes = altered(entry, random);
    return { bytes, expect: ALTERED };
  },
  're-encoded envelope': ({ random, victim, held }) => {
    const entry = random.int(2) === 0 ? victim.sign(someOps(victim, random)) : random.pick(held);
    return { bytes: withEnvelope(entry, reencoded(entry, random)), expect: ['reject:envelope-malformed'] };
  },
  "another's record": ({ random, victim, attacker }) => {
    const id = random.int(4) === 0 ? `new${random.hex(4)}` : `r${random.int(RECORDS)}`;
    const key = recordKey('listings', victim.identity.peerId, id);
    const k = `${victim.identity.peerId}/${id}`;
    const change = firstChange(actorOf(attacker.identity.peerId, attacker.epoch, key), random);
    const op = random.pick([
      () => editOp(k, 'create', change),
      () => editOp(k, 'delta', change),
      () => draftTombstone(key, 'public').ops[0] ?? new Uint8Array(0),
    ])();
    return { bytes: attacker.next([op]).bytes, expect: ['accept'], rejectedWith: 'not-owner' };
  },
  'foreign actor': ({ random, victim, attacker }) => {
    const id = `a${random.hex(6)}`;
    const key = recordKey('listings', attacker.identity.peerId, id);
    const actor = random.pick([
      actorOf(victim.identity.peerId, victim.epoch, key),
      actorOf(attacker.identity.peerId, victim.epoch, key),
      actorOf(
        attacker.identity.peerId,
        attacker.epoch,
        recordKey('listings', attacker.identity.peerId, 'r0'),
      ),
      random.hex(16),
    ]);
    const op = editOp(`${attacker.identity.peerId}/${id}`, 'create', firstChange(actor, random));
    return { bytes: attacker.next([op]).bytes, expect: ['accept'], rejectedWith: 'actor-foreign' };
  },
  'replayed entry': ({ random, held, attackerHeld }) => ({
    bytes: random.pick([...held, ...attackerHeld]).bytes,
    expect: ['known'],
  }),
  'replayed change': ({ random, attacker, attackerHeld }) => {
    const creations = attackerHeld.filter((_, i) => i % 2 === 0);
    const [item] = random.pick(creations).body;
    const op = item !== undefined && 'op' in item ? item.op : new Uint8Array(0);
    return { bytes: attacker.next([op]).bytes, expect: ['accept'], rejectedWith: 'change-twice' };
  },
  'replayed elsewhere': ({ random, attacker, attackerHeld, held }) => {
    const from = random.int(2) === 0 ? held : attackerHeld;
    const [item] = random.pick(from.filter((_, i) => i % 2 === 0)).body;
    const op = decodeOp(item !== undefined && 'op' in item ? item.op : new Uint8Array(0));
    if (op === undefined) throw new Error('no op');
    const k = `${attacker.identity.peerId}/e${random.hex(5)}`;
    return {
      bytes: attacker.next([encodeOp({ ...op, k })]).bytes,
      expect: ['accept'],
      rejectedWith: 'actor-foreign',
    };
  },
  'replayed in another epoch': ({ random, attacker, attackerHeld }) => {
    const [item] = random.pick(attackerHeld.filter((_, i) => i % 2 === 0)).body;
    const later = laterEpoch(attacker);
    const op = item !== undefined && 'op' in item ? item.op : new Uint8Array(0);
    return { bytes: later.next([op]).bytes, expect: ['accept'], rejectedWith: 'actor-foreign' };
  },
  'out of sequence': ({ random, victim }) => {
    const ops = someOps(victim, random);
    const head = victim.seq;
    return random.pick<() => Forgery>([
      // the right header before it, but a place left out
      () => ({ bytes: victim.sign(ops, { seq: head + 2, prev: victim.hash }).bytes, expect: ['gap'] }),
      () => ({
        bytes: victim.sign(ops, { seq: head + 2 + random.int(5), prev: random.hex(32) }).bytes,
        expect: ['gap'],
      }),
      () => ({
        bytes: victim.sign(ops, { seq: LIMITS.feedEntries - random.int(9), prev: random.hex(32) }).bytes,
        expect: ['gap'],
      }),
      () => ({
        bytes: victim.raw(ops, { seq: LIMITS.feedEntries + 1 + random.int(9), prev: random.hex(32) }),
        expect: ['reject:header-malformed'],
      }),
      () => ({ bytes: victim.sign(ops, { prev: random.hex(32) }).bytes, expect: ['gap'] }),
      () => ({
        bytes: victim.sign(ops, { epoch: random.hex(8), prev: random.hex(32) }).bytes,
        expect: ['gap'],
      }),
      () => ({ bytes: victim.sign(ops, { prev: null }).bytes, expect: ['reject:header-malformed'] }),
      () => ({ bytes: victim.raw(ops, { seq: 0, prev: null }), expect: ['reject:header-malformed'] }),
      () => ({ bytes: victim.raw(ops, { seq: -1 - random.int(9) }), expect: ['reject:header-malformed'] }),
    ])();
  },
  'unregistered author': ({ random, stranger }) => ({
    bytes: stranger.next(someOps(stranger, random)).bytes,
    expect: ['ignore:author-not-registered'],
  }),
  'wrong network': ({ random, victim, attacker }) => {
    const hand = random.pick([victim, attacker]);
    const net = random.pick(['', 'main', `${NET} `, NET.toUpperCase(), `${NET}\0`, random.hex(8)]);
    return { bytes: hand.sign(someOps(hand, random), { net }).bytes, expect: ['reject:network-wrong'] };
  },
  'unknown header version': ({ random, victim, attacker }) => {
    const hand = random.pick([victim, attacker]);
    const v = random.pick<Cbor>([0, 2, 3, 255, -1, '1', null, true, 2 ** 40, Uint8Array.of(1), [1]]);
    const extra: Record<string, Cbor> = random.int(2) === 0 ? {} : { more: random.int(9) };
    return { bytes: hand.raw(someOps(hand, random), { v, ...extra }), expect: ['reject:header-version'] };
  },
  'beyond the cut': ({ random, suspended }) => {
    const ops = someOps(suspended, random);
    return {
      bytes: random.pick(
        [
          () => suspended.sign(ops),
          () => suspended.sign(ops, { seq: suspended.seq + 5, prev: random.hex(32) }),
          () => suspended.sign(ops, { epoch: random.hex(8), seq: 1, prev: null }),
          // a fork of what is held
          () => suspended.sign(ops, { seq: 1 + random.int(suspended.seq), prev: random.hex(32) }),
        ].filter((_, i) => i < 3),
      )().bytes,
      expect: ['ignore:beyond-cut'],
    };
  },
};

/** One later epoch a hand also writes in, made at its first use. */
const later = new WeakMap<Hand, Hand>();
function laterEpoch(hand: Hand): Hand {
  const known = later.get(hand);
  if (known !== undefined) return known;
  const fresh = new Hand(hand.identity, 'ee'.repeat(8));
  later.set(hand, fresh);
  return fresh;
}
