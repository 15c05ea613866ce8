import type { Verdict } from '../../../protocols/open-dialog/record.ts';
import { opVerdict } from './words.ts';
import {
  commonCoverage,
  coverageText,
  notCompared,
  readCoverageText,
} from '../../../protocols/digest/coverage.ts';
import { digestElement } from '../../../protocols/digest/element.ts';
import { addElement, emptySum, sumDigest } from '../../../protocols/digest/lthash.ts';
import { ownerDigest, totalDigest } from '../../../protocols/digest/state-digest.ts';
import { signErasure } from '../../../protocols/feed/erasure.ts';
import { encodeOp } from '../../../protocols/feed/op.ts';
import {
  type Change,
  changeHash,
  encodeChange,
  type FieldOp,
} from '../../../protocols/open-dialog/change.ts';
import { genesisOf } from '../../../protocols/open-dialog/genesis.ts';
import { evaluateWhole } from '../evaluate-whole.ts';
import { contentId, encodeMembership } from '../../../protocols/open-dialog/membership.ts';
import { actorOf } from '../../../protocols/open-dialog/read-op.ts';
import type { PlacedOp } from '../../../protocols/open-dialog/record.ts';
import { COLLECTIONS, type Collection } from '../../../protocols/open-dialog/schema.ts';
import { hex, sha256, sha256Hex } from '../../../protocols/wire/bytes.ts';
import { type Cbor, encodeCbor } from '../../../protocols/wire/cbor.ts';
import type { PeerId } from '../../../protocols/wire/identity.ts';
import { type Channel, parseRecordKey, recordKey, type RecordKey } from '../../../protocols/wire/ids.ts';
import { nodeOf } from './signatures.ts';

const A = nodeOf(1).peerId;
const B = nodeOf(2).peerId;
const EPOCHS = ['0000000000000001', '0000000000000002'] as const;

export function collection(name: string): Collection {
  const found = COLLECTIONS[name];
  if (found === undefined) throw new TypeError(name);
  return found;
}

/** The golden genesis change of every document collection. */
export function genesisVectors(): unknown {
  return Object.values(COLLECTIONS)
    .filter((each) => each.kind === 'document')
    .map((each) => {
      const { bytes, hash } = genesisOf(each);
      return { collection: each.name, version: each.version, bytes: hex(bytes), hash };
    });
}

const set = (field: string, value: string | number | boolean, ...pred: string[]): FieldOp => ({
  action: 'set',
  field,
  value,
  pred: pred.map(opId),
});
const del = (field: string, ...pred: string[]): FieldOp => ({ action: 'del', field, pred: pred.map(opId) });
function opId(text: string): { counter: number; actor: string } {
  const [counter, actor = ''] = text.split('@');
  return { counter: Number(counter), actor };
}

/** Changes with their bytes: every kind of value, runs, several actors. */
export function changeVectors(): unknown {
  const one = '11'.repeat(16);
  const two = '22'.repeat(16);
  const changes: [string, Change][] = [
    ['no field op', { actor: one, seq: 1, startOp: 2, time: 0, deps: ['ab'.repeat(32)], ops: [] }],
    [
      'every kind of value',
      {
        actor: one,
        seq: 1,
        startOp: 2,
        time: 0,
        deps: ['ab'.repeat(32)],
        ops: [
          set('text', 'Mahindi ½ kg'),
          set('empty', ''),
          set('int', 300),
          set('negative', -129),
          set('largest', Number.MAX_SAFE_INTEGER),
          set('float', 12.5),
          set('beyond', 2 ** 53),
          set('yes', true),
          set('no', false),
        ],
      },
    ],
    [
      'deletions, predecessors of two actors, two deps',
      {
        actor: one,
        seq: 2,
        startOp: 9,
        time: 0,
        deps: ['cd'.repeat(32), 'ab'.repeat(32)],
        ops: [del('title', `3@${one}`), set('unit', 'kg', `7@${two}`, `4@${one}`, `7@${one}`)],
      },
    ],
  ];
  return changes.map(([name, change]) => {
    const bytes = encodeChange(change);
    return { name, change, bytes: hex(bytes), hash: changeHash(bytes) };
  });
}

