import { type Chunk, chunkOf, erasedItem } from '../../protocols/checkpoint/chunk.ts';
import { SnapshotBuilder } from '../../protocols/checkpoint/snapshot.ts';
import type { SnapshotList } from '../../protocols/checkpoint/snapshot-list.ts';
import {
  type Checkpoint,
  type CheckpointStatement,
  readCheckpoint,
  signCheckpoint,
} from '../../protocols/feed/checkpoint.ts';
import type { Entry } from '../../protocols/feed/entry.ts';
import { encodeOp } from '../../protocols/feed/op.ts';
import { atOnce } from '../../protocols/ledger/turn.ts';
import type { SnapshotSource } from '../../protocols/mycelium/snapshot-answer.ts';
import type { Floor } from '../../protocols/open-dialog/floor.ts';
import { contentId } from '../../protocols/open-dialog/membership.ts';
import { fromHex, sha256 } from '../../protocols/wire/bytes.ts';
import { encodeCbor } from '../../protocols/wire/cbor.ts';
import { recordKey } from '../../protocols/wire/ids.ts';
import { Hand } from './forge.ts';
import { nodeOf } from './vectors/signatures.ts';

/** Whose snapshots these are. */
export const AUTHOR = nodeOf(1);
const TIME = 1_700_000_000_000;
const hash = (n: number): string => n.toString(16).padStart(64, '0');

/** Characters of one description. */
const DESCRIPTION = 4000;

/** A listing that many have described at once, in so many characters together. */
export function listingFloor(i: number, characters: number): Floor {
  const actor = 'a1'.repeat(16);
  const described = Array.from({ length: Math.ceil(characters / DESCRIPTION) }, (_, n) => ({
    field: 'description',
    counter: 1000 - n,
    actor: n.toString(16).padStart(32, '0'),
    value: 'x'.repeat(Math.min(DESCRIPTION, characters - n * DESCRIPTION)),
  }));
  return {
    kind: 'document',
    key: recordKey('listings', AUTHOR.peerId, `maize-${String(i).padStart(6, '0')}`),
    heads: [hash(i + 1)],
    maxOp: 1000,
    created: [TIME, 0],
    updated: [TIME + i, 0],
    values: [
      ...described,
      { field: 'status', counter: 4, actor, value: 'active' },
      { field: 'type', counter: 3, actor, value: 'offer' },
    ],
  };
}

/** A checkpoint, and the chunks of its snapshot. */
export interface ServedSnapshot {
  readonly checkpoint: Checkpoint;
  readonly chunks: Readonly<Record<SnapshotList, readonly Chunk[]>>;
  readonly floors: readonly Floor[];
  readonly entries: readonly Entry[];
}

export interface SnapshotSaid {
  readonly floors?: readonly Floor[];
  /** Entries with two heads of an audit log each, beside an op that is no evidence. */
  readonly evidence?: number;
  /** What the statement says instead of what holds. */
  readonly said?: Partial<CheckpointStatement>;
}

/** Signs a checkpoint over floors that nobody need have written. */
export function servedSnapshot({ floors = [], evidence = 0, said = {} }: SnapshotSaid = {}): ServedSnapshot {
  const hand = new Hand(AUTHOR, 'fedcba9876543210');
  const headPayload = (n: number): Uint8Array =>
    encodeCbor({ head: hash(n), place: 'a'.repeat(22), at: TIME + n });
  const entries = Array.from({ length: evidence }, (_, i) => {
    const other = encodeCbor({ note: `not kept ${i}` });
    const fact = (c: string, d: Uint8Array): Uint8Array => encodeOp({ v: 1, c, k: '', t: 'fact', d });
    return hand.next([
      fact('prices', other),
      fact('audit-heads', headPayload(2 * i)),
      fact('audit-heads', headPayload(2 * i + 1)),
    ]);
  });
  const heads = Array.from({ length: 2 * evidence }, (_, n): Floor => {
    const d = headPayload(n);
    const key = recordKey('audit-heads', AUTHOR.peerId, contentId(sha256(d)));
    return { kind: 'fact', key, d, created: [TIME, 0], updated: [TIME, 0] };
  });
  const all = [...heads.sort((a, b) => (a.key < b.key ? -1 : 1)), ...floors];
  const covers = [{ epoch: hand.epoch, seq: Math.max(1, evidence), hash: entries.at(-1)?.hash ?? hash(1) }];
  const chunks: Record<SnapshotList, Chunk[]> = { records: [], evidence: [] };
  const builder = new SnapshotBuilder(covers, (chunk, list) => chunks[list].push(chunk));
  for (const floor of all) atOnce(builder.add(floor));
  for (const entry of entries) builder.keep(entry, new Set([1, 2]));
  const statement = {
    net: 'test',
    gen: 1,
    prev: [],
    upon: undefined,
    covers,
    ...builder.finish(),
    time: TIME,
    ...said,
  };
  const checkpoint = readCheckpoint(signCheckpoint(AUTHOR, statement));
  return { checkpoint, chunks, floors, entries };
}

/** Serves it, and of other checkpoints nothing. `change` lies about chunks: undefined leaves one as it is. */
export function sourceOf(
  { checkpoint, chunks }: ServedSnapshot,
  change: (chunk: Chunk, list: SnapshotList, number: number) => Uint8Array | undefined = () => undefined,
): SnapshotSource {
  return {
    checkpoints: async (author) => (author === checkpoint.author ? [checkpoint.signed] : []),
    open: async (author, id, list) => {
      if (author !== checkpoint.author || id !== checkpoint.id) return undefined;
      return {
        async *hashes() {
          for (const chunk of chunks[list]) yield fromHex(chunk.hash);
        },
        async *chunks(first, last) {
          for (const [i, chunk] of chunks[list].slice(first, last + 1).entries())
            yield change(chunk, list, first + i) ?? chunk.bytes;
        },
      };
    },
  };
}

/** The chunk without what some of its items say. */
export function withoutItems({ items }: Chunk, which: (i: number) => boolean): Uint8Array {
  return chunkOf(items.map((item, i) => (which(i) ? erasedItem(item) : item))).bytes;
}
