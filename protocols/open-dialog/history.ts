import type { Change, Scalar } from './change.ts';
import { type Clock, type Clocked, Clocks, isSeen } from './clocks.ts';
import { opIdText } from './fast-path.ts';
import { FieldValues } from './field-values.ts';
import { genesisOf } from './genesis.ts';
import { type ActorSeq, HOT, restOf } from './hot.ts';
import { firstInPieces, hashInPieces, sortedInPieces } from './pieces.ts';
import type { FieldValue, RecordState, Values } from './record.ts';
import type { Collection } from './schema.ts';

/** A change, read from the op at this place among the ops. */
export interface ReadChange {
  readonly at: number;
  readonly change: Change & { readonly hash: string };
  readonly bytes: Uint8Array;
}

/** An applied change and its place in the history. */
export interface Applied extends ReadChange, Clocked {
  readonly lastOp: number;
}

/** Some heads, and the actor's last sequence. */
export interface Follows {
  readonly actor: string;
  readonly heads: readonly string[];
  readonly seq: number;
}

/** An applied `set`, and the applied changes that name it as a predecessor. */
interface SetOp {
  readonly id: string;
  readonly field: string;
  readonly value: Scalar;
  readonly by: Applied;
  readonly replacedBy: Applied[];
}

/** What a change that is to be applied has seen, and which own values it has seen replaced that it does not name. */
interface Ancestry {
  readonly follows: readonly Applied[];
  readonly seen: Clock;
  readonly replaced: readonly string[];
}

/** A change joins so many heads at once; the next one joins more. */
const HEADS_AT_ONCE = 64;

/** The applied changes of a record: their graph, and which op ids stand for which field. */
export class History {
  /** Every change after those it depends on. */
  readonly order: Applied[] = [];
  readonly #genesis: { readonly hash: string; readonly maxOp: number };
  readonly #byHash = new Map<string, Applied>();
  readonly #sets = new Map<string, SetOp>();
  /** The newest `set` of each actor on each field. */
  readonly #ownSets = new Map<string, SetOp>();
  readonly #seqs = new Map<string, ActorSeq>();
  readonly #clocks = new Clocks();
  /** The changes that no applied one depends on, with their last op counters. */
  readonly #heads = new Map<string, number>();

  constructor(collection: Collection | undefined) {
    this.#genesis = collection?.kind === 'document' ? genesisOf(collection) : { hash: '', maxOp: 0 };
  }

