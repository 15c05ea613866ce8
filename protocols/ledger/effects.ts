import { AgrinetError } from '../errors.ts';
import type { Entry } from '../feed/entry.ts';
import { type Erasure, openErasure } from '../feed/erasure.ts';
import { decodeOp } from '../feed/op.ts';
import { applyFast, emptyState } from '../open-dialog/fast-road.ts';
import { ERASURE, readOp, type ReadOp } from '../open-dialog/read-op.ts';
import {
  type Membership,
  type OpRef,
  type PlacedOp,
  type RecordState,
  type Verdict,
} from '../open-dialog/record.ts';
import { COLLECTIONS } from '../open-dialog/schema.ts';
import { type Channel, parseRecordKey, type RecordKey } from '../wire/ids.ts';
import type { Judge } from '../open-dialog/merger.ts';
import { Erasing } from './erasing.ts';
import { placedOps } from './placed-ops.ts';
import type { LedgerStore, RecordChange } from './ports.ts';
import type { Turn } from './turn.ts';

/** The verdict on one op, and whether the op is new or was judged again. */
export interface Judged {
  readonly ref: OpRef;
  readonly key: RecordKey | undefined;
  readonly verdict: Verdict;
  readonly fresh: boolean;
}

/**
 * Takes effect: what the ops of one commit do to their records. Local writes and remote entries both go through here. The fast
 * road applies an op to the cached state; what it cannot decide is judged whole, with every op the record has.
 */
export class Effects {
  readonly #store: LedgerStore;
  readonly #judge: Judge;
  readonly #turn: Turn;
  readonly #before = new Map<RecordKey, RecordState | undefined>();
  readonly #now = new Map<RecordKey, RecordState>();
  readonly #fresh = new Map<RecordKey, PlacedOp[]>();
  readonly #slow = new Set<RecordKey>();
  readonly #judged: Judged[] = [];
  /** Records to judge again when what they lack comes; those of a private channel's facts also when its creation goes. */
  readonly lacking: { lacks: string; key: RecordKey }[] = [];

  readonly #effective: (ref: OpRef) => boolean;
  /** What the erasures of this commit do to entries. */
  readonly erasing: Erasing;

  /** `effective` says of a stored op whether it stands below every fork of its feed. */
  constructor(store: LedgerStore, judge: Judge, effective: (ref: OpRef) => boolean, turn: Turn) {
    this.#store = store;
    this.#judge = judge;
    this.#turn = turn;
    this.#effective = effective;
    this.erasing = new Erasing(store, turn);
  }

