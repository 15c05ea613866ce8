import { decodeOp } from '../feed/op.ts';
import type { RecordKey } from '../wire/ids.ts';
import { FieldValues } from './field-values.ts';
import type { Follows, ShownField } from './history.ts';
import { hashInPieces } from './pieces.ts';
import { readOp } from './read-op.ts';
import type { FieldValue, Membership, PlacedOp, RecordState, Values, Verdict } from './record.ts';
import { type Asking, type FeedOps, paused, RecordWalk } from './record-walk.ts';

/** The result of the written rule alone for a record; nothing of it waits for Automerge. */
export interface Evaluation extends Outcome {
  /** Beside the ops, in the same order. */
  readonly verdicts: readonly Verdict[];
  /** What Automerge merges; undefined when no change is applied. */
  readonly input: MergeInput | undefined;
}

/** The same without what grows with the record. */
export interface Outcome {
  /** The complete state except what needs a merge: a document has no values here. */
  readonly outline: RecordState;
  /**
   * The values of a document, where they need no merge: its history is linear, or longer than what is merged. Undefined where there
   * is real concurrency, and for anything but a document.
   */
  readonly values: Values | undefined;
  /** What a change of the named actor follows. */
  readonly follows: Follows | undefined;
}

/** A record that has been walked: its outcome, and of each op by its number its verdict and size. */
export interface RecordEvaluation extends Outcome {
  /** SHA-256 of all heads; undefined when no change is applied. */
  readonly id: string | undefined;
  /** Undefined where there is no such op. */
  readonly verdictOf: (at: number) => Verdict | undefined;
  readonly sizeOf: (at: number) => number;
  /** What Automerge merges, read again. */
  readonly changes: () => Asking<Uint8Array[]>;
}

/** The applied changes of a record, every one after those it depends on. */
export interface MergeInput {
  readonly changes: readonly Uint8Array[];
  /** SHA-256 of all heads: equal for equal sets of changes. */
  readonly id: string;
}

/** With more changes than this a document would take gigabytes and minutes: the rule then gives the values, which are the same. */
export const MERGED_CHANGES = 32_768;
/** And beyond so many bytes of them: all are in memory at once, here and in the worker. */
const MERGED_BYTES = 64 * 1024 * 1024;

/**
 * Evaluates all ops of one record: a pure function of the set, whatever its order. Within one feed, ops on the record are evaluated
 * in the feed's order, and one that is pending makes the later ones pending: so a verdict, once given, never changes, however many
 * ops are still to come. `channelMembers` are those of a private fact's channel; for `actor` the result says what a change can be
 * drafted on. It asks for each op when it needs it, and keeps none: a record of a million ops takes some hundred bytes for each.
 */
export function* evaluateRecord(
  key: RecordKey,
  feeds: readonly FeedOps[],
  channelMembers: Membership | undefined,
  { actor, merged = MERGED_CHANGES }: { readonly actor?: string | undefined; readonly merged?: number } = {},
): Asking<RecordEvaluation> {
  const walk = new RecordWalk(key, feeds, channelMembers);
  yield* walk.walk();
  const { history, hasChanges } = walk;
  const heads = hasChanges ? yield* paused(history.heads()) : [];
  const outline = yield* paused(walk.finish(heads));
  const isMerged = !history.isLinear && history.length <= merged && walk.bytes <= MERGED_BYTES;
  return {
    outline,
    values: hasChanges && !isMerged ? yield* shownValues(yield* paused(history.shown())) : undefined,
    follows: actor === undefined || !hasChanges ? undefined : yield* paused(history.followedBy(actor)),
    id: hasChanges ? yield* paused(hashInPieces(heads)) : undefined,
    verdictOf: (at) => walk.verdictOf(at),
    sizeOf: (at) => walk.sizeOf(at),
    *changes() {
      const changes: Uint8Array[] = [];
      for (let change = 0; change < history.length; change++) {
        const placed = yield history.at(change);
        const op = placed && decodeOp(placed.bytes);
        // A copy: a view would hold its whole entry.
        if (op !== undefined) changes.push(op.d.slice());
      }
      return changes;
    },
  };
}

/**
 * The same for ops in memory, with what Automerge merges. It yields after each op, so that a caller on the main thread can let the
 * event loop run (`runAll` does not).
 */
export function* evaluate(
  key: RecordKey,
  ops: readonly PlacedOp[],
  channelMembers: Membership | undefined,
  actor?: string,
  merged = MERGED_CHANGES,
): Generator<void, Evaluation> {
  const { feeds, order } = inFeeds(ops);
  const at = (number: number): PlacedOp | undefined => ops[order[number] ?? -1];
  const evaluation = yield* answered(evaluateRecord(key, feeds, channelMembers, { actor, merged }), at);
  const { outline, values, follows, id } = evaluation;
  const verdicts: Verdict[] = [];
  for (const [number, place] of order.entries()) {
    const verdict = evaluation.verdictOf(number);
    if (verdict !== undefined) verdicts[place] = verdict;
  }
  const input = id === undefined ? undefined : { id, changes: yield* answered(evaluation.changes(), at) };
  return { verdicts, outline, values, input, follows };
}

/** The values of what no applied change has replaced: those of Automerge, without a document. */
function* shownValues(shown: readonly ShownField[]): Asking<Values> {
  const values = new FieldValues();
  for (const { field, first, count } of shown) {
    const visible: FieldValue[] = [];
    for (const { counter, actor, at, index } of first) {
      const placed = yield at;
      const read = placed && readOp(placed);
      if (read === undefined || 'problem' in read || read.reading.kind !== 'change') continue;
      visible.push({ op: `${counter}@${actor}`, value: read.reading.change.ops[index]?.value ?? null });
    }
    values.set(field, visible, count);
  }
  return values.all;
}

/** Runs work that asks for ops that are there. */
function* answered<T>(work: Asking<T>, op: (at: number) => PlacedOp | undefined): Generator<void, T> {
  for (let step = work.next(); ;) {
    if (step.done === true) return step.value;
    yield;
    step = work.next(step.value === undefined ? undefined : op(step.value));
  }
}

/** Runs an evaluation without a break. */
export function runAll<T>(work: Generator<void, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

/** The ops of each feed in the feed's order, one feed after another: `order` gives the index of each among the ops. */
function inFeeds(ops: readonly PlacedOp[]): { readonly feeds: FeedOps[]; readonly order: number[] } {
  const places = new Map<string, number[]>();
  for (const [at, { author, epoch }] of ops.entries()) {
    const feed = places.get(`${author}/${epoch}`);
    if (feed === undefined) places.set(`${author}/${epoch}`, [at]);
    else feed.push(at);
  }
  const feeds: FeedOps[] = [];
  const order: number[] = [];
  for (const some of places.values()) {
    some.sort((x, y) => {
      const [a, b] = [ops[x], ops[y]];
      return a === undefined || b === undefined ? 0 : a.seq - b.seq || a.index - b.index;
    });
    const first = ops[some[0] ?? -1];
    if (first === undefined) continue;
    const { author, channel, epoch } = first;
    feeds.push({ author, channel, epoch, from: order.length, to: order.length + some.length });
    for (const at of some) order.push(at);
  }
  return { feeds, order };
}
