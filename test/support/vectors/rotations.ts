import { type Line, type LineFacts, lineOf } from '../../../protocols/rotation/line.ts';
import {
  recoveryHash,
  type Rotation,
  ROTATION_ENVELOPE,
  ROTATION_GRANT_ENVELOPE,
  type RotationStatement,
  signRotation,
  verifyRotation,
} from '../../../protocols/rotation/statement.ts';
import { hex } from '../../../protocols/wire/bytes.ts';
import { type Cbor, decodeCbor, encodeCbor } from '../../../protocols/wire/cbor.ts';
import { readEnvelope, signEnvelope } from '../../../protocols/wire/envelope.ts';
import type { Identity } from '../../../protocols/wire/identity.ts';
import { outcomeOf } from './outcome.ts';
import { nodeOf } from './signatures.ts';

const NET = 'vectors';
const TIME = 1_700_000_000_000;
const EPOCHS = ['0123456789abcdef', 'fedcba9876543210'] as const;
const hash = (byte: string): string => byte.repeat(32);

/** A node's first key, those after it, its recovery keys, and the keys of a thief. */
export const ROTATION_KEYS = {
  node: nodeOf(1),
  to: nodeOf(31),
  later: nodeOf(32),
  recovery: nodeOf(41),
  nextRecovery: nodeOf(42),
  thief: nodeOf(51),
  thiefRecovery: nodeOf(52),
} as const;
const { node, to, later, recovery, nextRecovery, thief, thiefRecovery } = ROTATION_KEYS;

/** A first rotation, without its new key. */
export function vectorRotation(): Omit<RotationStatement, 'to'> {
  return {
    net: NET,
    node: node.peerId,
    gen: 1,
    recovery: recoveryHash(recovery),
    cut: [
      { epoch: EPOCHS[0], seq: 7, hash: hash('22') },
      { epoch: EPOCHS[1], seq: 3, hash: hash('33'), fork: hash('44') },
    ],
    seen: [{ author: nodeOf(2).peerId, items: [{ epoch: EPOCHS[1], seq: 9, hash: hash('55') }] }],
    time: TIME,
  };
}

/** Signed rotations of the vectors, held against the rules. */
export function rotationVectors(): unknown {
  return { net: NET, statements: statementVectors(), lines: lineVectors() };
}

function statementVectors(): unknown {
  const good = vectorRotation();
  const keys = { to, grantor: node };
  const sealed = signRotation(keys, good);
  const with_ = (change: Partial<RotationStatement>): Uint8Array =>
    signRotation(keys, { ...good, ...change });
  const inner = decodeCbor(readEnvelope(ROTATION_GRANT_ENVELOPE, sealed).payload) as Uint8Array;
  const forged = (change: (map: Record<string, Cbor>) => void, signer: Identity = to): Uint8Array => {
    const map = { ...(decodeCbor(readEnvelope(ROTATION_ENVELOPE, inner).payload) as Record<string, Cbor>) };
    change(map);
    const accepted = signEnvelope(signer, ROTATION_ENVELOPE, encodeCbor(map));
    return signEnvelope(node, ROTATION_GRANT_ENVELOPE, encodeCbor(accepted));
  };
  const [first] = good.cut;
  const [seen] = good.seen;
  const cases: [string, Uint8Array][] = [
    ['granted by the node key', sealed],
    ['granted by a recovery key', signRotation({ to, grantor: recovery }, good)],
    ['a second rotation', with_({ gen: 2, prev: hash('66') })],
    ['a cut to nothing', with_({ cut: [] })],
    ['nothing seen', with_({ seen: [] })],
    ['generation 0', with_({ gen: 0 })],
    ['a first rotation with a prev', with_({ prev: hash('66') })],
    ['a second rotation without a prev', with_({ gen: 2 })],
    ['a cut out of order', with_({ cut: good.cut.toReversed() })],
    ['an epoch twice', with_({ cut: first === undefined ? [] : [first, first] })],
    ['a cut at nothing', with_({ cut: [{ epoch: EPOCHS[0], seq: 0, hash: '' }] })],
    ['an author seen without an item', with_({ seen: [{ author: nodeOf(2).peerId, items: [] }] })],
    ['an author seen twice', with_({ seen: seen === undefined ? [] : [seen, seen] })],
    ['another network', with_({ net: 'other' })],
    ['to the first key', signRotation({ to: node, grantor: recovery }, good)],
    ['granted by the new key itself', signRotation({ to, grantor: to }, good)],
    ['not signed by the new key', forged(() => undefined, thief)],
    ['a field more', forged((map) => (map['note'] = ''))],
    ['another version', forged((map) => (map['v'] = 2))],
    ['a commitment of 31 bytes', forged((map) => (map['recovery'] = new Uint8Array(31)))],
    ['a statement without a grant', inner],
    ['a grant over a map', signEnvelope(node, ROTATION_GRANT_ENVELOPE, encodeCbor({}))],
    ['another signature of the grant', sealed.with(-1, (sealed.at(-1) ?? 0) ^ 1)],
  ];
  const { id, grantor } = verifyRotation(sealed, NET);
  return {
    statement: { ...good, prev: null, to: to.peerId },
    id,
    grantor,
    judged: cases.map(([name, bytes]) => ({
      name,
      bytes: hex(bytes),
      outcome: outcomeOf(() => verifyRotation(bytes, NET)),
    })),
  };
}

