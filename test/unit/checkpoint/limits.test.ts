import { expect, it } from 'vitest';
import {
  type Chunk,
  type ChunkItem,
  ChunkWriter,
  decodeChunk,
  plainItem,
} from '../../../protocols/checkpoint/chunk.ts';
import { floorItems } from '../../../protocols/checkpoint/items.ts';
import {
  CHECKPOINT_LIMITS,
  type CheckpointStatement,
  verifyCheckpoint,
  signCheckpoint,
} from '../../../protocols/feed/checkpoint.ts';
import type { Floor, FloorValue } from '../../../protocols/open-dialog/floor.ts';
import { decodeCbor, encodeCbor } from '../../../protocols/wire/cbor.ts';
import { recordKey } from '../../../protocols/wire/ids.ts';
import { vectorStatement } from '../../support/vectors/checkpoints.ts';
import { outcomeOf } from '../../support/vectors/outcome.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';

const node = nodeOf(1);
const hash = (n: number): string => n.toString(16).padStart(64, '0');
const opened = (change: Partial<CheckpointStatement>): string =>
  outcomeOf(() => verifyCheckpoint(signCheckpoint(node, { ...vectorStatement(), ...change })));
const covers = (count: number): CheckpointStatement['covers'] =>
  Array.from({ length: count }, (_, i) => ({
    epoch: i.toString(16).padStart(16, '0'),
    seq: 0xffff_ffff,
    hash: hash(i),
    fork: hash(i),
  }));
const { statementBytes, generations, prev, chunkBytes, chunkItems, itemBytes, values, valueBytes } =
  CHECKPOINT_LIMITS;

it('as many covers as there may be, and one more', () => {
  expect(opened({ covers: covers(CHECKPOINT_LIMITS.covers) })).toBe('accepted');
  expect(opened({ covers: covers(CHECKPOINT_LIMITS.covers + 1) })).toBe('checkpoint-malformed');
});

it('as many of prev as there may be, and one more', () => {
  const ids = (count: number): string[] => Array.from({ length: count }, (_, i) => hash(i));
  expect(opened({ prev: ids(prev) })).toBe('accepted');
  expect(opened({ prev: ids(prev + 1) })).toBe('checkpoint-malformed');
});

it('the last generation, and one more', () => {
  expect(opened({ gen: generations })).toBe('accepted');
  expect(opened({ gen: generations + 1 })).toBe('checkpoint-malformed');
});

it('a statement of so many bytes, and of one more', () => {
  const ids = Array.from({ length: prev }, (_, i) => hash(i));
  const full = { covers: covers(CHECKPOINT_LIMITS.covers), prev: ids, gen: generations };
  const largest = signCheckpoint(node, { ...vectorStatement(), ...full });
  // What its fields can hold fits, so only what is no statement is longer.
  expect(largest.length).toBeLessThanOrEqual(statementBytes);
  const said = (length: number): string => {
    try {
      verifyCheckpoint(new Uint8Array(length));
    } catch (error) {
      return String(error);
    }
    return '';
  };
  expect(said(statementBytes)).not.toContain('too long');
  expect(said(statementBytes + 1)).toContain('too long');
});

function chunked(items: readonly ChunkItem[]): Chunk[] {
  const writer = new ChunkWriter();
  const chunks = [...items.map((item) => writer.add(item)), writer.end()];
  return chunks.filter((chunk) => chunk !== undefined);
}
const itemOf = (bytes: number): ChunkItem => {
  const item = plainItem([9, new Uint8Array(bytes - 7)]);
  return plainItem([9, new Uint8Array(bytes - 7 - ((item.bytes?.length ?? 0) - bytes))]);
};

it('a chunk ends before the item that is more than it holds', () => {
  const [half, rest] = [itemOf(chunkBytes / 2), itemOf(chunkBytes / 2)];
  expect((half.bytes?.length ?? 0) + (rest.bytes?.length ?? 0)).toBe(chunkBytes);
  expect(chunked([half, rest]).map(({ items }) => items.length)).toEqual([2]);
  expect(chunked([half, itemOf(chunkBytes / 2 + 1)]).map(({ items }) => items.length)).toEqual([1, 1]);
  expect(chunked([plainItem([9]), itemOf(chunkBytes + 1), plainItem([9])]).length).toBe(3);
  for (const chunk of chunked([half, rest])) expect(decodeChunk(chunk.bytes).hash).toBe(chunk.hash);
});

it('a chunk has so many items and no more', () => {
  const items = Array.from({ length: chunkItems + 1 }, (_, i) => plainItem([9, i]));
  expect(chunked(items.slice(1)).map((chunk) => chunk.items.length)).toEqual([chunkItems]);
  expect(chunked(items).map((chunk) => chunk.items.length)).toEqual([chunkItems, 1]);
  const list = items.map(({ bytes }) => bytes ?? new Uint8Array());
  expect(outcomeOf(() => decodeChunk(encodeCbor(list.slice(1))))).toBe('accepted');
  expect(outcomeOf(() => decodeChunk(encodeCbor(list)))).toBe('chunk-malformed');
});

it('an item of so many bytes, and of one more', () => {
  expect(outcomeOf(() => decodeChunk(encodeCbor([new Uint8Array(itemBytes)])))).toBe('accepted');
  expect(outcomeOf(() => decodeChunk(encodeCbor([new Uint8Array(itemBytes + 1)])))).toBe('chunk-malformed');
});

/** A listing that so many actors have described at once. */
function described(count: number, text: string): Floor {
  const values = Array.from({ length: count }, (_, i): FloorValue => ({
    field: 'description',
    counter: count - i + 1,
    actor: i.toString(16).padStart(32, '0'),
    value: text,
  }));
  const key = recordKey('listings', node.peerId, 'maize-1');
  return {
    kind: 'document',
    key,
    heads: [hash(1)],
    maxOp: count + 1,
    created: [1, 0],
    updated: [2, 0],
    values,
  };
}
const valuesIn = (floor: Floor): number[] =>
  [...floorItems(floor)].map(({ bytes = new Uint8Array() }) => {
    const list = decodeCbor(bytes) as unknown[];
    return (list.at(-1) as unknown[]).length;
  });

it('an item has so many values and no more', () => {
  expect(valuesIn(described(values, ''))).toEqual([values]);
  expect(valuesIn(described(values + 1, ''))).toEqual([values, 1]);
});

it('an item ends before the text that is more than it holds', () => {
  const each = valueBytes / 8;
  expect(valuesIn(described(8, 'x'.repeat(each - 64)))).toEqual([8]);
  expect(valuesIn(described(8, 'x'.repeat(each - 63)))).toEqual([7, 1]);
  // Text counts as it is sent.
  expect(valuesIn(described(8, 'é'.repeat((each - 64) / 2)))).toEqual([8]);
});
