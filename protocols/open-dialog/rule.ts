import { decodeOp } from '../feed/op.ts';
import { sha256Hex } from '../wire/bytes.ts';
import type { RecordKey } from '../wire/ids.ts';
import { type FieldOps, FieldValues, VisibleWrites } from './field-values.ts';
import { opIdText, type Scalar } from './change.ts';
import type { DocumentFloor, Floor, FloorValue } from './floor.ts';
import type { Follows, ShownField, ShownSet } from './history-types.ts';
import type { History } from './history.ts';
import { HOT } from './hot.ts';
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
  /** What a change of the actor that was named names. */
  readonly visible: FieldOps | undefined;
  /** What a history that begins here is upon. */
  readonly floor: Floor | typeof TOO_MANY_HEADS | undefined;
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
  /** Whether changes have effect, those below its floor included. */
  readonly hasChanges: boolean;
  /** Undefined where there is no such op. */
  readonly verdictOf: (at: number) => Verdict | undefined;
  readonly sizeOf: (at: number) => number;
  /** What Automerge merges, read again. */
  readonly input: () => Asking<MergeInput | undefined>;
  /** What a change names that follows this: all is read again, and none kept. */
  readonly visibleAt: (at: Follows) => Asking<FieldOps>;
  /** What a history that begins here is upon; undefined where nothing is applied. */
  readonly floor: () => Asking<Floor | typeof TOO_MANY_HEADS | undefined>;
}

/** Instead of a floor: no change could follow all of these heads. */
export const TOO_MANY_HEADS = 'too-many-heads';