/** Changes that are refused, each with its code; all but the first have the checksum they ought to have. */
export function refusedChangeVectors(): { name: string; code: string; bytes: string }[] {
  const good = encodeChange({
    actor: '11'.repeat(16),
    seq: 1,
    startOp: 2,
    time: 0,
    deps: ['ab'.repeat(32), 'cd'.repeat(32)],
    ops: [set('unit', 'kg'), set('price', 7)],
  });
  const at = (offset: number, byte: number): Uint8Array => good.with(offset, byte);
  const deps = good.indexOf(0xab, 9);
  const swapped = Uint8Array.from(good);
  swapped.set(good.subarray(deps, deps + 32), deps + 32);
  swapped.set(good.subarray(deps + 32, deps + 64), deps);
  const uint = (value: number): number[] =>
    value < 0x80 ? [value] : [(value % 0x80) + 0x80, ...uint(Math.floor(value / 0x80))];
  /** A change without ops, with these integers after its actor: seq, startOp, time, and what follows. */
  const integers = (...values: readonly number[]): Uint8Array => {
    const body = [0, 16, ...new Uint8Array(16).fill(0x11), ...values];
    return new Uint8Array([...good.subarray(0, 8), 1, body.length, ...body]);
  };
  const named: [string, string, Uint8Array][] = [
    ['seq 0', 'change-malformed', integers(0, 2, 0, 0, 0, 0)],
    ['seq 2^31', 'change-malformed', integers(...uint(2 ** 31), 2, 0, 0, 0, 0)],
    ['startOp 0', 'change-malformed', integers(1, 0, 0, 0, 0, 0)],
    ['startOp 2^31', 'change-malformed', integers(1, ...uint(2 ** 31), 0, 0, 0, 0)],
    ['time 2^53', 'change-unsupported', integers(1, 2, ...uint(2 ** 53), 0, 0, 0)],
    ['a message of one byte', 'change-unsupported', integers(1, 2, 0, 1, 0x61, 0, 0)],
    [
      'more other actors than a change may have predecessors',
      'change-malformed',
      integers(1, 2, 0, 0, ...uint(4097), 0),
    ],
    ['257 deps', 'change-too-large', new Uint8Array([...good.subarray(0, 8), 1, 2, ...uint(257)])],
    ['a type that says compressed', 'change-compressed', at(8, 2)],
    ['a document chunk', 'change-unsupported', at(8, 0)],
    ['another magic', 'change-malformed', at(0, 0)],
    ['a length that is not the chunk', 'change-malformed', at(9, 0x80)],
    ['deps in another order', 'change-not-canonical', swapped],
    ['a byte too many', 'change-malformed', new Uint8Array([...good, 0])],
    ['cut short', 'change-malformed', good.subarray(0, 40)],
  ];
  const sealed = named.map(([name, code, bytes]) => ({ name, code, bytes: hex(withChecksum(bytes)) }));
  return [
    { name: 'a wrong checksum', code: 'change-checksum', bytes: hex(at(4, (good[4] ?? 0) ^ 1)) },
    ...sealed,
  ];
}

function withChecksum(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy.set(sha256(bytes.subarray(8)).subarray(0, 4), 4);
  return copy;
}

interface Step {
  readonly author: PeerId;
  readonly channel: Channel;
  readonly epoch: string;
  readonly seq: number;
  readonly op: Uint8Array;
}

function placed(step: Step): PlacedOp {
  const { author, channel, epoch, seq, op } = step;
  return { author, channel, epoch, seq, index: 0, bytes: op, time: [1_700_000_000_000 + seq, 0] };
}

function delta(t: 'create' | 'delta', key: RecordKey, change: Change): { op: Uint8Array; hash: string } {
  const parts = parseRecordKey(key);
  const d = encodeChange(change);
  const op = encodeOp({ v: 1, c: parts?.collection ?? '', k: `${parts?.owner}/${parts?.id}`, t, d });
  return { op, hash: changeHash(d) };
}

