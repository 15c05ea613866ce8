import type { Entry } from '../feed/entry.ts';
import type { Erasure } from '../feed/erasure.ts';
import { APPLIED, applyFast } from '../open-dialog/fast-path.ts';
import type { Merges } from '../open-dialog/merger.ts';
import { type ReadOp, readOp } from '../open-dialog/read-op.ts';
import { MERGE, type OpRef, type PlacedOp, type RecordState, type Verdict } from '../open-dialog/record.ts';
import { type Evaluation, evaluate } from '../open-dialog/rule.ts';
import { withoutMerge, withValues } from '../open-dialog/values.ts';
import type { Channel, RecordKey } from '../wire/ids.ts';
import { CommitRecords } from './commit-records.ts';
import { DraftBase } from './draft-base.ts';
import { recordMerging, type Writer } from './drafts.ts';
import { Erasing } from './erasing.ts';
import { LateChanges, WHOLE_OPS } from './late-changes.ts';
import { placedOps } from './placed-ops.ts';
import type { LedgerStore, PastCommit, RecordChange } from './ports.ts';
import { RecordOps } from './record-ops.ts';
import { sliced, type Turn } from './turn.ts';

/** The verdict on one op, and whether the op is new or was evaluated again. */
export interface EvaluatedOp {
  readonly ref: PlacedOp;
  readonly key: RecordKey | undefined;
  readonly verdict: Verdict;
  readonly fresh: boolean;
  /** Of a change that followed all that was applied before it. */
  readonly no?: number | undefined;
}

/**
 * Takes effect: what the ops of one commit do to their records. Local writes and remote entries both go through here. The fast
 * path applies an op to the cached state; what it cannot decide is evaluated whole, by the rule and with every op the record has, in
 * slices of this thread: op states, heads and digests wait for nobody. Where that shows real concurrency the values are Automerge's,
 * and come with the same commit or, marked until then, with a later one.
 */
export class Effects {
  readonly #store: LedgerStore;
  readonly #merges: Merges;
  readonly #turn: Turn;
  readonly #records: CommitRecords;
  readonly #ops: RecordOps;
  readonly #base: DraftBase;
  readonly #late: LateChanges;
  readonly #toReplay = new Set<RecordKey>();
  /** Records whose stored ops may get another verdict than they have. */
  readonly #again = new Set<RecordKey>();
  /** Records that somebody here writes to and waits for. */
  readonly #own = new Set<RecordKey>();
  readonly #evaluated: EvaluatedOp[] = [];
  /** Private records whose creation came or went: what stands in their channels is evaluated again. */
  readonly #turned: Channel[] = [];
  /** Records to evaluate again when what they lack comes; those of a private channel's facts also when its creation goes. */
  readonly awaiting: { missing: string; key: RecordKey }[] = [];
  /** What the erasures of this commit do to entries. */
  readonly erasing: Erasing;
  /** Ops that go with entries that are forgotten, and records of which nothing is left then. */
  readonly dropped: { readonly ref: OpRef; readonly key: RecordKey }[] = [];
  readonly gone = new Set<RecordKey>();

  /** How many commits had failed before anything was read: see `LedgerStore.handOver`. */
  readonly since: number;

