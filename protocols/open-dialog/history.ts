import { type Change, type FieldOp, type OpId, opIdText } from './change.ts';
import { type ChangeGraph, type Clock, Clocks, isSeen } from './clocks.ts';
import { type Floor, type FloorValue, type Ground, groundOf } from './floor.ts';
import type { Follows, Lack, ShownField, ShownSet } from './history-types.ts';
import { type ActorSeq, HOT, restOf } from './hot.ts';
import { Line } from './line.ts';
import { NumberColumn } from './number-column.ts';
import { firstInPieces, hashInPieces, sortedInPieces } from './pieces.ts';
import { CHECKPOINT, type RecordState } from './record.ts';
import type { Collection } from './schema.ts';

type Hashed = Change & { readonly hash: string };

/** What a change that is to be applied follows and has seen, which writes its ops replace, and which own ones are replaced that it does not name. */
interface Ancestry {
  readonly follows: readonly number[];
  readonly seen: Clock;
  readonly replaces: readonly (readonly number[])[];
  readonly replaced: readonly number[];
}

/** A change joins so many heads at once; the next one joins more. */
const HEADS_AT_ONCE = 64;
/** How many of the writes that replaced one write are searched for one that a further change has seen. */
const REPLACERS_LOOKED_AT = 8;
/** Writes processed in one piece of work. */
const WRITES = 256;
/** As many as a collection can have fields, and more. */
const FIELDS = 2 ** 16;
const NONE = 0;
const BELOW_FLOOR = 'below-floor';

/**
 * The applied changes of a record: their graph, and which writes are visible. It keeps only numbers, because a record may have
 * millions of changes: a change's content is read again on demand. Changes, and writes of fields, are numbered in the order in which
 * they were applied, each after those it depends on.
 */
export class History implements ChangeGraph {
  /** What the first changes follow; its values are the first writes. */
  readonly #ground: Ground;
  readonly #groundWrites = new Map<string, number>();
  /** By the 32 bytes of a hash as a text of as many characters, which takes half of what hex does. */
  readonly #byHash = new Map<string, number>();
  /** Of each change: the op of the record, its actor's place, sequence and counters, and where its writes and what it follows begin. */
  readonly #ats = new NumberColumn();
  readonly #places = new NumberColumn();
  readonly #seqs = new NumberColumn();
  readonly #startOps = new NumberColumn();
  readonly #lastOps = new NumberColumn();
  readonly #writesFrom = new NumberColumn();
  readonly #followsFrom = new NumberColumn();
  readonly #follows = new NumberColumn();
  /** Of each write: its field, doubled, and one more for a `set`. */
  readonly #writes = new NumberColumn();
  /** The last write that replaced it: `NONE`; `REPLACED` where it does not matter which; else its index in `#replacers`. */
  readonly #replacedBy = new NumberColumn();
  readonly #replacers = new NumberColumn();
  readonly #nextReplacers = new NumberColumn();
  /** The newest `set` of each actor on each field. */
  readonly #ownSets = new Map<number, number>();
  readonly #fields = new Map<string, number>();
  readonly #actors: string[] = [];
  /** The changes of each actor, in their order. */
  readonly #ofActor: number[][] = [];
  readonly #clocks = new Clocks(this);
  /** The changes that no applied one depends on, with their last op counters. */
  readonly #heads = new Map<string, number>();
  readonly #line: Line;

  /** `floor`: what it begins at; without one at the genesis. */
  constructor(collection: Collection | undefined, floor?: Floor) {
    this.#ground = groundOf(collection, floor);
    const { heads, maxOp, values } = this.#ground;
    this.#line = new Line(heads);
    // Such an index is never `NONE` nor `REPLACED`.
    for (let i = 0; i <= REPLACED; i++) this.#link(0, NONE);
    for (const head of heads) this.#heads.set(head, maxOp);
    for (const value of values) this.#begin(value);
  }

