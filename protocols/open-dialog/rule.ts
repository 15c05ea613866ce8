import { decodeOp } from '../feed/op.ts';
import type { RecordKey } from '../wire/ids.ts';
import { evaluateChanges } from './evaluate-changes.ts';
import { APPLIED, linearValues, RECORD_ERASED } from './fast-path.ts';
import type { Follows, History, ReadChange } from './history.ts';
import { hashInPieces } from './pieces.ts';
import { outlastsErasure, readOp, type ReadOp } from './read-op.ts';
import type { Membership, PlacedOp, RecordState, Values, Verdict } from './record.ts';
import { StateBuilder } from './state-builder.ts';

/** What the written rule alone says of a record; nothing of it waits for Automerge. */
export interface Evaluation {
  /** Beside the ops, in the same order. */
  readonly verdicts: readonly Verdict[];
  /** All of the state but what a merge tells: a document has no values here. */
  readonly outline: RecordState;
  /**
   * The values of a document, where they need no merge: its history is linear, or longer than what is merged. Undefined where there
   * is real concurrency, and of what is no document.
   */
  readonly values: Values | undefined;
  /** What Automerge merges; undefined when no change is applied. */
  readonly input: MergeInput | undefined;
  /** What a change of the actor that was named follows. */
  readonly follows: Follows | undefined;
}

/** The applied changes of a record, every one after those it depends on. */
export interface MergeInput {
  readonly changes: readonly Uint8Array[];
  /** SHA-256 of all heads: equal for equal sets of changes. */
  readonly id: string;
}

/** Beyond so many changes a document would take gigabytes and minutes: there the rule tells the values, which are the same. */
export const MERGED_CHANGES = 32_768;

/**
 * Evaluates all ops of one record: a pure function of the set, whatever its order. Within one feed, ops on the record are
 * evaluated in the feed's order, and one that is pending makes the later ones pending: so every verdict, once given, stays, however
 * many ops are still to come. `channelMembers` are those of a private fact's channel; for `actor` it says what a change can be
 * drafted on. It yields after each op, so that whoever runs it on the main thread can let the event loop go round (`runAll` does not).
 */
export function* evaluate(
  key: RecordKey,
  ops: readonly PlacedOp[],
  channelMembers: Membership | undefined,
  actor?: string,
  merged = MERGED_CHANGES,
): Generator<void, Evaluation> {
  const verdicts: Verdict[] = ops.map(() => ({ state: 'rejected', code: 'internal' }));
  const result = new StateBuilder(key, ops);
  const feeds = new Map<string, ReadChange[]>();
  const reads: ReadOp[] = [];
  for (const placed of ops) {
    reads.push(readOp(placed));
    yield;
  }
  const isErased = reads.some((read) => 'reading' in read && read.reading.kind === 'erasure');
  for (const [feed, places] of byFeed(ops))
    for (const at of places) {
      const placed = ops[at];
      const op = reads[at];
      if (placed === undefined || op === undefined) continue;
      const read = readOne(placed, op, isErased, channelMembers, result);
      if ('state' in read) verdicts[at] = read;
      else {
        const list = feeds.get(feed) ?? [];
        list.push({ at, ...read });
        feeds.set(feed, list);
      }
      yield;
    }
  const history = yield* evaluateChanges(key, ops, feeds, verdicts, result);
  const some = history.order.length > 0;
  const heads = yield* history.heads();
  const outline = result.finish(verdicts, some ? yield* history.end(heads) : {});
  return {
    verdicts,
    outline,
    values: some ? yield* valuesOf(key, history, merged) : undefined,
    input: some
      ? { changes: history.order.map(({ bytes }) => bytes), id: yield* hashInPieces(heads) }
      : undefined,
    follows: actor === undefined || !some ? undefined : yield* history.followedBy(actor),
  };
}

function* valuesOf(key: RecordKey, history: History, merged: number): Generator<void, Values | undefined> {
  const linear = yield* linearValues(key, history.order);
  return linear ?? (history.order.length > merged ? yield* history.values() : undefined);
}

/** Runs an evaluation without a break. */
export function runAll<T>(work: Generator<void, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

/** Takes in what an op says by itself: its verdict, or the change that is evaluated with others. */
function readOne(
  placed: PlacedOp,
  read: ReadOp,
  isErased: boolean,
  channelMembers: Membership | undefined,
  result: StateBuilder,
): Verdict | Omit<ReadChange, 'at'> {
  if ('problem' in read)
    return read.isPending
      ? { state: 'pending', code: read.problem, missing: 'upgrade' }
      : { state: 'rejected', code: read.problem };
  const { reading } = read;
  if (isErased && !outlastsErasure(reading)) return { state: 'rejected', code: RECORD_ERASED };
  switch (reading.kind) {
    case 'tombstone':
      result.apply(placed, { tombstone: true });
      return APPLIED;
    case 'erasure':
      result.apply(placed, { erased: true });
      return APPLIED;
    case 'members':
      result.apply(placed, { exists: true, members: reading.members });
      return APPLIED;
    case 'fact': {
      const verdict = factVerdict(placed, channelMembers);
      if (verdict.state === 'applied')
        result.apply(placed, { exists: true, heads: [reading.hash], view: reading.fields });
      return verdict;
    }
    case 'change': {
      const op = decodeOp(placed.bytes);
      return op === undefined
        ? { state: 'rejected', code: 'op-malformed' }
        : { change: reading.change, bytes: op.d };
    }
  }
}

function factVerdict(placed: PlacedOp, members: Membership | undefined): Verdict {
  if (placed.channel === 'public') return APPLIED;
  if (members === undefined) return { state: 'pending', code: 'channel-unknown', missing: placed.channel };
  return members.writers.includes(placed.author) ? APPLIED : { state: 'rejected', code: 'not-a-writer' };
}

/** Where the ops of each feed stand, in the feed's order. */
function byFeed(ops: readonly PlacedOp[]): Map<string, number[]> {
  const feeds = new Map<string, number[]>();
  ops.forEach(({ author, epoch }, at) => {
    const feed = `${author}/${epoch}`;
    const places = feeds.get(feed);
    if (places === undefined) feeds.set(feed, [at]);
    else places.push(at);
  });
  for (const places of feeds.values())
    places.sort((x, y) => {
      const [a, b] = [ops[x], ops[y]];
      return a === undefined || b === undefined ? 0 : a.seq - b.seq || a.index - b.index;
    });
  return feeds;
}
