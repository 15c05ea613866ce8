import { type Chunk, decodeChunk } from '../../../protocols/checkpoint/chunk.ts';
import { type CheckpointLink, effectiveCheckpoint } from '../../../protocols/checkpoint/effective.ts';
import { expandCovers } from '../../../protocols/checkpoint/covers.ts';
import { nextCheckpoint, type UponLink } from '../../../protocols/checkpoint/succession.ts';
import { ItemReader } from '../../../protocols/checkpoint/read-items.ts';
import { SnapshotBuilder } from '../../../protocols/checkpoint/snapshot.ts';
import {
  CHECKPOINT_ENVELOPE,
  checkpointOf,
  type CheckpointStatement,
  verifyCheckpoint,
  signCheckpoint,
} from '../../../protocols/feed/checkpoint.ts';
import { type Entry, signEntry } from '../../../protocols/feed/entry.ts';
import type { FeedState } from '../../../protocols/feed/feed.ts';
import type { FrontierItem } from '../../../protocols/feed/frontier.ts';
import { encodeOp } from '../../../protocols/feed/op.ts';
import { atOnce } from '../../../protocols/ledger/turn.ts';
import type { Floor } from '../../../protocols/open-dialog/floor.ts';
import { contentId } from '../../../protocols/open-dialog/membership.ts';
import { fromHex, hex, sha256 } from '../../../protocols/wire/bytes.ts';
import { type Cbor, decodeCbor, encodeCbor } from '../../../protocols/wire/cbor.ts';
import { readEnvelope, signEnvelope } from '../../../protocols/wire/envelope.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { outcomeOf } from './outcome.ts';
import { nodeOf } from './signatures.ts';

const node = nodeOf(1);
const TIME = 1_700_000_000_000;
const EPOCHS = ['0123456789abcdef', 'fedcba9876543210'] as const;
const hash = (byte: string): string => byte.repeat(32);

/** A fact of an author, and its record. */
export function factFloor(collection: string, fields: Record<string, Cbor>): Floor {
  const d = encodeCbor(fields);
  const key = recordKey(collection, node.peerId, contentId(sha256(d)));
  return { kind: 'fact', key, d, created: [TIME, 0], updated: [TIME, 0] };
}

export const PRICE = {
  date: '2026-01-15',
  market: 'Kisumu',
  commodity: 'Maize',
  unit: 'kg',
  priceType: 'Retail',
  currency: 'KES',
  price: 55.5,
};
const HEAD = { head: hash('7a'), place: 'a'.repeat(22), at: TIME };

/** What is covered: a listing in conflict, one that ended, a price, and an audit head that stays as evidence. */
export function vectorSnapshot(): {
  readonly covers: readonly FrontierItem[];
  readonly floors: readonly Floor[];
  readonly entry: Entry;
} {
  const [first, second] = ['a1'.repeat(16), 'b2'.repeat(16)];
  const listing = (id: string) => recordKey('listings', node.peerId, id);
  const floors: Floor[] = [
    factFloor('audit-heads', HEAD),
    {
      kind: 'document',
      key: listing('maize-1'),
      heads: [hash('22'), hash('33')],
      maxOp: 6,
      created: [TIME, 0],
      updated: [TIME + 5, 2],
      values: [
        { field: 'price', counter: 6, actor: second, value: 41 },
        { field: 'price', counter: 5, actor: first, value: 42.5 },
        { field: 'status', counter: 3, actor: first, value: 'active' },
        { field: 'type', counter: 2, actor: first, value: 'offer' },
      ],
    },
    {
      kind: 'ended',
      key: listing('maize-2'),
      tombstone: true,
      erased: false,
      created: [TIME, 1],
      updated: [TIME, 9],
    },
    factFloor('prices', PRICE),
  ];
  const place = { net: 'vectors', channel: 'public', epoch: EPOCHS[1], after: [], time: [TIME, 0] } as const;
  const fact = (c: string, fields: Record<string, Cbor>): Uint8Array =>
    encodeOp({ v: 1, c, k: '', t: 'fact', d: encodeCbor(fields) });
  const entry = signEntry(node, { ...place, seq: 1, prev: null }, [
    fact('prices', PRICE),
    fact('audit-heads', HEAD),
  ]);
  const covers = [
    { epoch: EPOCHS[0], seq: 7, hash: hash('11'), fork: hash('44') },
    { epoch: EPOCHS[1], seq: 1, hash: entry.hash },
  ];
  return { covers, floors, entry };
}