  /** A change that this one depends on and that has not been applied. */
  missingDependency({ deps }: Change): string | undefined {
    return deps.find((dep) => dep !== this.#genesis.hash && !this.#byHash.has(dep));
  }

  /** How a change stands to those that it follows, all of them applied; or the code that it is rejected with. */
  *check(change: ReadChange['change']): Generator<void, Ancestry | string> {
    if (this.#byHash.has(change.hash)) return 'change-twice';
    if (change.seq !== (this.#seqs.get(change.actor)?.[0] ?? 0) + 1) return 'seq-wrong';
    const follows = this.#applied(change.deps);
    const seen = yield* this.#clocks.seenBy(follows);
    const place = this.#clocks.placeOf(change.actor);
    if (change.seq > 1 && (place === undefined || seen[place] !== change.seq - 1)) return 'seq-not-ancestor';
    let largest = this.#floor(change);
    for (const { lastOp } of follows) largest = Math.max(largest, lastOp);
    if (change.startOp !== largest + 1) return 'start-op-wrong';
    const replaced = yield* this.#checkOps(change, seen);
    return typeof replaced === 'string' ? replaced : { follows, seen, replaced };
  }

  /** The own values that are replaced and not named; or the code of what is wrong with the predecessors. */
  *#checkOps({ actor, ops }: Change, seen: Clock): Generator<void, string[] | string> {
    const replaced: string[] = [];
    for (const { action, field, pred } of ops) {
      if (action === 'del' && pred.length === 0) return 'pred-missing';
      for (const id of pred) {
        // One code, because whether a set that is no ancestor is known yet depends on the order of the walk.
        const op = this.#sets.get(opIdText(id));
        if (op?.field !== field || !isSeen(seen, op.by)) return 'pred-wrong';
      }
      const own = this.#ownSets.get(ownSet(actor, field));
      if (own === undefined || pred.some((id) => opIdText(id) === own.id)) continue;
      if (!own.replacedBy.some((by) => isSeen(seen, by))) return 'pred-own-missing';
      replaced.push(ownSet(actor, field));
      yield;
    }
    return replaced;
  }

  /** Takes in a change that has been checked. */
  apply(read: ReadChange, { follows, seen, replaced }: Ancestry): void {
    const { change } = read;
    const applied: Applied = {
      ...read,
      follows,
      place: this.#clocks.placed(change.actor),
      seq: change.seq,
      lastOp: Math.max(this.#floor(change), change.startOp + change.ops.length - 1),
    };
    this.#clocks.keep(applied, seen);
    this.order.push(applied);
    this.#seqs.set(change.actor, [change.seq, applied.lastOp]);
    for (const dep of change.deps) this.#heads.delete(dep);
    this.#heads.set(change.hash, applied.lastOp);
    this.#byHash.set(change.hash, applied);
    // What this change has seen the actor's later ones see too.
    for (const own of replaced) this.#ownSets.delete(own);
    change.ops.forEach((op, i) => {
      for (const pred of op.pred) this.#sets.get(opIdText(pred))?.replacedBy.push(applied);
      if (op.action !== 'set') return;
      const { field } = op;
      const id = `${change.startOp + i}@${change.actor}`;
      const set = { id, field, value: op.value ?? null, by: applied, replacedBy: [] };
      this.#sets.set(set.id, set);
      this.#ownSets.set(ownSet(change.actor, field), set);
    });
  }

  /** All heads, sorted. */
  heads(): Generator<void, string[]> {
    return sortedInPieces([...this.#heads.keys()]);
  }

  /** Where the history stands: what the next change follows. `all`: its heads, sorted. */
  *end(all: readonly string[]): Generator<void, Pick<RecordState, 'heads' | 'seqs' | 'maxOp' | 'rest'>> {
    const seqs = Object.create(null) as Record<string, ActorSeq>;
    const actors = yield* firstInPieces(this.#lastOps(), HOT.actors, newestFirst);
    for (const [actor] of actors) {
      const known = this.#seqs.get(actor);
      if (known !== undefined) seqs[actor] = known;
    }
    const newest = yield* firstInPieces(this.#heads, HOT.heads, newestFirst);
    const heads = newest.map(([hash]) => hash).sort();
    const others = all.filter((hash) => !heads.includes(hash));
    const restHeads =
      others.length === 0 ? undefined : { count: others.length, hash: yield* hashInPieces(others) };
    const rest = restOf(restHeads, this.#seqs.size - actors.length, {});
    return { heads, seqs, maxOp: actors[0]?.[1] ?? 0, ...(rest === undefined ? {} : { rest }) };
  }

  /** The values that no applied change has replaced: those of Automerge, without a document. */
  *values(): Generator<void, Values> {
    const visible = new Map<string, FieldValue[]>();
    for (const { id, field, value, replacedBy } of this.#sets.values()) {
      yield;
      if (replacedBy.length > 0) continue;
      const values = visible.get(field);
      if (values === undefined) visible.set(field, [{ op: id, value }]);
      else values.push({ op: id, value });
    }
    const values = new FieldValues();
    for (const [field, all] of visible) values.set(field, all);
    return values.all;
  }

  /** What the next change of an actor follows. */
  *followedBy(actor: string): Generator<void, Follows> {
    const newest = yield* firstInPieces(this.#heads, HEADS_AT_ONCE, newestFirst);
    const heads = newest.map(([hash]) => hash).sort();
    const own = this.order.findLast(({ change }) => change.actor === actor);
    // An actor's change follows its own last one, whichever heads it joins.
    const deps =
      own === undefined || isSeen(yield* this.#clocks.seenBy(this.#applied(heads)), own)
        ? heads
        : [...heads, own.change.hash].sort();
    return { actor, heads: deps, seq: own?.change.seq ?? 0 };
  }

  /** The last op counter that a change has by the genesis, where it follows that. */
  #floor({ deps }: Change): number {
    return deps.includes(this.#genesis.hash) ? this.#genesis.maxOp : 0;
  }

  #applied(hashes: readonly string[]): Applied[] {
    return hashes.map((hash) => this.#byHash.get(hash)).filter((applied) => applied !== undefined);
  }

  *#lastOps(): Generator<[actor: string, lastOp: number]> {
    for (const [actor, [, lastOp]] of this.#seqs) yield [actor, lastOp];
  }
}

const ownSet = (actor: string, field: string): string => `${actor} ${field}`;

/** The largest op counter first, then the larger name: of the newest a change of all of them wins. */
const newestFirst = ([a, x]: readonly [string, number], [b, y]: readonly [string, number]): number =>
  y - x || (a < b ? 1 : -1);
