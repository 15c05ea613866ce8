import type { Entry } from '../feed/entry.ts';
import type { Checkpoint } from '../feed/checkpoint.ts';
import type { Erasure } from '../feed/erasure.ts';
import { feedId } from '../feed/feed.ts';
import { APPLIED, applyFast } from '../open-dialog/fast-path.ts';
import type { Merges } from '../open-dialog/merger.ts';
import { type ReadOp, readOp } from '../open-dialog/read-op.ts';
import {
  MERGE,
  TURNED,
  type OpRef,
  type PlacedOp,
  type RecordState,
  type Verdict,
} from '../open-dialog/record.ts';
import { type RecordEvaluation, evaluateRecord, type MergeInput } from '../open-dialog/rule.ts';
import { withoutMerge, withValues } from '../open-dialog/values.ts';
import type { Channel, RecordKey } from '../wire/ids.ts';
import { LIMITS } from '../wire/limits.ts';
import { CommitFloors } from './commit-floors.ts';
import { CommitRecords } from './commit-records.ts';
import { DraftBase } from './draft-base.ts';
import { recordMerging, type Writer } from './drafts.ts';
import { Erasing } from './erasing.ts';
import { LateChanges, WHOLE_OPS } from './late-changes.ts';
import { placedOps, sizedRef } from './placed-ops.ts';
import type { EvaluatedOp, FloorsToCome, LedgerStore, PastCommit, RecordChange } from './ports.ts';
import { type OpsOfRecord, RecordOps } from './record-ops.ts';
import type { Turn } from './turn.ts';

/**
 * What the ops of one commit do to their records, for local writes and remote entries alike. The fast path applies an op to the
 * cached state; what it cannot decide is evaluated completely, by the rule and with every op of the record, in slices of this
 * thread: op states, heads and digests never wait for a worker. If that reveals real concurrency, the values are Automerge's and are
 * written with the same commit or, with the record marked until then, with a later one.
 */
export class Effects {
  readonly #store: LedgerStore;
  readonly #merges: Merges;
  readonly #turn: Turn;
  readonly #records: CommitRecords;
  readonly #ops: RecordOps;
  readonly #base: DraftBase;
  readonly #late: LateChanges;
  readonly #floors: CommitFloors;
  readonly #toReplay = new Set<RecordKey>();
  /** Records whose stored ops may get another verdict than they have. */
  readonly #again = new Set<RecordKey>();
  /** Records that somebody here writes to and waits for. */
  readonly #own = new Set<RecordKey>();
  readonly #evaluated: EvaluatedOp[] = [];
  /** Private records whose creation was added or removed: the ops in their channels are evaluated again. */
  readonly #turned: Channel[] = [];
  /** Records to evaluate again when what they lack comes; those of a private channel's facts also when its creation goes. */
  readonly awaiting: { missing: string; key: RecordKey }[] = [];
  /** What the erasures of this commit do to entries. */
  readonly erasing: Erasing;
  /** Checkpoints that came, each where it stands. */
  readonly checkpoints: { readonly ref: OpRef; readonly checkpoint: Checkpoint }[] = [];
  /** Ops that go with entries that are forgotten, and records of which nothing is left then. */
  readonly dropped: { readonly ref: OpRef; readonly key: RecordKey }[] = [];
  readonly gone = new Set<RecordKey>();
  /** Channels whose facts are evaluated again in later commits. */
  readonly turnedLater = new Set<RecordKey>();

  /** How many commits had failed before anything was read: see `LedgerStore.handOver`. */
  readonly since: number;

  /** `isEffective` says whether a stored op is below every fork of its feed. */
  constructor(
    store: LedgerStore,
    merges: Merges,
    isEffective: (ref: OpRef) => boolean,
    turn: Turn,
    since: number,
    wholeOps = WHOLE_OPS,
  ) {
    this.#store = store;
    this.since = since;
    this.#merges = merges;
    this.#turn = turn;
    this.erasing = new Erasing(store, turn);
    this.#records = new CommitRecords(store, turn);
    this.#floors = new CommitFloors(store, this.erasing);
    this.#ops = new RecordOps(store, isEffective, this.erasing, turn, this.#floors);
    this.#base = new DraftBase(this.#records, this.#ops, this.#floors);
    this.#late = new LateChanges(store, turn, wholeOps);
  }

  /** Reads the records of these keys, each once. */
  load(keys: Iterable<RecordKey>): Promise<void> {
    return this.#records.load(keys);
  }