function snapshotVector(): unknown {
  const { covers, floors, entry } = vectorSnapshot();
  const chunks: Chunk[] = [];
  const builder = new SnapshotBuilder(covers, (chunk) => chunks.push(chunk));
  for (const floor of floors) atOnce(builder.add(floor));
  builder.keep(entry, new Set([1]));
  const sums = builder.finish();
  return {
    author: node.peerId,
    covers,
    floors: floors.map((floor) => (floor.kind === 'fact' ? { ...floor, d: hex(floor.d) } : floor)),
    entry: hex(entry.bytes),
    evidence: [1],
    chunks: chunks.map((chunk) => ({
      hash: chunk.hash,
      bytes: hex(chunk.bytes),
      items: chunk.items.map((item) => hex(item.hash)),
    })),
    sums,
  };
}

/** Items of a snapshot that no maker writes, each after what has to stand before it. */
function refusedItems(): { name: string; items: string[]; outcome: string }[] {
  const price = encodeCbor(PRICE);
  const [a, b] = [[TIME, 0] as const, [TIME, 1] as const];
  const heads = [fromHex(hash('22'))];
  const actor = fromHex('a1'.repeat(16));
  const type: Cbor = ['type', 2, actor, 'offer'];
  const status: Cbor = ['status', 3, actor, 'active'];
  const listing = (values: Cbor, id = 'maize-1', of: readonly Uint8Array[] = heads): Cbor => [
    1,
    'listings',
    id,
    4,
    a,
    b,
    of,
    values,
  ];
  const other = fromHex('b2'.repeat(16));
  const cases: [string, Cbor[]][] = [
    ['a document', [listing([status, type])]],
    ['a required field is missing', [listing([type])]],
    [
      'two values of one actor',
      [listing([['price', 4, actor, 1], ['price', 2, actor, 2], status, ['type', 2, other, 'offer']])],
    ],
    ['an op twice', [listing([['price', 2, actor, 1], status, type])]],
    ['values in two items that fit into one', [listing([status, type]), [2, [['unit', 4, actor, 'kg']]]]],
    ['values of no record', [[2, [type]]]],
    ['values that are out of order', [listing([status, ['unit', 4, actor, 'kg'], type])]],
    ['a value twice', [listing([status, type, type])]],
    ['an op above the largest', [listing([status, ['type', 5, actor, 'offer']])]],
    ['the op of the genesis', [listing([status, ['type', 1, actor, 'offer']])]],
    ['a field that is none', [listing([['colour', 4, actor, 'red'], status, type])]],
    ['a value that its field cannot have', [listing([status, ['type', 2, actor, 'gift']])]],
    ['heads out of order', [listing([status, type], 'maize-1', [fromHex(hash('33')), ...heads])]],
    ['no heads', [listing([status, type], 'maize-1', [])]],
    [
      'more heads than are shown',
      [
        listing(
          [type],
          'maize-1',
          Array.from('123456789', (digit) => fromHex(hash(`0${digit}`))),
        ),
      ],
    ],
    ['records out of order', [listing([status, type], 'maize-2'), listing([status, type])]],
    ['a record twice', [listing([status, type]), listing([status, type])]],
    ['updated before it was created', [[4, 'listings', 'maize-1', 1, b, a]]],
    ['ended by nothing', [[4, 'listings', 'maize-1', 0, a, b]]],
    ['a fact of a collection of documents', [[3, 'listings', a, b, price]]],
    ['evidence among the records', [[3, 'audit-heads', a, b, encodeCbor(HEAD)]]],
    [
      'a cover behind a record',
      [listing([status, type]), [0, fromHex(EPOCHS[0]), 1, fromHex(hash('11')), null]],
    ],
    ['an unknown kind', [[9, 'listings', 'maize-1', 1, a, b]]],
  ];
  return cases.map(([name, items]) => ({
    name,
    items: items.map((item) => hex(encodeCbor(item))),
    outcome: outcomeOf(() => readItems(items.map((item) => encodeCbor(item)))),
  }));
}