/** The applied changes of a record, every one after those it depends on. */
export interface MergeInput {
  readonly changes: readonly Uint8Array[];
  /** What they begin at, where that is not the genesis. */
  readonly floor?: DocumentFloor;
  /** SHA-256 of all heads: equal for equal sets of changes upon one floor. */
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
 * drafted on. Above a `floor` the ops are all but the covered changes. It asks for each op when it needs it, and keeps none: a record
 * of a million ops takes some hundred bytes for each.
 */
export function* evaluateRecord(
  key: RecordKey,
  feeds: readonly FeedOps[],
  channelMembers: Membership | undefined,
  { actor, merged = MERGED_CHANGES, floor }: EvaluationOptions = {},
): Asking<RecordEvaluation> {
  const walk = new RecordWalk(key, feeds, channelMembers, floor);
  yield* walk.walk();
  const { history, hasChanges } = walk;
  const heads = hasChanges ? yield* paused(history.heads()) : [];
  const outline = yield* paused(walk.finish(heads));
  const isMerged = !history.isLinear && history.length <= merged && walk.bytes <= MERGED_BYTES;
  return {
    outline,
    values: hasChanges && !isMerged ? yield* shownValues(yield* paused(history.shown())) : undefined,
    follows: actor === undefined || !hasChanges ? undefined : yield* paused(history.followedBy(actor)),
    hasChanges,
    verdictOf: (at) => walk.verdictOf(at),
    sizeOf: (at) => walk.sizeOf(at),
    *input() {
      return hasChanges ? yield* mergeInput(history, heads, floor) : undefined;
    },
    visibleAt: (at) => visibleAt(history, floor, at),
    floor: () => floorOf(walk, outline, heads),
  };
}

interface EvaluationOptions {
  readonly actor?: string | undefined;
  readonly merged?: number;
  readonly floor?: Floor | undefined;
  /** Of `evaluate` alone: it tells the floor that these ops give. */
  readonly tellsFloor?: true;
}

function* mergeInput(
  history: History,
  heads: readonly string[],
  floor: Floor | undefined,
): Asking<MergeInput> {
  const changes: Uint8Array[] = [];
  for (let change = 0; change < history.length; change++) {
    const placed = yield history.at(change);
    const op = placed && decodeOp(placed.bytes);
    // A copy: a view would hold its whole entry.
    if (op !== undefined) changes.push(op.d.slice());
  }
  const id = yield* paused(hashInPieces(heads));
  if (floor?.kind !== 'document') return { changes, id };
  return { changes, floor, id: `${id} ${sha256Hex(JSON.stringify(floor.values))}` };
}

/** Each change that they have seen is read again, one after another. Whoever follows anything above a floor follows that, too. */
function* visibleAt(history: History, floor: Floor | undefined, { actor, heads }: Follows): Asking<FieldOps> {
  const writes = new VisibleWrites(floor?.kind === 'document' ? floor.values : []);
  const isSeen = yield* paused(history.seenFrom(heads));
  for (let change = 0; change < history.length; change++) {
    const placed = yield isSeen(change) ? history.at(change) : undefined;
    const read = placed && readOp(placed);
    if (read === undefined || 'problem' in read || read.reading.kind !== 'change') continue;
    writes.apply(read.reading.change);
  }
  return yield* paused(writes.namedBy(actor));
}

function* floorOf(
  walk: RecordWalk,
  { key, created, updated, tombstone, erased, exists, maxOp }: RecordState,
  heads: readonly string[],
): Asking<Floor | typeof TOO_MANY_HEADS | undefined> {
  const times = { key, created, updated };
  if (tombstone || erased === true) return { kind: 'ended', ...times, tombstone, erased: erased === true };
  if (walk.fact !== undefined) return { kind: 'fact', ...times, d: walk.fact };
  if (!exists || !walk.hasChanges) return undefined;
  if (heads.length > HOT.heads) return TOO_MANY_HEADS;
  const values: FloorValue[] = [];
  const shown = yield* paused(walk.history.shown(Infinity));
  for (const { field, first } of shown.toSorted((a, b) => (a.field < b.field ? -1 : 1)))
    for (const set of first) {
      const value = yield* valueOf(set);
      if (value !== undefined) values.push({ field, counter: set.counter, actor: set.actor, value });
    }
  return { kind: 'document', ...times, heads, maxOp, values };
}

/**
 * The same for ops in memory, with what Automerge merges. It yields after each op, so that a caller on the main thread can let the
 * event loop run (`runAll` does not).
 */
export function* evaluate(
  key: RecordKey,
  ops: readonly PlacedOp[],
  channelMembers: Membership | undefined,
  how: EvaluationOptions = {},
): Generator<void, Evaluation> {
  const { feeds, order } = inFeeds(ops);
  const at = (number: number): PlacedOp | undefined => ops[order[number] ?? -1];
  const evaluation = yield* answered(evaluateRecord(key, feeds, channelMembers, how), at);
  const { outline, values, follows } = evaluation;
  const verdicts: Verdict[] = [];
  for (const [number, place] of order.entries()) {
    const verdict = evaluation.verdictOf(number);
    if (verdict !== undefined) verdicts[place] = verdict;
  }
  const input = yield* answered(evaluation.input(), at);
  const floor = how.tellsFloor === true ? yield* answered(evaluation.floor(), at) : undefined;
  const visible = follows === undefined ? undefined : yield* answered(evaluation.visibleAt(follows), at);
  return { verdicts, outline, values, input, follows, visible, floor };
}

/** The values of what no applied change has replaced: those of Automerge, without a document. */
function* shownValues(shown: readonly ShownField[]): Asking<Values> {
  const values = new FieldValues();
  for (const { field, first, count } of shown) {
    const visible: FieldValue[] = [];
    for (const set of first) {
      const value = yield* valueOf(set);
      if (value !== undefined) visible.push({ op: opIdText(set), value });
    }
    values.set(field, visible, count);
  }
  return values.all;
}

function* valueOf(set: ShownSet): Asking<Scalar | undefined> {
  if (set.at === undefined) return set.value;
  const placed = yield set.at;
  const read = placed && readOp(placed);
  if (read === undefined || 'problem' in read || read.reading.kind !== 'change') return undefined;
  return read.reading.change.ops[set.index]?.value ?? null;
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