/** What is known, and what comes of it. */
interface Case {
  readonly name: string;
  readonly rotations: readonly Rotation[];
  readonly commitments?: readonly Identity[];
  readonly approved?: readonly Rotation[];
}

function made(grantor: Identity, next: Identity, change: Partial<RotationStatement> = {}): Rotation {
  return verifyRotation(signRotation({ to: next, grantor }, { ...vectorRotation(), ...change }), NET);
}

function lineCases(): Case[] {
  const first = made(node, to);
  const after = (before: Rotation, grantor: Identity, next: Identity, change = {}): Rotation =>
    made(grantor, next, { gen: before.gen + 1, prev: before.id, recovery: before.recovery, ...change });
  const second = after(first, to, later);
  const stolen = made(node, thief, { cut: [] });
  const recovered = made(recovery, later, { recovery: recoveryHash(nextRecovery) });
  const both = made(recovery, to);
  const taken = made(node, thief, { recovery: recoveryHash(thiefRecovery) });
  const foul = made(thiefRecovery, thief, { recovery: recoveryHash(thiefRecovery) });
  const many = Array.from({ length: 9 }, (_, i) => made(node, nodeOf(60 + i)));
  return [
    { name: 'none', rotations: [] },
    { name: 'by the node key', rotations: [first] },
    { name: 'without a commitment', rotations: [first], commitments: [] },
    { name: 'twice by the node key', rotations: [second, first] },
    { name: 'the second alone', rotations: [second] },
    { name: 'a thief rotates first: frozen', rotations: [first, second, stolen] },
    { name: 'the recovery key goes before a thief', rotations: [stolen, recovered] },
    {
      name: 'and before all that the thief signed after',
      rotations: [stolen, after(stolen, thief, to), recovered],
    },
    { name: 'the recovery key grants the frozen statement anew', rotations: [first, second, stolen, both] },
    { name: 'the recovery key after the node key', rotations: [first, after(first, recovery, later)] },
    { name: 'the recovery key that was replaced', rotations: [recovered, after(recovered, recovery, thief)] },
    { name: 'the recovery key that replaced it', rotations: [recovered, after(recovered, nextRecovery, to)] },
    { name: 'another commitment by the node key', rotations: [taken] },
    { name: 'signed by nobody of it', rotations: [made(thief, to)] },
    { name: 'a key that comes back', rotations: [first, second, after(second, later, to)] },
    { name: 'rivals of the recovery key', rotations: [both, recovered] },
    { name: 'rivals of the recovery key, decided', rotations: [both, recovered], approved: [recovered] },
    {
      name: 'two commitments',
      rotations: [first, recovered, foul],
      commitments: [recovery, thiefRecovery],
    },
    {
      name: 'two commitments, decided',
      rotations: [taken, recovered, foul],
      commitments: [recovery, thiefRecovery],
      approved: [recovered],
    },
    { name: 'more rivals than are told apart', rotations: many },
  ];
}

function lineVectors(): unknown {
  return lineCases().map(({ name, rotations, commitments = [recovery], approved = [] }) => {
    const facts: LineFacts = {
      commitments: new Set(commitments.map(recoveryHash)),
      approved: new Set(approved.map(({ id }) => id)),
    };
    return {
      name,
      rotations: rotations.map(({ signed }) => hex(signed)),
      commitments: [...facts.commitments],
      approved: [...facts.approved],
      line: shownLine(lineOf(node.peerId, rotations, facts)),
    };
  });
}

/** A line as JSON has it. */
export function shownLine(line: Line): unknown {
  return { ...line, newest: line.newest ?? null };
}