  /** `isEffective` says of a stored op whether it stands below every fork of its feed. */
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
    this.#ops = new RecordOps(store, isEffective, this.erasing, turn);
    this.#base = new DraftBase(this.#records, this.#ops, merges, turn);
    this.#late = new LateChanges(store, turn, wholeOps);
  }

  /** Reads the records of these keys, each once. */
  load(keys: Iterable<RecordKey>): Promise<void> {
    return this.#records.load(keys);
  }

  /** A loaded record as it stands within this commit. */
  state(key: RecordKey): RecordState | undefined {
    return this.#records.state(key);
  }

  /**
   * Takes one op of this node's own in; undefined when `settle` has to evaluate its record first, which throws `record-merging` rather
   * than leave it unmerged. Its record and its channel's record must be loaded. `read` is what `readOp` says of it.
   */
  take(placed: PlacedOp, read: ReadOp): Verdict | undefined {
    if (read.key !== undefined) this.#own.add(read.key);
    return this.#take(placed, read);
  }

  #take(placed: PlacedOp, read: ReadOp): Verdict | undefined {
    if ('problem' in read) {
      if (read.erasure !== undefined) return this.#takeErasure(placed, read.erasure);
      const verdict: Verdict = read.isPending
        ? { state: 'pending', code: read.problem, missing: 'upgrade' }
        : { state: 'rejected', code: read.problem };
      // What is rejected by itself is listed but not kept with the record: the fast path and the full replay must count the same ops.
      this.#evaluated.push({ ref: placed, key: read.key, verdict, fresh: false });
      return verdict;
    }
    const { key, reading } = read;
    if (reading.kind === 'erasure') this.erasing.add(reading.erasure);
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
    this.#evaluated.push({ ref: placed, key, verdict, fresh: true, no });
    if (reading.kind === 'fact') this.#standsIn(placed.channel, key);
    if (reading.kind === 'members') this.#turned.push(key);
    return verdict;
  }

  /** A change that the fast path has left: its record need not be evaluated whole where it is told without. */
  async #takeLate(placed: PlacedOp, read: ReadOp): Promise<void> {
    if ('problem' in read || read.reading.kind !== 'change') return;
    const { key, collection, reading } = read;
    const state = this.#records.change(key, collection, placed.channel);
    const verdict = await this.#late.take(state, collection, reading.change, placed);
    if (verdict === undefined) return;
    this.#toReplay.delete(key);
    this.#evaluated.push({ ref: placed, key, verdict, fresh: true });
  }

  /** An erasure of a fact, which is no op of its record. */
  #takeErasure(placed: PlacedOp, erasure: Erasure): Verdict {
    this.erasing.add(erasure);
    this.#evaluated.push({ ref: placed, key: undefined, verdict: APPLIED, fresh: false });
    return APPLIED;
  }

  /** A private fact depends on its channel's creation for good, whichever of the two comes first. */
  #standsIn(channel: Channel, key: RecordKey): void {
    if (channel !== 'public' && channel !== key) this.awaiting.push({ missing: channel, key });
  }

  /** Takes these ops out of a record. `isAll`: nothing else is held of it, so it is not evaluated but goes. */
  async drop(key: RecordKey, refs: readonly OpRef[], isAll: boolean): Promise<void> {
    await this.load([key]);
    this.erasing.drop(refs);
    for (const ref of refs) this.dropped.push({ ref, key });
    if (!isAll) return this.again(key);
    // What stands in its channel may be going too: that is evaluated when all of it has gone.
    this.#records.empty(key);
    this.#late.evaluatedWhole(key, true);
    this.gone.add(key);
  }

  /** Takes the ops of an entry in: all, or those that `wanted` names. `readAs` is what `readOp` says of each, where that is known already. */
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

  /** Makes ready what a change of this writer is drafted on, after `draftEdit` has thrown `RECORD_PARTIAL`. Throws `record-merging`. */
  whole(key: RecordKey, writer: Writer): Promise<void> {
    return this.#base.prepare(key, writer);
  }

  /** A record whose ops no longer all have effect, or that waited for something that came. */
  async again(key: RecordKey): Promise<void> {
    await this.load([key]);
    this.#toReplay.add(key);
    this.#again.add(key);
  }

  /** Evaluates what the fast path left, and what became decidable by it. */
  async settle(): Promise<void> {
    for (const key of await this.erasing.apply()) await this.again(key);
    for (;;) {
      const channel = this.#turned.pop();
      if (channel !== undefined) {
        for (const key of await this.#store.awaiting(channel)) await this.again(key);
        // And what came in this very commit, before its channel's creation.
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

  async #evaluateWhole(key: RecordKey): Promise<void> {
    const { effective: ops, stored, forked } = await this.#ops.of(key);
    for (const ref of forked)
      this.#evaluated.push({ ref, key, verdict: { state: 'rejected', code: 'forked' }, fresh: false });
    const first = ops[0];
    this.#late.evaluatedWhole(key, first === undefined || this.#again.has(key));
    if (first === undefined) {
      if (this.#records.empty(key)?.members !== undefined) this.#turned.push(key);
      return;
    }
    if (first.channel !== 'public') await this.load([first.channel]);
    const before = this.state(key);
    const evaluation = await sliced(evaluate(key, ops, this.#records.members(first)), this.#turn);
    const { verdicts, outline: state } = evaluation;
    this.#records.set(key, await this.#merged(key, evaluation));
    const mayDiffer = this.#again.has(key) || (before?.pending ?? 0) > 0;
    const listed = mayDiffer ? await this.#listed(ops.slice(0, stored), verdicts) : undefined;
    for (const [i, verdict] of verdicts.entries()) {
      if (this.#turn.isOver()) await this.#turn.next();
      const ref = ops[i];
      // Once given a verdict stays, so of the stored ops only those are told of that waited or may have.
      if (ref === undefined || (i < stored && listed?.has(ref) !== true)) continue;
      this.#evaluated.push({ ref, key, verdict, fresh: i >= stored });
    }
    this.#standsIn(first.channel, key);
    if ((before?.members !== undefined) !== (state.members !== undefined)) this.#turned.push(key);
  }

  /** Of stored ops those whose verdict is to be written: all that do not count, and those that have not counted so far. */
  async #listed(stored: readonly PlacedOp[], verdicts: readonly Verdict[]): Promise<Set<PlacedOp>> {
    const changed = new Set(stored.filter((_, i) => verdicts[i]?.state !== 'applied'));
    const counting = stored.filter((_, i) => verdicts[i]?.state === 'applied');
    for (let from = 0; from < counting.length; from += LOOKED_UP) {
      const some = counting.slice(from, from + LOOKED_UP);
      const known = await this.#store.listed(some);
      for (const [i, ref] of some.entries()) if (known[i] === true) changed.add(ref);
    }
    return changed;
  }

  /**
   * The state with its values. While a merge is outstanding they are those that the record has shown so far, none where text of it
   * was erased; the author of an own write is told instead that it cannot be made now.
   */
  async #merged(key: RecordKey, { outline, values: known, input }: Evaluation): Promise<RecordState> {
    if (input === undefined) return outline;
    const values = known ?? (await this.#turn.away(() => this.#merges.merge(key, input)));
    if (typeof values === 'object') return withValues(outline, values);
    // An end needs no values.
    if (this.#own.has(key) && !outline.tombstone) throw recordMerging();
    const before = this.#records.before(key);
    const isErased = this.erasing.erased.some((each) => each.key === key);
    this.awaiting.push({ missing: MERGE, key });
    return withoutMerge(outline, before === undefined || isErased ? outline : before, values);
  }

  /** The last verdict on every op that was evaluated. */
  async verdicts(): Promise<EvaluatedOp[]> {
    const last = new Map<string, EvaluatedOp>();
    for (const evaluated of this.#evaluated) {
      if (this.#turn.isOver()) await this.#turn.next();
      const { ref } = evaluated;
      if (this.erasing.isErased(ref)) continue;
      const id = `${ref.author}|${ref.channel}|${ref.epoch}|${ref.seq}|${ref.index}`;
      last.set(id, { ...evaluated, fresh: evaluated.fresh || (last.get(id)?.fresh ?? false) });
    }
    return [...last.values()];
  }

  /** What this commit keeps of changes for those that come late. */
  past(): PastCommit[] {
    return this.#late.commits();
  }

  /** The records that this commit changes. */
  changes(): RecordChange[] {
    return this.#records.changes();
  }
}

/** Ops whose verdicts are looked up at once. */
const LOOKED_UP = 500;