function listing(): { name: string; key: RecordKey; steps: Step[] } {
  const key = recordKey('listings', A, 'maize-1');
  const genesis = genesisOf(collection('listings')).hash;
  const [one, two] = EPOCHS.map((epoch) => actorOf(A, epoch, key));
  if (one === undefined || two === undefined) throw new TypeError('two epochs');
  const create = delta('create', key, {
    actor: one,
    seq: 1,
    startOp: 2,
    time: 0,
    deps: [genesis],
    ops: [set('type', 'offer'), set('status', 'active'), set('title', 'Maize'), set('price', 40)],
  });
  const left = delta('delta', key, {
    actor: one,
    seq: 2,
    startOp: 6,
    time: 0,
    deps: [create.hash],
    ops: [set('price', 41.5, `5@${one}`)],
  });
  const right = delta('delta', key, {
    actor: two,
    seq: 1,
    startOp: 6,
    time: 0,
    deps: [create.hash],
    ops: [set('price', 45, `5@${one}`), del('title', `4@${one}`)],
  });
  const bad = delta('delta', key, {
    actor: two,
    seq: 2,
    startOp: 7,
    time: 0,
    deps: [right.hash],
    ops: [set('status', 'sold', `3@${one}`)],
  });
  const early = delta('delta', key, {
    actor: one,
    seq: 3,
    startOp: 8,
    time: 0,
    deps: ['ee'.repeat(32)],
    ops: [set('unit', 'kg')],
  });
  const step = (epoch: string, seq: number, op: Uint8Array): Step => ({
    author: A,
    channel: 'public',
    epoch,
    seq,
    op,
  });
  const steps = [
    step(EPOCHS[0], 1, create.op),
    step(EPOCHS[0], 2, left.op),
    step(EPOCHS[1], 1, right.op),
    step(EPOCHS[1], 2, bad.op),
    step(EPOCHS[0], 3, early.op),
  ];
  return { name: 'a public listing: two epochs in conflict, a void and a waiting change', key, steps };
}

/** A listing that was erased: its first change is held no more, one that follows it came later, one is concurrent, and it was ended. */
function erased(): { name: string; key: RecordKey; steps: Step[] } {
  const { key, steps } = listing();
  const [create, ...others] = steps;
  if (create === undefined) throw new TypeError('no creation');
  const { channel, epoch, seq, op } = create;
  const statement = signErasure(nodeOf(1), {
    channel,
    epoch,
    seq,
    record: key,
    ops: [{ index: 0, hash: sha256Hex(op) }],
    time: 1_700_000_000_000,
  });
  const k = key.slice('listings/'.length);
  const [word, end] = [
    encodeOp({ v: 1, c: 'listings', k: '', t: 'erase', d: statement }),
    encodeOp({ v: 1, c: 'listings', k, t: 'tombstone', d: new Uint8Array(0) }),
  ];
  const step = (seqOf: number, bytes: Uint8Array): Step => ({ ...create, seq: seqOf, op: bytes });
  return {
    name: 'an erased listing: what is left of it is rejected, whatever it depends on',
    key,
    steps: [...others, step(6, end), step(7, word)],
  };
}

function contract(): { name: string; key: RecordKey; steps: Step[] } {
  const d = encodeMembership({ owner: A, writers: [A, B], participants: [A, B] }, new Uint8Array(16).fill(7));
  const key = recordKey('contracts', A, contentId(sha256(d)));
  const genesis = genesisOf(collection('contracts')).hash;
  const members = encodeOp({ v: 1, c: 'contracts', k: '', t: 'create', d });
  const terms = (author: PeerId, epoch: string, price: number): { op: Uint8Array; hash: string } =>
    delta('delta', key, {
      actor: actorOf(author, epoch, key),
      seq: 1,
      startOp: 2,
      time: 0,
      deps: [genesis],
      ops: [set('price', price)],
    });
  const foreign = nodeOf(3).peerId;
  const clauses = delta('delta', key, {
    actor: actorOf(A, EPOCHS[0], key),
    seq: 2,
    startOp: 3,
    time: 0,
    deps: [terms(A, EPOCHS[0], 10).hash],
    ops: [set('terms.000', 'dry'), set('terms.131', '["#","sacks","of 90 kg"]')],
  });
  const [beyond, another] = ['terms.032', 'terms.200'].map((field) =>
    delta('delta', key, {
      actor: actorOf(A, EPOCHS[0], key),
      seq: 3,
      startOp: 5,
      time: 0,
      deps: [clauses.hash],
      ops: [set(field, 'one clause too many')],
    }),
  );
  if (beyond === undefined || another === undefined) throw new TypeError('two changes');
  const steps: Step[] = [
    { author: A, channel: key, epoch: EPOCHS[0], seq: 1, op: members },
    { author: A, channel: key, epoch: EPOCHS[0], seq: 2, op: terms(A, EPOCHS[0], 10).op },
    { author: B, channel: key, epoch: EPOCHS[1], seq: 1, op: terms(B, EPOCHS[1], 12).op },
    { author: foreign, channel: key, epoch: EPOCHS[0], seq: 1, op: terms(foreign, EPOCHS[0], 1).op },
    { author: A, channel: key, epoch: EPOCHS[0], seq: 3, op: clauses.op },
    { author: A, channel: key, epoch: EPOCHS[0], seq: 4, op: beyond.op },
    { author: A, channel: key, epoch: EPOCHS[0], seq: 5, op: another.op },
  ];
  return {
    name: 'a private contract of two writers, somebody who is none, and fields that there are not',
    key,
    steps,
  };
}

