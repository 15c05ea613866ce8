import { readFileSync } from 'node:fs';
import { describe, expect, it, test } from 'vitest';
import {
  type Chunk,
  chunkOf,
  decodeChunk,
  erasedItem,
  plainItem,
  rootOf,
} from '../../../protocols/checkpoint/chunk.ts';
import { expandCovers } from '../../../protocols/checkpoint/covers.ts';
import { type CheckpointLink, effectiveCheckpoint } from '../../../protocols/checkpoint/effective.ts';
import { nextCheckpoint } from '../../../protocols/checkpoint/succession.ts';
import { ItemReader } from '../../../protocols/checkpoint/read-items.ts';
import { SnapshotBuilder, type SnapshotSums } from '../../../protocols/checkpoint/snapshot.ts';
import {
  checkpointOf,
  type CheckpointStatement,
  verifyCheckpoint,
  signCheckpoint,
} from '../../../protocols/feed/checkpoint.ts';
import { bodyMatches, decodeEntry } from '../../../protocols/feed/entry.ts';
import type { FeedState } from '../../../protocols/feed/feed.ts';
import type { FrontierItem } from '../../../protocols/feed/frontier.ts';
import { atOnce } from '../../../protocols/ledger/turn.ts';
import type { Floor } from '../../../protocols/open-dialog/floor.ts';
import { fromHex, hex } from '../../../protocols/wire/bytes.ts';
import { decodeCbor } from '../../../protocols/wire/cbor.ts';
import type { PeerId } from '../../../protocols/wire/identity.ts';
import { readItems } from '../../support/vectors/checkpoints.ts';
import { outcomeOf } from '../../support/vectors/outcome.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

interface Named {
  readonly name: string;
  readonly outcome: string;
}
/** What stands in the file, as any other implementation reads it. */
interface Vectors {
  readonly statements: {
    readonly statement: CheckpointStatement;
    readonly author: PeerId;
    readonly id: string;
    readonly judged: readonly (Named & { readonly bytes: string })[];
    readonly ops: readonly (Named & { readonly author: PeerId; readonly k: string })[];
  };
  readonly effective: readonly {
    readonly name: string;
    readonly held: readonly CheckpointLink[];
    readonly effective: string | null;
    readonly contested: boolean;
  }[];
  readonly next: readonly {
    readonly name: string;
    readonly held: readonly (CheckpointLink & { readonly upon: string | null })[];
    readonly now: string | null;
    readonly next: string;
  }[];
  readonly covers: readonly {
    readonly name: string;
    readonly frontier: readonly FrontierItem[];
    readonly held: readonly Pick<FeedState, 'epoch' | 'seq' | 'after'>[];
    readonly covers: readonly FrontierItem[];
    readonly missing: readonly string[];
  }[];
  readonly snapshot: {
    readonly author: PeerId;
    readonly covers: readonly FrontierItem[];
    readonly floors: readonly (Floor & { readonly d: string })[];
    readonly entry: string;
    readonly evidence: readonly number[];
    readonly chunks: readonly { readonly hash: string; readonly bytes: string; readonly items: string[] }[];
    readonly sums: SnapshotSums;
  };
  readonly items: readonly (Named & { readonly items: readonly string[] })[];
}

const { checkpoints: vectors } = JSON.parse(
  readFileSync(new URL('../../../protocols/vectors.json', import.meta.url), 'utf8'),
) as { checkpoints: Vectors };
const { statements, snapshot } = vectors;

test.each(statements.judged)('statement: $name is $outcome', ({ bytes, outcome }) => {
  expect(outcomeOf(() => verifyCheckpoint(fromHex(bytes)))).toBe(outcome);
});

it('a statement has one encoding, and a name that its signature has no part in', () => {
  const bytes = fromHex(statements.judged[0]?.bytes ?? '');
  const { author, id, signed, ...said } = verifyCheckpoint(bytes);
  expect({ author, id, said }).toEqual({
    author: statements.author,
    id: statements.id,
    said: statements.statement,
  });
  expect(hex(signCheckpoint(nodeOf(1), statements.statement))).toBe(hex(signed));
});

test.each(statements.ops)('an op $name is $outcome', ({ author, k, outcome }) => {
  const d = fromHex(statements.judged[0]?.bytes ?? '');
  const op = { v: 1, c: 'checkpoints', k, t: 'checkpoint', d };
  expect(outcomeOf(() => checkpointOf(op, { author, channel: 'public' }))).toBe(outcome);
});