/** Reads the items of one chunk. */
export function readItems(items: readonly Uint8Array[], author = node.peerId): unknown {
  const reader = new ItemReader(author);
  for (const item of decodeChunk(encodeCbor([...items])).items) reader.read(item);
  return reader.end();
}

export function vectorStatement(): CheckpointStatement {
  return {
    net: 'vectors',
    gen: 3,
    prev: [hash('05'), hash('06')],
    upon: hash('04'),
    covers: vectorSnapshot().covers,
    digest: hash('77'),
    count: 3,
    bytes: 1234,
    chunks: hash('88'),
    evidence: { count: 1, root: hash('99') },
    time: TIME,
  };
}

function statementVectors(): unknown {
  const good = vectorStatement();
  const sealed = signCheckpoint(node, good);
  const with_ = (change: Partial<CheckpointStatement>): Uint8Array =>
    signCheckpoint(node, { ...good, ...change });
  const forged = (change: (map: Record<string, Cbor>) => void): Uint8Array => {
    const map = {
      ...(decodeCbor(readEnvelope(CHECKPOINT_ENVELOPE, sealed).payload) as Record<string, Cbor>),
    };
    change(map);
    return signEnvelope(node, CHECKPOINT_ENVELOPE, encodeCbor(map));
  };
  const [cover] = good.covers;
  const cases: [string, Uint8Array][] = [
    ['a checkpoint', sealed],
    ['the first of an author', with_({ gen: 1, prev: [], upon: undefined })],
    ['upon none', with_({ upon: undefined })],
    ['no covers', with_({ covers: [] })],
    ['covers out of order', with_({ covers: good.covers.toReversed() })],
    ['an epoch twice', with_({ covers: cover === undefined ? [] : [cover, cover] })],
    ['a cover of nothing', with_({ covers: [{ epoch: EPOCHS[0], seq: 0, hash: '' }] })],
    [
      'an epoch that forks at its first place',
      with_({ covers: [{ epoch: EPOCHS[0], seq: 0, hash: '', fork: hash('44') }] }),
    ],
    ['generation 0', with_({ gen: 0 })],
    ['prev out of order', with_({ prev: [hash('06'), hash('05')] })],
    ['nine of prev', with_({ prev: Array.from('123456789', (digit) => hash(`0${digit}`)) })],
    ['a field more', forged((map) => (map['note'] = ''))],
    ['another version', forged((map) => (map['v'] = 2))],
    ['upon one of 31 bytes', forged((map) => (map['upon'] = new Uint8Array(31)))],
    ['without what it is upon', forged((map) => delete map['upon'])],
    ['a digest of 31 bytes', forged((map) => (map['digest'] = new Uint8Array(31)))],
    ['a signature over something else', sealed.with(-1, (sealed.at(-1) ?? 0) ^ 1)],
  ];
  return {
    statement: good,
    author: node.peerId,
    id: verifyCheckpoint(sealed).id,
    judged: cases.map(([name, bytes]) => ({
      name,
      bytes: hex(bytes),
      outcome: outcomeOf(() => verifyCheckpoint(bytes)),
    })),
    ops: opVectors(sealed),
  };
}

function opVectors(d: Uint8Array): { name: string; author: string; k: string; outcome: string }[] {
  const other = nodeOf(2).peerId;
  const cases = [
    ['of its author', node.peerId, ''],
    ['in the feed of another', other, ''],
    ['that names a record', node.peerId, `${node.peerId}/maize-1`],
  ] as const;
  return cases.map(([name, author, k]) => {
    const op = { v: 1, c: 'checkpoints', k, t: 'checkpoint', d };
    return { name, author, k, outcome: outcomeOf(() => checkpointOf(op, { author, channel: 'public' })) };
  });
}