function conversation(): { name: string; key: RecordKey; steps: Step[] } {
  const writers = [A, B].sort();
  const d = encodeMembership({ owner: A, writers, participants: writers }, new Uint8Array(16).fill(9));
  const key = recordKey('conversations', A, contentId(sha256(d)));
  const genesis = genesisOf(collection('conversations')).hash;
  const own = writers.indexOf(A);
  const marks = (seq: number, startOp: number, dep: string, place: number) =>
    delta('delta', key, {
      actor: actorOf(A, EPOCHS[0], key),
      seq,
      startOp,
      time: 0,
      deps: [dep],
      ops: [set(`read.${place}`, `[["0${'m'.repeat(43)}","amina"]]`)],
    });
  const first = marks(1, 2, genesis, own);
  const steps: Step[] = [
    encodeOp({ v: 1, c: 'conversations', k: '', t: 'create', d }),
    first.op,
    marks(2, 3, first.hash, 1 - own).op,
  ].map((op, i) => ({ author: A, channel: key, epoch: EPOCHS[0], seq: i + 1, op }));
  return { name: 'a conversation: read marks of a writer’s own, and in the other’s field', key, steps };
}

/** A contract is between two nodes: the creation of one with three writers is void. */
function crowded(): { name: string; key: RecordKey; steps: Step[] } {
  const writers = [A, B, nodeOf(3).peerId].sort();
  const d = encodeMembership({ owner: A, writers, participants: writers }, new Uint8Array(16).fill(8));
  const key = recordKey('contracts', A, contentId(sha256(d)));
  const op = encodeOp({ v: 1, c: 'contracts', k: '', t: 'create', d });
  return {
    name: 'a contract of three writers',
    key,
    steps: [{ author: A, channel: key, epoch: EPOCHS[0], seq: 1, op }],
  };
}

function price(): { name: string; key: RecordKey; steps: Step[] } {
  const d = encodeCbor(PRICE);
  const key = recordKey('prices', A, contentId(sha256(d)));
  const op = encodeOp({ v: 1, c: 'prices', k: '', t: 'fact', d });
  return {
    name: 'a public fact',
    key,
    steps: [{ author: A, channel: 'public', epoch: EPOCHS[0], seq: 1, op }],
  };
}

const PRICE: Record<string, Cbor> = {
  date: '2021-08-15',
  market: 'Nairobi',
  commodity: 'Maize (white)',
  unit: 'KG',
  currency: 'KES',
  price: 32.5,
  priceType: 'Retail',
};

function tombstone(): { name: string; key: RecordKey; steps: Step[] } {
  const first = price();
  const k = first.key.slice('prices/'.length);
  const op = encodeOp({ v: 1, c: 'prices', k, t: 'tombstone', d: new Uint8Array(0) });
  const end: Step = { author: A, channel: 'public', epoch: EPOCHS[0], seq: 2, op };
  return { name: 'a fact that was ended', key: first.key, steps: [...first.steps, end] };
}

/** So that the file does not depend on the order in which a merge tells the fields. */
function inSchemaOrder<T>(key: RecordKey, table: Readonly<Record<string, T>>): Record<string, T> {
  const collection = COLLECTIONS[key.slice(0, key.indexOf('/'))];
  // A fact's fields stand as in its bytes.
  if (collection?.kind !== 'document') return { ...table };
  const order = Object.keys(collection.fields);
  const place = (field: string): number => (order.includes(field) ? order.indexOf(field) : order.length);
  return Object.fromEntries(Object.entries(table).sort(([a], [b]) => place(a) - place(b)));
}

const verdictOf = (verdict: Verdict | undefined): object | undefined => verdict && opVerdict(verdict);

/** Records with the verdict on each of their ops, in the given order and so in any, and the state they give. */
export function recordVectors(): unknown {
  return [listing(), erased(), bounded(), contract(), crowded(), conversation(), price(), tombstone()].map(
    ({ name, key, steps }) => {
      const { verdicts, state } = evaluateWhole(key, steps.map(placed), undefined);
      return {
        name,
        key,
        ops: steps.map((step, i) => ({ ...step, op: hex(step.op), verdict: verdictOf(verdicts[i]) })),
        heads: state.heads,
        view: inSchemaOrder(key, state.view),
        conflicts: inSchemaOrder(key, state.conflicts),
        element: digestElement(state) ?? null,
      };
    },
  );
}