  /** A loaded record in its state within this commit. */
  state(key: RecordKey): RecordState | undefined {
    return this.#records.state(key);
  }

  /**
   * Applies one op of this node's own; undefined when `evaluateRemaining` has to evaluate its record first, which throws
   * `record-merging` rather than leave it unmerged. Its record and its channel's record must be loaded. `read` is the result of
   * `readOp` for it.
   */
  take(placed: PlacedOp, read: ReadOp): Verdict | undefined {
    if (read.key !== undefined) this.#own.add(read.key);
    return this.#take(placed, read);
  }

  #take(placed: PlacedOp, read: ReadOp): Verdict | undefined {
    if ('problem' in read) {
      if (read.erasure !== undefined) return this.#takeErasure(placed, read.erasure);
      if (read.checkpoint !== undefined) return this.#takeCheckpoint(placed, read.checkpoint);
      const verdict: Verdict = read.isPending
        ? { state: 'pending', code: read.problem, missing: 'upgrade' }
        : { state: 'rejected', code: read.problem };
      // An op that is rejected by itself is listed but not stored with the record: the fast path and the full replay must count the
      // same ops.
      this.#evaluated.push({ ...sizedRef(placed), key: read.key, verdict, fresh: false });
      return verdict;
    }
    const { key, reading } = read;
    if (reading.kind === 'erasure') this.erasing.add(reading.erasure);
    if (placed.seq <= this.#floors.coverOf(key, placed)) {
      // Its floor tells what it amounts to.
      this.#evaluated.push({ ...sizedRef(placed), key, verdict: APPLIED, fresh: true });
      return APPLIED;
    }
    this.#ops.add(key, placed);
    if (this.#toReplay.has(key)) return undefined;
    const state = this.#records.change(key, read.collection, placed.channel);
    const verdict = applyFast(state, read, placed, this.#records.members(placed));
    if (verdict === undefined) {
      this.#toReplay.add(key);
      // It takes back what has been applied.
      if (reading.kind === 'erasure') this.#again.add(key);
      return undefined;
    }
    const isNumbered = reading.kind === 'change' && verdict.state === 'applied';
    const no = isNumbered ? this.#late.followed(key, reading.change) : undefined;
    this.#evaluated.push({ ...sizedRef(placed), key, verdict, fresh: true, no });
    if (reading.kind === 'fact') this.#standsIn(placed.channel, key);
    if (reading.kind === 'members') this.#turned.push(key);
    return verdict;
  }

  /**
   * A change that the fast path could not decide: its record need not be evaluated completely if the change can be decided without
   * that.
   */
  async #takeLate(placed: PlacedOp, read: ReadOp): Promise<void> {
    if ('problem' in read || read.reading.kind !== 'change') return;
    const { key, collection, reading } = read;
    const state = this.#records.change(key, collection, placed.channel);
    const verdict = await this.#late.take(state, collection, reading.change, placed);
    if (verdict === undefined) return;
    this.#toReplay.delete(key);
    this.#evaluated.push({ ...sizedRef(placed), key, verdict, fresh: true });
  }