  /** A value that is visible before the first change. */
  #begin(value: FloorValue): void {
    const place = this.#clocks.placed(value.actor);
    this.#actors[place] = value.actor;
    this.#ofActor[place] ??= [];
    const field = this.#fieldNumber(value.field);
    const write = this.#writes.push(field * 2 + 1);
    this.#replacedBy.push(NONE);
    this.#groundWrites.set(opIdText(value), write);
    this.#ownSets.set(place * FIELDS + field, write);
    this.#line.begin(field, write);
  }

  get length(): number {
    return this.#ats.length;
  }

  /** Whether each change follows only the one before it, and replaces exactly what is visible. */
  get isLinear(): boolean {
    return this.#line.isWhole;
  }

  place(change: number): number {
    return this.#places.get(change);
  }

  seq(change: number): number {
    return this.#seqs.get(change);
  }

  *follows(change: number): Generator<number> {
    const to = change + 1 < this.length ? this.#followsFrom.get(change + 1) : this.#follows.length;
    for (let i = this.#followsFrom.get(change); i < to; i++) yield this.#follows.get(i);
  }

  /** The op of the record that a change is. */
  at(change: number): number {
    return this.#ats.get(change);
  }

  /**
   * What keeps a change from being applied; undefined when it follows what is applied, and the heads of a floor all together if it follows
   * one. Whatever follows a floor begins beyond the largest op of it: what does not is below it, and is never applied, though it is rejected
   * once what it depends on is.
   */
  lacks({ deps, startOp }: Change): Lack | undefined {
    const { heads, isGenesis, maxOp } = this.#ground;
    const named = heads.length === 1 ? 0 : heads.filter((head) => deps.includes(head)).length;
    const isPart = named > 0 && named < heads.length;
    const missing = deps.find((dep) => !heads.includes(dep) && !this.#byHash.has(packed(dep)));
    if (isPart) return { missing: CHECKPOINT, code: BELOW_FLOOR };
    if (missing === undefined) return undefined;
    return { missing, code: !isGenesis && startOp <= maxOp ? BELOW_FLOOR : 'dependency-missing' };
  }

  /** How a change relates to those that it follows, all of them applied; or the code that it is rejected with. */
  *check(change: Hashed): Generator<void, Ancestry | string> {
    if (this.#byHash.has(packed(change.hash))) return 'change-twice';
    const place = this.#clocks.placeOf(change.actor);
    const own = place === undefined ? undefined : this.#ofActor[place]?.at(-1);
    const isFree = own === undefined && !this.#ground.isGenesis;
    if (!isFree && change.seq !== (own === undefined ? 0 : this.seq(own)) + 1) return 'seq-wrong';
    const follows = this.#applied(change.deps);
    const seen = yield* this.#clocks.seenBy(follows);
    if (own !== undefined && !this.#isSeen(own, seen)) return 'seq-not-ancestor';
    let largest = this.#floor(change);
    for (const each of follows) largest = Math.max(largest, this.#lastOps.get(each));
    if (change.startOp !== largest + 1) return 'start-op-wrong';
    return yield* this.#checkOps(change, follows, seen, place);
  }

  *#checkOps(
    { ops }: Change,
    follows: readonly number[],
    seen: Clock,
    place: number | undefined,
  ): Generator<void, Ancestry | string> {
    const replaces: number[][] = [];
    const replaced: number[] = [];
    for (const { action, field, pred } of ops) {
      if (action === 'del' && pred.length === 0) return 'pred-missing';
      const writes: number[] = [];
      const number = this.#fieldNumber(field);
      for (const [i, id] of pred.entries()) {
        if (i % WRITES === WRITES - 1) yield;
        // One code for both, because whether a set that is not an ancestor is known yet depends on the order of processing.
        const write = this.#setOf(id, number, seen);
        if (write === undefined) return 'pred-wrong';
        writes.push(write);
      }
      replaces.push(writes);
      const own = place === undefined ? undefined : this.#ownSets.get(place * FIELDS + number);
      if (place === undefined || own === undefined || writes.includes(own)) continue;
      if (!this.#isReplaced(own, seen)) return 'pred-own-missing';
      replaced.push(place * FIELDS + number);
      yield;
    }
    return { follows, seen, replaces, replaced };
  }

  /** The write that a predecessor names, where that is a `set` of this field, visible at the floor or by a change that is seen. */
  #setOf(id: OpId, field: number, seen: Clock): number | undefined {
    const known = this.#ground.isGenesis ? undefined : this.#groundWrites.get(opIdText(id));
    if (known !== undefined) return this.#writes.get(known) === field * 2 + 1 ? known : undefined;
    const { counter, actor } = id;
    const place = this.#clocks.placeOf(actor);
    const changes = place === undefined ? undefined : this.#ofActor[place];
    if (place === undefined || changes === undefined) return undefined;
    let [low, high] = [0, changes.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#startOps.get(changes[middle] ?? 0) <= counter) low = middle + 1;
      else high = middle;
    }
    const change = changes[low - 1];
    if (change === undefined || !isSeen(seen, place, this.seq(change))) return undefined;
    const write = this.#writesFrom.get(change) + counter - this.#startOps.get(change);
    return write < this.#writesTo(change) && this.#writes.get(write) === field * 2 + 1 ? write : undefined;
  }

  /** Whether one of those that replaced a write is seen. */
  #isReplaced(write: number, seen: Clock): boolean {
    for (let link = this.#replacedBy.get(write); link > REPLACED; link = this.#nextReplacers.get(link))
      if (this.#isSeen(this.#replacers.get(link), seen)) return true;
    return false;
  }

  #isSeen(change: number, seen: Clock): boolean {
    return isSeen(seen, this.place(change), this.seq(change));
  }

  /** Takes in a change that has been checked; `at` is the op of the record that it is. */
  apply(at: number, change: Hashed, { follows, seen, replaces, replaced }: Ancestry): void {
    const { actor, seq, startOp, deps, ops, hash } = change;
    const place = this.#clocks.placed(actor);
    const lastOp = Math.max(this.#floor(change), startOp + ops.length - 1);
    const no = this.#ats.push(at);
    this.#places.push(place);
    this.#seqs.push(seq);
    this.#startOps.push(startOp);
    this.#lastOps.push(lastOp);
    this.#writesFrom.push(this.#writes.length);
    this.#followsFrom.push(this.#follows.length);
    for (const each of follows) this.#follows.push(each);
    this.#actors[place] = actor;
    (this.#ofActor[place] ??= []).push(no);
    for (const dep of deps) this.#heads.delete(dep);
    this.#heads.set(hash, lastOp);
    this.#byHash.set(packed(hash), no);
    // What this change has seen is also seen by the actor's later changes.
    for (const own of replaced) this.#ownSets.delete(own);
    this.#line.follow(change);
    for (const [i, op] of ops.entries()) this.#write(no, place, op, replaces[i] ?? [], seen);
    // It takes the clock over.
    this.#clocks.keep(no, seen);
  }

  #write(
    no: number,
    place: number,
    { action, field }: FieldOp,
    replaces: readonly number[],
    seen: Clock,
  ): void {
    const number = this.#fieldNumber(field);
    for (const write of replaces) this.#replace(write, no, number, seen);
    const write = this.#writes.push(number * 2 + (action === 'set' ? 1 : 0));
    this.#replacedBy.push(NONE);
    if (action === 'set') this.#ownSets.set(place * FIELDS + number, write);
    this.#line.write(number, action === 'set' ? write : undefined, replaces);
  }

  /** The replacing write is needed only for the newest write of an actor. */
  #replace(write: number, by: number, field: number, seen: Clock): void {
    const first = this.#replacedBy.get(write);
    const writer = this.#writerOf(write);
    if (this.#ownSets.get(writer * FIELDS + field) !== write) {
      if (first === NONE) this.#replacedBy.set(write, REPLACED);
      return;
    }
    let link = first;
    for (let i = 0; link > REPLACED && i < REPLACERS_LOOKED_AT; i++, link = this.#nextReplacers.get(link))
      if (this.#isSeen(this.#replacers.get(link), seen)) return;
    this.#replacedBy.set(write, this.#link(by, first));
  }

  #link(by: number, next: number): number {
    this.#nextReplacers.push(next);
    return this.#replacers.push(by);
  }

  /** The place of the actor that a write is of. */
  #writerOf(write: number): number {
    const { values } = this.#ground;
    const value = values[write];
    return value === undefined ? this.place(this.#changeOf(write)) : (this.#clocks.placeOf(value.actor) ?? 0);
  }

  /** The change that a write is of. */
  #changeOf(write: number): number {
    let [low, high] = [0, this.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#writesFrom.get(middle) <= write) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #writesTo(change: number): number {
    return change + 1 < this.#writesFrom.length ? this.#writesFrom.get(change + 1) : this.#writes.length;
  }

  #fieldNumber(field: string): number {
    const known = this.#fields.get(field);
    if (known !== undefined) return known;
    this.#fields.set(field, this.#fields.size);
    return this.#fields.size - 1;
  }

  /** All heads, sorted. */
  heads(): Generator<void, string[]> {
    return sortedInPieces([...this.#heads.keys()]);
  }

  /** The end of the history: what the next change follows. `all`: its heads, sorted. */
  *end(all: readonly string[]): Generator<void, Pick<RecordState, 'heads' | 'seqs' | 'maxOp' | 'rest'>> {
    const seqs = Object.create(null) as Record<string, ActorSeq>;
    const actors = yield* firstInPieces(this.#lastOfActors(), HOT.actors, newestFirst);
    for (const [actor, lastOp, seq] of actors) seqs[actor] = [seq, lastOp];
    const newest = yield* firstInPieces(this.#heads, HOT.heads, newestFirst);
    const heads = newest.map(([hash]) => hash).sort();
    const others = all.filter((hash) => !heads.includes(hash));
    const restHeads =
      others.length === 0 ? undefined : { count: others.length, hash: yield* hashInPieces(others) };
    const count = this.#ofActor.filter((changes) => changes.length > 0).length;
    const rest = restOf(restHeads, count - actors.length, {});
    const maxOp = actors[0]?.[1] ?? this.#ground.maxOp;
    return { heads, seqs, maxOp, ...(rest === undefined ? {} : { rest }) };
  }

  /** What of each field no applied change has replaced; of its values, winner first, at most so many. */
  *shown(most: number = HOT.values): Generator<void, ShownField[]> {
    const fields = [...this.#fields.keys()].map((field): ShownField => ({ field, first: [], count: 0 }));
    const show = (shown: ShownField, set: ShownSet): void => {
      shown.count++;
      shown.first.push(set);
      if (shown.first.length > most) shown.first.sort(shownFirst).pop();
    };
    let passed = 0;
    for (const [write, { counter, actor, value }] of this.#ground.values.entries()) {
      if (++passed % WRITES === 0) yield;
      const shown = fields[this.#writes.get(write) >> 1];
      if (shown !== undefined && this.#replacedBy.get(write) === NONE) show(shown, { counter, actor, value });
    }
    for (let change = 0; change < this.length; change++) {
      const from = this.#writesFrom.get(change);
      for (let write = from; write < this.#writesTo(change); write++) {
        if (++passed % WRITES === 0) yield;
        const what = this.#writes.get(write);
        const shown = fields[what >> 1];
        if (shown === undefined || what % 2 === 0 || this.#replacedBy.get(write) !== NONE) continue;
        const counter = this.#startOps.get(change) + write - from;
        const actor = this.#actors[this.place(change)] ?? '';
        show(shown, { counter, actor, at: this.at(change), index: write - from });
      }
    }
    for (const { first } of fields) first.sort(shownFirst);
    return fields.filter(({ count }) => count > 0);
  }

  /** What the next change of an actor follows. */
  *followedBy(actor: string): Generator<void, Follows> {
    const newest = yield* firstInPieces(this.#heads, HEADS_AT_ONCE, newestFirst);
    const heads = newest.map(([hash]) => hash).sort();
    const place = this.#clocks.placeOf(actor);
    const own = place === undefined ? undefined : this.#ofActor[place]?.at(-1);
    if (own === undefined) return { actor, heads, seq: 0 };
    // An actor's change follows its own last one, whichever heads it joins.
    const seq = this.seq(own);
    if (this.#isSeen(own, yield* this.#clocks.seenBy(this.#applied(heads)))) return { actor, heads, seq };
    return { actor, heads: [...heads, yield* this.#hashOf(own)].sort(), seq };
  }

  /** Which changes are seen by who follows these. */
  *seenFrom(heads: readonly string[]): Generator<void, (change: number) => boolean> {
    const seen = yield* this.#clocks.seenBy(this.#applied(heads));
    return (change) => this.#isSeen(change, seen);
  }

  *#hashOf(change: number): Generator<void, string> {
    let passed = 0;
    for (const [hash, no] of this.#byHash) {
      if (no === change) return Buffer.from(hash, 'latin1').toString('hex');
      if (++passed % WRITES === 0) yield;
    }
    return '';
  }

  /** The last op counter that a change has by what all begin at, where it follows that. */
  #floor({ deps }: Change): number {
    const { heads, maxOp } = this.#ground;
    return heads.some((head) => deps.includes(head)) ? maxOp : 0;
  }

  #applied(hashes: readonly string[]): number[] {
    return hashes.map((hash) => this.#byHash.get(packed(hash))).filter((applied) => applied !== undefined);
  }

  *#lastOfActors(): Generator<[actor: string, lastOp: number, seq: number]> {
    for (const [place, changes] of this.#ofActor.entries()) {
      const last = changes.at(-1);
      if (last !== undefined) yield [this.#actors[place] ?? '', this.#lastOps.get(last), this.seq(last)];
    }
  }
}

/** For a replaced write, it does not matter which write replaced it. */
const REPLACED = 1;

function packed(hash: string): string {
  return Buffer.from(hash, 'hex').toString('latin1');
}

/** The largest op counter first, then the larger name: of the newest a change of all of them wins. */
const newestFirst = (
  [a, x]: readonly [string, number, ...number[]],
  [b, y]: readonly [string, number, ...number[]],
): number => y - x || (a < b ? 1 : -1);

const shownFirst = (a: ShownSet, b: ShownSet): number =>
  b.counter - a.counter || (a.actor < b.actor ? 1 : -1);