/** A public listing whose writers break the rules that bound a record: each such change is void, and what follows it counts. */
function bounded(): { name: string; key: RecordKey; steps: Step[] } {
  const key = recordKey('listings', A, 'maize-2');
  const genesis = genesisOf(collection('listings')).hash;
  const [one, two] = EPOCHS.map((epoch) => actorOf(A, epoch, key));
  if (one === undefined || two === undefined) throw new TypeError('two epochs');
  const change = (
    actor: string,
    seq: number,
    startOp: number,
    deps: readonly string[],
    ...ops: FieldOp[]
  ) => ({
    actor,
    seq,
    startOp,
    time: 0,
    deps,
    ops,
  });
  const required = [set('type', 'offer'), set('status', 'active')];
  const create = delta('create', key, change(one, 1, 2, [genesis], ...required, set('title', 'Maize')));
  const orphan = delta('delta', key, change(one, 2, 1, [], set('title', 'no deps')));
  const forgetful = delta('delta', key, change(one, 2, 5, [create.hash], set('title', 'own not named')));
  const early = delta('delta', key, change(one, 65_537, 5, [create.hash], set('price', 1)));
  const other = delta('delta', key, change(two, 1, 5, [create.hash], set('title', 'Maize, dry')));
  const edit = delta('delta', key, change(one, 2, 5, [create.hash], set('title', 'Mahindi', `4@${one}`)));
  const again = delta(
    'delta',
    key,
    change(two, 2, 6, [other.hash, edit.hash], set('title', 'x', `5@${one}`)),
  );
  const joined = delta(
    'delta',
    key,
    change(two, 2, 6, [other.hash, edit.hash], set('title', 'Mahindi', `5@${one}`, `5@${two}`)),
  );
  const at = (epoch: string, seq: number, { op }: { op: Uint8Array }): Step => ({
    author: A,
    channel: 'public',
    epoch,
    seq,
    op,
  });
  const steps = [
    at(EPOCHS[0], 1, create),
    at(EPOCHS[0], 2, orphan),
    at(EPOCHS[0], 3, forgetful),
    at(EPOCHS[0], 4, early),
    at(EPOCHS[0], 5, edit),
    at(EPOCHS[1], 1, other),
    at(EPOCHS[1], 2, again),
    at(EPOCHS[1], 3, joined),
  ];
  return { name: 'a change without deps, a seq out of bounds, an own value left visible', key, steps };
}

/** Content ids of one fact in public and in a private channel. */
export function contentIdVectors(): unknown {
  const payload = encodeCbor({ a: 1 });
  const channel = recordKey('conversations', A, 'x'.repeat(43));
  return {
    payload: hex(payload),
    public: contentId(sha256(payload)),
    channel,
    private: contentId(sha256(payload), channel),
    actor: { author: A, epoch: EPOCHS[0], key: channel, actor: actorOf(A, EPOCHS[0], channel) },
  };
}

/** What nodes of different versions compare: collections with op versions, those of both in common, and what is left out. */
function coverageVectors(): unknown {
  const known: [string, string][] = [
    ['listings.1,prices.1', 'listings.1,prices.1'],
    ['listings.1,prices.1', 'listings.1'],
    ['listings.1', 'auctions.1,listings.1,prices.1'],
    ['listings.1,prices.2', 'listings.1,prices.1'],
    ['listings.1', ''],
  ];
  return known.map(([one, other]) => {
    const [here, there] = [readCoverageText(one), readCoverageText(other)];
    if (here === undefined || there === undefined) throw new Error('no coverage');
    return {
      here: one,
      there: other,
      common: coverageText(commonCoverage(here, there)),
      notCompared: notCompared(there, here),
    };
  });
}

/** Set hashes and the digests above them. */
export function digestVectors(): unknown {
  const elements = ['listings/a\nheads', 'listings/b\ntombstone', 'listings/c\n1,2'];
  const sum = emptySum();
  for (const element of elements) addElement(sum, element);
  const listings = { count: elements.length, digest: sumDigest(sum) };
  const owner = ownerDigest(new Map([['listings', listings]]));
  return {
    empty: sumDigest(emptySum()),
    elements,
    collection: listings,
    owner,
    nothing: ownerDigest(new Map()),
    total: totalDigest(new Map([[A, owner]])),
    compared: coverageVectors(),
  };
}