/** Sets of checkpoints, and which is in force. */
function effectiveVectors(): unknown[] {
  const link = (id: string, gen: number, ...prev: string[]): CheckpointLink => ({
    id: hash(id),
    gen,
    prev: prev.map(hash).sort(),
  });
  const cases: [string, CheckpointLink[]][] = [
    ['one', [link('01', 1)]],
    ['a line', [link('01', 1), link('02', 2, '01'), link('03', 3, '02')]],
    ['a line that lacks its middle', [link('01', 1), link('03', 3, '02')]],
    ['two that know nothing of one another', [link('02', 1), link('01', 1)]],
    ['the higher of two', [link('01', 1), link('02', 2, '03')]],
    ['two, and one that joins them', [link('01', 1), link('02', 1), link('03', 2, '01', '02')]],
    ['replaced by one of a lower generation', [link('01', 9), link('02', 1, '01')]],
    ['none', []],
  ];
  return cases.map(([name, held]) => {
    const found = effectiveCheckpoint(held);
    return { name, held, effective: found?.checkpoint.id ?? null, contested: found?.contested ?? false };
  });
}

/** Sets of checkpoints, and which comes next upon what is in effect. */
function nextVectors(): unknown[] {
  const link = (id: string, gen: number, upon: string | undefined, ...prev: string[]): UponLink => ({
    id: hash(id),
    gen,
    prev: prev.map(hash).sort(),
    upon: upon === undefined ? undefined : hash(upon),
  });
  const line = [link('01', 1, undefined), link('02', 2, '01', '01'), link('03', 3, '02', '02')];
  const passing = [...line.slice(0, 2), link('03', 3, '01', '02')];
  const beside = [...line.slice(0, 2), link('04', 2, '01', '01')];
  const joined = [...beside, link('05', 3, '04', '02', '04')];
  const cases: [string, UponLink[], string | undefined][] = [
    ['the first', line, undefined],
    ['the one behind that in effect', line, '01'],
    ['nothing behind the last', line, '03'],
    ['one that is passed over', passing, '01'],
    ['in effect is one that was passed over', passing, '02'],
    ['upon none again', [...line, link('06', 4, undefined, '03')], undefined],
    ['contested', beside, '01'],
    ['joined, upon one of them', joined, '01'],
    ['joined, and the other one is in effect', joined, '02'],
    ['upon one that is not held', [link('03', 3, '02', '02')], undefined],
    ['upon one that is in effect and not held', [link('03', 3, '02', '02')], '02'],
  ];
  return cases.map(([name, held, now]) => {
    const next = nextCheckpoint(held, now === undefined ? undefined : hash(now));
    return {
      name,
      held: held.map((each) => ({ ...each, upon: each.upon ?? null })),
      now: now === undefined ? null : hash(now),
      next: next.kind === 'next' ? next.checkpoint.id : next.kind,
    };
  });
}

/** Feeds that name one another, and what a frontier of them covers. */
function coverVectors(): unknown[] {
  const [old, running] = EPOCHS;
  const feed = (
    epoch: string,
    seq: number,
    after: FeedState['after'] = [],
  ): Pick<FeedState, 'epoch' | 'seq' | 'after'> => ({
    epoch,
    seq,
    after,
  });
  const named = [{ epoch: old, seq: 5, hash: hash('55') }];
  const at = (epoch: string, seq: number, byte: string): FrontierItem => ({ epoch, seq, hash: hash(byte) });
  const cases: [string, FrontierItem[], ReturnType<typeof feed>[]][] = [
    ['an epoch that the covered one names', [at(running, 2, '22')], [feed(old, 5), feed(running, 3, named)]],
    ['one that is held no further', [at(running, 2, '22')], [feed(old, 4), feed(running, 3, named)]],
    [
      'a place beyond what is named',
      [at(old, 6, '66'), at(running, 2, '22')],
      [feed(old, 6), feed(running, 3, named)],
    ],
    ['the epoch that names is not covered', [at(old, 2, '33')], [feed(old, 5), feed(running, 3, named)]],
  ];
  const rest = { no: 1, author: node.peerId, channel: 'public', hash: '', day: 0 } as const;
  return cases.map(([name, frontier, held]) => ({
    name,
    frontier,
    held,
    ...expandCovers(
      frontier,
      held.map((each) => ({ ...each, ...rest })),
    ),
  }));
}

/** Checkpoints: statements, their ops, which is in force, what they cover, and a snapshot byte by byte. */
export function checkpointVectors(): unknown {
  return {
    statements: statementVectors(),
    effective: effectiveVectors(),
    next: nextVectors(),
    covers: coverVectors(),
    snapshot: snapshotVector(),
    items: refusedItems(),
  };
}