test.each(vectors.effective)('in force: $name', ({ held, effective, contested }) => {
  const found = effectiveCheckpoint(held);
  expect([found?.checkpoint.id ?? null, found?.contested ?? false]).toEqual([effective, contested]);
});

test.each(vectors.next)('next: $name', ({ held, now, next }) => {
  const links = held.map((each) => ({ ...each, upon: each.upon ?? undefined }));
  const found = nextCheckpoint(links, now ?? undefined);
  expect(found.kind === 'next' ? found.checkpoint.id : found.kind).toBe(next);
});

test.each(vectors.covers)('covers: $name', ({ frontier, held, covers, missing }) => {
  const rest = { no: 1, author: statements.author, channel: 'public', hash: '', day: 0 } as const;
  const feeds = held.map((each): FeedState => ({ ...rest, ...each }));
  for (const some of [feeds, feeds.toReversed()])
    expect(expandCovers(frontier, some)).toEqual({ covers, missing });
});

test.each(vectors.items)('items: $name is $outcome', ({ items, outcome }) => {
  expect(outcomeOf(() => readItems(items.map(fromHex)))).toBe(outcome);
});

describe('snapshot', () => {
  const floors = snapshot.floors.map((floor): Floor =>
    floor.kind === 'fact' ? { ...floor, d: fromHex(floor.d) } : floor,
  );
  const entry = decodeEntry(fromHex(snapshot.entry));

  function built(): { readonly chunks: Chunk[]; readonly sums: SnapshotSums } {
    const chunks: Chunk[] = [];
    const builder = new SnapshotBuilder(snapshot.covers, (chunk) => chunks.push(chunk));
    for (const floor of floors) atOnce(builder.add(floor));
    builder.keep(entry, new Set(snapshot.evidence));
    return { sums: builder.finish(), chunks };
  }

  it('gives these chunks and sums', () => {
    const { chunks, sums } = built();
    expect(sums).toEqual(snapshot.sums);
    expect(chunks.map(({ hash, bytes }) => ({ hash, bytes: hex(bytes) }))).toEqual(
      snapshot.chunks.map(({ hash, bytes }) => ({ hash, bytes })),
    );
  });

  it('reads back as it was', () => {
    const reader = new ItemReader(snapshot.author);
    const [records, evidence] = snapshot.chunks.map(({ bytes }) => decodeChunk(fromHex(bytes)));
    for (const item of records?.items ?? []) reader.read(item);
    const [, ...shown] = floors; // the first is evidence
    expect(reader.end()).toEqual({ covers: snapshot.covers, floors: shown, erased: [] });
    const [, bytes] = decodeCbor(evidence?.items[0]?.bytes ?? new Uint8Array()) as [number, Uint8Array];
    const kept = decodeEntry(bytes);
    expect([kept.hash, bodyMatches(kept)]).toEqual([entry.hash, true]);
    expect(kept.body.map((item) => 'op' in item)).toEqual([false, true]);
  });

  it('an erased record stands as its hash, under the same root', () => {
    const [records] = snapshot.chunks.map(({ bytes }) => decodeChunk(fromHex(bytes)));
    const items = (records?.items ?? []).map((item, i) => (i === 2 ? erasedItem(item) : item));
    const without = decodeChunk(chunkOf(items).bytes);
    expect(rootOf([fromHex(without.hash)])).toBe(snapshot.sums.chunks);
    const reader = new ItemReader(snapshot.author);
    for (const item of without.items) reader.read(item);
    const read = reader.end();
    expect([read.erased.length, read.floors.length]).toEqual([1, 2]);
  });

  it('another value, or another order, is another root', () => {
    const other = new SnapshotBuilder(snapshot.covers);
    for (const floor of floors)
      other.add(floor.kind === 'document' ? { ...floor, values: floor.values.slice(1) } : floor);
    expect(other.finish().chunks).not.toBe(snapshot.sums.chunks);
    expect(() => {
      const builder = new SnapshotBuilder([]);
      for (const floor of floors.toReversed()) atOnce(builder.add(floor));
    }).toThrow('out of order');
    expect(chunkOf([plainItem([1]), plainItem([2])]).hash).not.toBe(
      chunkOf([plainItem([2]), plainItem([1])]).hash,
    );
  });
});