  /** An erasure of a fact, which is not an op of its record. */
  #takeErasure(placed: PlacedOp, erasure: Erasure): Verdict {
    this.erasing.add(erasure);
    this.#evaluated.push({ ...sizedRef(placed), key: undefined, verdict: APPLIED, fresh: false });
    return APPLIED;
  }

  /** A checkpoint, which is an op of no record. */
  #takeCheckpoint(placed: PlacedOp, checkpoint: Checkpoint): Verdict {
    const { author, channel, epoch, seq, index } = placed;
    this.checkpoints.push({ ref: { author, channel, epoch, seq, index }, checkpoint });
    this.#evaluated.push({ ...sizedRef(placed), key: undefined, verdict: APPLIED, fresh: false });
    return APPLIED;
  }

  /** A private fact depends on its channel's creation permanently, whichever of the two arrives first. */
  #standsIn(channel: Channel, key: RecordKey): void {
    if (channel !== 'public' && channel !== key) this.awaiting.push({ missing: channel, key });
  }

  /** Takes these ops out of a record. `isAll`: nothing else is held of it, so it is not evaluated but goes. */
  async drop(key: RecordKey, refs: readonly OpRef[], isAll: boolean): Promise<void> {
    await this.load([key]);
    this.erasing.drop(refs);
    for (const ref of refs) this.dropped.push({ ref, key });
    if (!isAll) return this.again(key);
    // The ops in its channel may be removed too: they are evaluated when all of them are gone.
    this.#records.empty(key);
    this.#late.evaluatedWhole(key, true);
    this.gone.add(key);
  }

  /**
   * Applies the ops of an entry: all, or those that `wanted` names. `readAs` is the result of `readOp` for each, where it is known
   * already.
   */
  async takeEntry(
    entry: Entry,
    wanted: (index: number) => boolean = () => true,
    readAs: (placed: PlacedOp) => ReadOp = readOp,
  ): Promise<void> {
    this.erasing.entry(entry);
    const read: { placed: PlacedOp; read: ReadOp }[] = [];
    for (const placed of placedOps(entry)) {
      if (!wanted(placed.index)) continue;
      read.push({ placed, read: readAs(placed) });
      if (this.#turn.isOver()) await this.#turn.next();
    }
    const keys = read.flatMap(({ read: { key } }) => (key === undefined ? [] : [key]));
    if (entry.header.channel !== 'public') keys.push(entry.header.channel);
    await this.load(keys);
    for (const { placed, read: what } of read) {
      await this.#base.meet(what, placed);
      const isFirst = what.key !== undefined && !this.#toReplay.has(what.key);
      if (this.#take(placed, what) === undefined && isFirst) await this.#takeLate(placed, what);
      if (this.#turn.isOver()) await this.#turn.next();
    }
  }

  /** Makes ready what a change of this writer is drafted on, after `draftEdit` has thrown `RECORD_PARTIAL`. */
  whole(key: RecordKey, writer: Writer): Promise<void> {
    return this.#base.prepare(key, writer);
  }

  /** Records that a fork has invalidated an op of a record. */
  forked(placed: PlacedOp, key: RecordKey): void {
    this.#evaluated.push({ ...sizedRef(placed), key, verdict: FORKED, fresh: false });
  }

  /** A record some of whose ops no longer have effect, or whose pending ops' dependency has arrived. */
  async again(key: RecordKey): Promise<void> {
    await this.load([key]);
    this.#toReplay.add(key);
    this.#again.add(key);
  }

  /** A record that begins at its floor by a checkpoint from this commit on. */
  async raise(key: RecordKey, to: FloorsToCome): Promise<void> {
    this.#floors.raise(key, to);
    await this.again(key);
  }

  /** A channel whose creation has come or gone. */
  turn(channel: RecordKey): void {
    this.#turned.push(channel);
  }

  /** Evaluates what the fast path left, and what became decidable by it. */
  async evaluateRemaining(): Promise<void> {
    for (const key of await this.erasing.apply()) await this.again(key);
    for (;;) {
      const channel = this.#turned.pop();
      if (channel !== undefined) {
        await this.#turnChannel(channel);
        // Likewise for what arrived in this very commit, before its channel's creation.
        for (const { missing, key } of this.awaiting) if (missing === channel) await this.again(key);
        continue;
      }
      const [key] = this.#toReplay;
      if (key === undefined) return;
      if (this.#turn.isOver()) await this.#turn.next();
      this.#toReplay.delete(key);
      await this.#evaluateWhole(key);
    }
  }

  /** Has the facts of a channel evaluated again, in this commit or, where they are too many for one, in others after it. */
  async #turnChannel(channel: Channel): Promise<void> {
    const facts = await this.#store.awaiting(channel, { limit: FACTS_AT_ONCE + 1 });
    const key = channel as RecordKey; // a private channel is its record's key
    if (facts.length > FACTS_AT_ONCE) {
      this.turnedLater.add(key);
      this.awaiting.push({ missing: TURNED, key });
    } else for (const fact of facts) await this.again(fact);
  }

  async #evaluateWhole(key: RecordKey): Promise<void> {
    const ops = await this.#ops.of(key);
    const [first] = ops.effective();
    const floor = await this.#floors.of(key, first !== undefined);
    this.#late.evaluatedWhole(key, first === undefined || this.#again.has(key));
    if (first === undefined && floor === undefined) {
      if (this.#records.empty(key)?.members !== undefined) this.#turned.push(key);
      return;
    }
    const channel = first === undefined ? 'public' : ops.refAt(first).channel;
    if (channel !== 'public') await this.load([channel]);
    const before = this.state(key);
    const members = this.#records.members({ channel });
    const evaluation = await ops.answer(evaluateRecord(key, ops.feeds, members, { floor }));
    this.#records.set(key, await this.#merged(key, evaluation, ops));
    await this.#tell(key, ops, evaluation, this.#again.has(key) || (before?.pending ?? 0) > 0);
    this.#standsIn(channel, key);
    const isFounded = evaluation.outline.members !== undefined;
    if ((before?.members !== undefined) !== isFounded) this.#turned.push(key);
  }

  /**
   * Records the verdicts to be written: those of new ops, and, where others may differ from what is stored, those of all ops that
   * are not applied and of those that were not applied so far. A verdict never changes once given, so no other stored op is
   * affected.
   */
  async #tell(
    key: RecordKey,
    ops: OpsOfRecord,
    evaluation: RecordEvaluation,
    mayDiffer: boolean,
  ): Promise<void> {
    let counting: { readonly at: number; readonly ref: OpRef }[] = [];
    const note = (at: number, ref = ops.refAt(at)): void => {
      const verdict = evaluation.verdictOf(at);
      if (verdict === undefined) return;
      this.#evaluated.push({ ref, size: evaluation.sizeOf(at), key, verdict, fresh: ops.isFresh(at) });
    };
    const noteListed = async (): Promise<void> => {
      const listed = await this.#store.listed(counting.map(({ ref }) => ref));
      for (const [i, { at, ref }] of counting.entries()) if (listed[i] === true) note(at, ref);
      counting = [];
    };
    for (const at of ops.effective()) {
      if (this.#turn.isOver()) await this.#turn.next();
      if (ops.isFresh(at)) note(at);
      else if (!mayDiffer) continue;
      else if (evaluation.verdictOf(at)?.state !== 'applied') note(at);
      else counting.push({ at, ref: ops.refAt(at) });
      if (counting.length >= LOOKED_UP) await noteListed();
    }
    await noteListed();
  }

  /**
   * The state with its values. While a merge is outstanding they are the last ones the record has shown, or none where text of it
   * was erased; the author of an own write is told instead that it cannot be made now.
   */
  async #merged(key: RecordKey, evaluation: RecordEvaluation, ops: OpsOfRecord): Promise<RecordState> {
    const { outline } = evaluation;
    if (!evaluation.hasChanges) return outline;
    const input = evaluation.values === undefined ? await ops.answer(evaluation.input()) : undefined;
    const values = input === undefined ? evaluation.values : await this.#merge(key, input);
    if (values === undefined) return outline;
    if (typeof values === 'object') return withValues(outline, values);
    // An end needs no values.
    if (this.#own.has(key) && !outline.tombstone) throw recordMerging();
    const before = this.#records.before(key);
    const isErased = this.erasing.erased.some((each) => each.key === key);
    this.awaiting.push({ missing: MERGE, key });
    return withoutMerge(outline, before === undefined || isErased ? outline : before, values);
  }

  #merge(key: RecordKey, input: MergeInput): ReturnType<Merges['merge']> {
    return this.#turn.away(() => this.#merges.merge(key, input));
  }

  /** The last verdict on every op that was evaluated. */
  async verdicts(): Promise<EvaluatedOp[]> {
    const feeds = new Map<string, Map<number, EvaluatedOp>>();
    for (const evaluated of this.#evaluated) {
      if (this.#turn.isOver()) await this.#turn.next();
      const { ref } = evaluated;
      if (this.erasing.isErased(ref)) continue;
      const feed = feedId(ref);
      const last = feeds.get(feed) ?? new Map<number, EvaluatedOp>();
      feeds.set(feed, last);
      const place = ref.seq * LIMITS.entryOps + ref.index;
      const isNew = evaluated.fresh || last.get(place)?.fresh !== true;
      last.set(place, isNew ? evaluated : { ...evaluated, fresh: true });
    }
    return [...feeds.values()].flatMap((last) => [...last.values()]);
  }

  /** What this commit stores of changes for evaluating late ones. */
  past(): PastCommit[] {
    return this.#late.commits();
  }

  /** The records that this commit changes. */
  changes(): RecordChange[] {
    return this.#records.changes();
  }
}

const FORKED: Verdict = { state: 'rejected', code: 'forked' };

/** Facts of a channel that are evaluated again in one commit: as many as an entry may have ops. */
export const FACTS_AT_ONCE = LIMITS.entryOps;

/** Ops whose verdicts are looked up at once. */
const LOOKED_UP = 500;
