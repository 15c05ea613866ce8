import { createHash } from 'node:crypto';
import { branchAt, placeOf, type PrefixRow, readPrefixAnswer } from '../../../protocols/digest/prefix.ts';
import { signEntry } from '../../../protocols/feed/entry.ts';
import { makeForkProof } from '../../../protocols/feed/fork.ts';
import { encodeOp } from '../../../protocols/feed/op.ts';
import { encodeFeedHead, FeedSum } from '../../../protocols/mycelium/feed-file.ts';
import { encodeItem, type RangeItem } from '../../../protocols/mycelium/range-item.ts';
import { concat, hex, sha256Hex } from '../../../protocols/wire/bytes.ts';
import { outcomeOf } from './outcome.ts';
import { nodeOf } from './signatures.ts';

const A = nodeOf(1).peerId;

/** Forty records of one owner: a tree with branches, and with leaves under one of them. */
function rows(): PrefixRow[] {
  return Array.from({ length: 40 }, (_, i): PrefixRow => {
    const id = `record-${i}`;
    return { id, place: placeOf('listings', A, id), hash: sha256Hex(`element of ${id}`) };
  }).sort((a, b) => (a.place < b.place ? -1 : 1));
}

/** Answers about prefixes of the digest, and some that are not to be believed. */
export function digestTreeVectors(): unknown {
  const tree = rows();
  const top = branchAt(tree, '');
  const leaf = branchAt(tree, tree[0]?.place.slice(0, 1) ?? '');
  if (!('branches' in top) || !('records' in leaf)) throw new Error('forty records no longer make branches');
  const [first, ...others] = top.branches;
  if (first === undefined) throw new Error('no branch');
  const [record, ...rest] = leaf.records;
  const believed = (prefix: string, answer: unknown): string =>
    outcomeOf(() => readPrefixAnswer(answer, { collection: 'listings', owner: A, prefix }));
  const lies: [string, string, unknown][] = [
    ['another prefix than was asked for', 'f', top],
    ['a count that its branches do not add up to', '', { ...top, count: top.count + 1 }],
    ['branches out of order', '', { ...top, branches: [...others, first] }],
    ['a branch twice', '', { ...top, branches: [first, ...top.branches], count: top.count + first.count }],
    ['a record left out', leaf.prefix, { ...leaf, records: rest, count: rest.length }],
    ['a record twice', leaf.prefix, { ...leaf, records: [record, ...leaf.records], count: leaf.count + 1 }],
    ['records and branches', leaf.prefix, { ...leaf, branches: [] }],
  ];
  return {
    collection: 'listings',
    owner: A,
    rows: tree,
    answers: [top, leaf],
    refused: lies.map(([name, prefix, answer]) => ({ name, prefix, answer, code: believed(prefix, answer) })),
  };
}

/** Two entries that follow one another, and a proof. */
export function carriedItems(): RangeItem[] {
  const ops = ['one', 'two', 'three'].map((text) =>
    encodeOp({ v: 1, c: 'later', k: '', t: 'fact', d: new TextEncoder().encode(text) }),
  );
  const [one = new Uint8Array(0), two = new Uint8Array(0), three = new Uint8Array(0)] = ops;
  const place = { net: 'vectors', channel: 'public', epoch: '0123456789abcdef', after: [] } as const;
  const first = signEntry(nodeOf(1), { ...place, seq: 1, prev: null, time: [1_700_000_000_000, 0] }, [one]);
  const second = signEntry(nodeOf(1), { ...place, seq: 2, prev: first.hash, time: [1_700_000_000_001, 0] }, [
    two,
  ]);
  const other = signEntry(
    nodeOf(1),
    { ...place, epoch: 'fedcba9876543210', seq: 1, prev: null, time: [1_700_000_000_002, 0] },
    [two],
  );
  const forked = signEntry(
    nodeOf(1),
    { ...place, epoch: 'fedcba9876543210', seq: 1, prev: null, time: [1_700_000_000_002, 0] },
    [three],
  );
  return [
    { kind: 'entry', bytes: first.bytes },
    { kind: 'entry', bytes: second.bytes },
    { kind: 'proof', bytes: makeForkProof(other, forked).bytes },
  ];
}

/** A feed file from its first byte to its last, and the same items as HTTPS carries them. */
export function feedFileVectors(): unknown {
  const sum = new FeedSum();
  const head = encodeFeedHead({ from: A, to: undefined });
  sum.head(head);
  const items = carriedItems().map(encodeItem);
  for (const item of items) sum.item(item);
  return {
    from: A,
    items: items.map(hex),
    sequence: hex(concat(items)),
    file: hex(concat([head, ...items, sum.end()])),
    headForOne: hex(encodeFeedHead({ from: A, to: nodeOf(2).peerId })),
  };
}

/** An export's items with the hash over them, in both forms. */
export function exportVectors(): unknown {
  const listing = {
    id: `${A}.maize-1`,
    owner: A,
    updatedAt: '2026-01-15T10:00:00.000Z',
    type: 'offer',
    status: 'active',
    title: 'Mahindi ½ kg',
    price: 41.5,
    listingId: `${A}.maize-1`,
  };
  const ended = { id: `${A}.old`, listingId: `${A}.old`, owner: A, deleted: true };
  const items = [listing, ended];
  const hash = (lines: readonly string[]): string =>
    lines.reduce((h, line) => h.update(`${line}\n`), createHash('sha256')).digest('hex');
  const head = { schemaVersion: 1, node: A, generatedAt: '2026-01-15T11:00:00.000Z', full: false };
  const texts = items.map((item) => JSON.stringify(item));
  const lines = items.map((item) => JSON.stringify({ kind: 'listings', ...item }));
  const end = { count: items.length, cursor: '0123456789abcdef.a' };
  const empty = { contracts: [], trends: [], transactions: [], users: [] };
  return {
    json: JSON.stringify({
      ...head,
      listings: items,
      ...empty,
      count: end.count,
      sha256: hash(texts),
      cursor: end.cursor,
    }),
    lines: [
      JSON.stringify({ kind: 'header', ...head }),
      ...lines,
      JSON.stringify({ kind: 'end', count: end.count, sha256: hash(lines), cursor: end.cursor }),
    ],
  };
}