  /** Reads the records of these keys, each once. */
  async load(keys: Iterable<RecordKey>): Promise<void> {
    const missing = [...new Set(keys)].filter((key) => !this.#before.has(key));
    if (missing.length === 0) return;
    const states = await this.#store.records(missing, this.#turn);
    missing.forEach((key, i) => this.#before.set(key, states[i]));
  }

  /** A loaded record as it stands within this commit. */
  state(key: RecordKey): RecordState | undefined {
    return this.#now.get(key) ?? this.#before.get(key);
  }

  /** Members of the record whose channel an op stands in; loaded before. */
  #members(placed: PlacedOp): Membership | undefined {
    return placed.channel === 'public' ? undefined : this.state(placed.channel)?.members;
  }

  /** Takes one op in. Its record and its channel's record must be loaded. */
  take(placed: PlacedOp, read = readOp(placed)): Verdict | undefined {
    if ('problem' in read) {
      if (read.problem === ERASURE) return this.#takeErasure(placed);
      const verdict: Verdict = read.waits
        ? { state: 'waits', code: read.problem, lacks: 'upgrade' }
        : { state: 'void', code: read.problem };
      // What is void by itself is listed but not kept with the record: `judge` and the fast road must count the same ops.
      this.#judged.push({ ref: placed, key: read.key, verdict, fresh: false });
      return verdict;
    }
    const { key } = read;
    const fresh = this.#fresh.get(key);
    if (fresh === undefined) this.#fresh.set(key, [placed]);
    else fresh.push(placed);
    if (this.#slow.has(key)) return undefined;
    const effect = applyFast(this.state(key), read, placed, this.#members(placed));
    if (effect === undefined) {
      this.#slow.add(key);
      return undefined;
    }
    this.#now.set(key, effect.state);
    this.#judged.push({ ref: placed, key, verdict: effect.verdict, fresh: true });
    if (read.reading.kind === 'fact') this.#standsIn(placed.channel, key);
    if (read.reading.kind === 'members') this.#turned.push(key);
    return effect.verdict;
  }

  #takeErasure(placed: PlacedOp): Verdict {
    const verdict = erasureOf(placed);
    if ('state' in verdict) {
      this.#judged.push({ ref: placed, key: undefined, verdict, fresh: false });
      return verdict;
    }
    this.erasing.add(verdict);
    this.#judged.push({ ref: placed, key: undefined, verdict: { state: 'counts' }, fresh: false });
    return { state: 'counts' };
  }

  /** Private records whose creation came or went: what stands in their channels is judged again. */
  readonly #turned: Channel[] = [];

  /** A private fact depends on its channel's creation for good, whichever of the two comes first. */
  #standsIn(channel: Channel, key: RecordKey): void {
    if (channel !== 'public' && channel !== key) this.lacking.push({ lacks: channel, key });
  }

  /** Reads all ops of an entry and takes them in. */
  async takeEntry(entry: Entry): Promise<void> {
    this.erasing.entry(entry);
    const read: { placed: PlacedOp; read: ReadOp }[] = [];
    for (const placed of placedOps(entry)) {
      read.push({ placed, read: readOp(placed) });
      if (this.#turn.isOver()) await this.#turn.next();
    }
    const keys = read.flatMap(({ read: { key } }) => (key === undefined ? [] : [key]));
    if (entry.header.channel !== 'public') keys.push(entry.header.channel);
    await this.load(keys);
    for (const { placed, read: what } of read) {
      this.take(placed, what);
      if (this.#turn.isOver()) await this.#turn.next();
    }
  }

  /** A record whose ops no longer all have effect, or that waited for something that came. */
  async again(key: RecordKey): Promise<void> {
    await this.load([key]);
    this.#slow.add(key);
  }

  /** Judges what the fast road left, and what became decidable by it. */
  async settle(): Promise<void> {
    for (const key of await this.erasing.apply()) await this.again(key);
    for (;;) {
      const channel = this.#turned.pop();
      if (channel !== undefined) {
        for (const key of await this.#store.lacking(channel)) await this.again(key);
        // And what came in this very commit, before its channel's creation.
        for (const { lacks, key } of this.lacking) if (lacks === channel) await this.again(key);
        continue;
      }
      const [key] = this.#slow;
      if (key === undefined) return;
      if (this.#turn.isOver()) await this.#turn.next();
      this.#slow.delete(key);
      await this.#judgeWhole(key);
    }
  }

  async #judgeWhole(key: RecordKey): Promise<void> {
    const stored: PlacedOp[] = [];
    for (const ref of await this.#store.recordOps(key, this.#turn)) {
      if (this.#turn.isOver()) await this.#turn.next();
      if (this.erasing.isErased(ref)) continue;
      if (this.#effective(ref)) stored.push(ref);
      else this.#judged.push({ ref, key, verdict: { state: 'void', code: 'forked' }, fresh: false });
    }
    const fresh = (this.#fresh.get(key) ?? []).filter((ref) => !this.erasing.isErased(ref));
    const ops = [...stored, ...fresh];
    const first = ops[0];
    if (first === undefined) {
      this.#empty(key);
      return;
    }
    if (first.channel !== 'public') await this.load([first.channel]);
    const hadMembers = this.state(key)?.members !== undefined;
    const members = this.#members(first);
    const { verdicts, state } = await this.#turn.away(() => this.#judge.judge(key, ops, members));
    this.#now.set(key, state);
    for (const [i, verdict] of verdicts.entries()) {
      const ref = ops[i];
      if (ref === undefined) continue;
      this.#judged.push({ ref, key, verdict, fresh: i >= stored.length });
      this.#standsIn(ref.channel, key);
      if (this.#turn.isOver()) await this.#turn.next();
    }
    if (hadMembers !== (state.members !== undefined)) this.#turned.push(key);
  }

  /** Nothing of the record has effect any more: the next op finds it as if it had never been. */
  #empty(key: RecordKey): void {
    const before = this.state(key);
    const collection = COLLECTIONS[key.slice(0, key.indexOf('/'))];
    if (before === undefined || collection === undefined) return;
    this.#now.set(key, emptyState(key, collection, before.channel));
    if (before.members !== undefined) this.#turned.push(key);
  }

  /** The last verdict on every op that was judged. */
  async verdicts(): Promise<Judged[]> {
    const last = new Map<string, Judged>();
    for (const judged of this.#judged) {
      if (this.#turn.isOver()) await this.#turn.next();
      const { ref } = judged;
      if (this.erasing.isErased(ref)) continue;
      const id = `${ref.author}|${ref.channel}|${ref.epoch}|${ref.seq}|${ref.index}`;
      last.set(id, { ...judged, fresh: judged.fresh || (last.get(id)?.fresh ?? false) });
    }
    return [...last.values()];
  }

  /** The records that this commit changes. */
  changes(): RecordChange[] {
    return [...this.#now].map(([key, after]) => ({ key, before: this.#before.get(key), after }));
  }
}

/** The statement that an op carries, or why it is void. A pure function of the op and its place. */
function erasureOf(placed: PlacedOp): Erasure | Verdict {
  const op = decodeOp(placed.bytes);
  if (op === undefined || op.k !== '') return { state: 'void', code: 'erasure-malformed' };
  try {
    const erasure = openErasure(op.d);
    if (op.c !== parseRecordKey(erasure.record)?.collection)
      return { state: 'void', code: 'erasure-malformed' };
    const own = erasure.author === placed.author && erasure.channel === placed.channel;
    return own ? erasure : { state: 'void', code: 'erasure-foreign' };
  } catch (error) {
    return { state: 'void', code: error instanceof AgrinetError ? error.code : 'erasure-malformed' };
  }
}
