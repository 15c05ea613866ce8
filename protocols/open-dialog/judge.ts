import type { RecordKey } from '../wire/ids.ts';
import type { Change, Scalar } from './change.ts';
import { COUNTS, emptyState, opIdText } from './fast-road.ts';
import { genesisOf } from './genesis.ts';
import { readOp } from './read-op.ts';
import { type ActorSeq, evictActors, hotHeads, hotValues, restOf } from './hot.ts';
import type { DraftBase, FieldValue, Membership, PlacedOp, RecordState, Verdict } from './record.ts';
import { COLLECTIONS } from './schema.ts';
import { decodeOp } from '../feed/op.ts';
import { noteTimes } from './record-times.ts';
import { writerProblem } from './writer-rule.ts';

/** The verdict on every op of a record, and the state they give together. */
export interface Judgement {
  /** Beside `ops`, in the same order. */
  readonly verdicts: readonly Verdict[];
  readonly state: RecordState;
  /** Where an actor was named and the state does not hold all. */
  readonly base: DraftBase | undefined;
  /** The counting changes, every one after those it depends on: what Automerge merges. */
  readonly changes: readonly Uint8Array[];
}

type HashedChange = Change & { readonly hash: string };
interface Pending {
  readonly at: number;
  readonly change: HashedChange;
  readonly bytes: Uint8Array;
}
/** A counting change with what it has seen: the last sequence of each actor, itself included. */
interface Counting extends Pending {
  readonly seen: ReadonlyMap<string, number>;
  readonly lastOp: number;
}

/**
 * Judges all ops of one record: a pure function of the set, whatever its order. Within one feed, ops on the record are
 * judged in the feed's order, and one that waits makes the later ones wait: so every verdict, once given, stays, however
 * many ops are still to come. `channelMembers` are those of a private fact's channel; for `actor` it says what a change can be
 * drafted on.
 */
export function judge(
  key: RecordKey,
  ops: readonly PlacedOp[],
  channelMembers: Membership | undefined,
  actor?: string,
): Judgement {
  const verdicts: Verdict[] = ops.map(() => ({ state: 'void', code: 'internal' }));
  const result = new Builder(key, ops);
  const feeds = new Map<string, Pending[]>();
  for (const at of feedOrder(ops)) {
    const placed = ops[at];
    if (placed === undefined) continue;
    const feed = `${placed.author}/${placed.epoch}`;
    const read = readOp(placed);
    if ('problem' in read) {
      verdicts[at] = read.waits
        ? { state: 'waits', code: read.problem, lacks: 'upgrade' }
        : { state: 'void', code: read.problem };
    } else if (read.reading.kind === 'tombstone') {
      verdicts[at] = COUNTS;
      result.count(placed, { tombstone: true });
    } else if (read.reading.kind === 'members') {
      verdicts[at] = COUNTS;
      result.count(placed, { exists: true, members: read.reading.members });
    } else if (read.reading.kind === 'fact') {
      verdicts[at] = factVerdict(placed, channelMembers);
      if (verdicts[at]?.state === 'counts') {
        result.count(placed, { exists: true, heads: [read.reading.hash], view: read.reading.fields });
      }
    } else {
      const op = decodeOp(placed.bytes);
      const list = feeds.get(feed) ?? [];
      if (op !== undefined) list.push({ at, change: read.reading.change, bytes: op.d });
      feeds.set(feed, list);
    }
  }
  const dag = judgeChanges(key, ops, feeds, result.members, verdicts, result);
  const state = result.finish(dag, verdicts);
  const base = actor === undefined || state.rest === undefined ? undefined : draftBase(dag, actor);
  return { verdicts, state, base, changes: dag.order.map((c) => c.bytes) };
}

function factVerdict(placed: PlacedOp, members: Membership | undefined): Verdict {
  if (placed.channel === 'public') return COUNTS;
  if (members === undefined) return { state: 'waits', code: 'channel-unknown', lacks: placed.channel };
  return members.writers.includes(placed.author) ? COUNTS : { state: 'void', code: 'not-a-writer' };
}

function feedOrder(ops: readonly PlacedOp[]): number[] {
  const place = (at: number): PlacedOp | undefined => ops[at];
  return ops
    .map((_, at) => at)
    .sort((x, y) => {
      const a = place(x);
      const b = place(y);
      if (a === undefined || b === undefined) return 0;
      if (a.author !== b.author) return a.author < b.author ? -1 : 1;
      if (a.epoch !== b.epoch) return a.epoch < b.epoch ? -1 : 1;
      return a.seq - b.seq || a.index - b.index;
    });
}

/** A counting `set`, and the counting changes that name it as a predecessor. */
interface SetOp {
  readonly id: string;
  readonly counter: number;
  readonly field: string;
  readonly value: Scalar;
  readonly by: Counting;
  readonly replacedBy: Counting[];
}

/** The counting changes: their graph, and which op ids stand for which field. */
interface Dag {
  readonly order: Counting[];
  readonly byHash: Map<string, Counting>;
  readonly sets: Map<string, SetOp>;
  /** The newest `set` of each actor on each field. */
  readonly ownSets: Map<string, SetOp>;
  readonly lastSeq: Map<string, number>;
}

function judgeChanges(
  key: RecordKey,
  ops: readonly PlacedOp[],
  feeds: ReadonlyMap<string, readonly Pending[]>,
  members: Membership | undefined,
  verdicts: Verdict[],
  result: Builder,
): Dag {
  const dag: Dag = {
    order: [],
    byHash: new Map(),
    sets: new Map(),
    ownSets: new Map(),
    lastSeq: new Map(),
  };
  const next = new Map<string, number>();
  const blocked = new Map<string, string[]>();
  const collection = collectionOf(key);
  const genesis = genesisHash(key);
  const todo = [...feeds.keys()];
  for (let feed = todo.pop(); feed !== undefined; feed = todo.pop()) {
    const list = feeds.get(feed) ?? [];
    for (let i = next.get(feed) ?? 0; ; i++) {
      next.set(feed, i);
      const pending = list[i];
      if (pending === undefined) break;
      const placed = ops[pending.at];
      if (placed === undefined) break;
      const isPublic = placed.channel === 'public';
      const lacks =
        !isPublic && members === undefined
          ? key
          : pending.change.deps.find((d) => d !== genesis && !dag.byHash.has(d));
      if (lacks !== undefined) {
        for (let j = i; j < list.length; j++) {
          const waiting = list[j];
          if (waiting === undefined) continue;
          const lacking = j === i ? lacks : pending.change.hash;
          verdicts[waiting.at] = { state: 'waits', code: 'dependency-missing', lacks: lacking };
        }
        blocked.set(lacks, [...(blocked.get(lacks) ?? []), feed]);
        break;
      }
      const problem =
        (isPublic || collection === undefined
          ? undefined
          : writerProblem(collection, members, placed.author, pending.change)) ??
        changeProblem(dag, pending, genesis, key);
      if (problem !== undefined) {
        verdicts[pending.at] = { state: 'void', code: problem };
        continue;
      }
      add(dag, pending, genesis, genesisOps(key));
      verdicts[pending.at] = COUNTS;
      result.count(placed, isPublic ? { exists: true } : {});
      for (const waiting of blocked.get(pending.change.hash) ?? []) todo.push(waiting);
      blocked.delete(pending.change.hash);
    }
  }
  return dag;
}

function collectionOf(key: RecordKey): (typeof COLLECTIONS)[string] | undefined {
  return COLLECTIONS[key.slice(0, key.indexOf('/'))];
}

function genesisHash(key: RecordKey): string {
  const collection = collectionOf(key);
  return collection?.kind === 'document' ? genesisOf(collection).hash : '';
}

function genesisOps(key: RecordKey): number {
  const collection = collectionOf(key);
  return collection?.kind === 'document' ? genesisOf(collection).maxOp : 0;
}

function changeProblem(dag: Dag, { change }: Pending, genesis: string, key: RecordKey): string | undefined {
  if (dag.byHash.has(change.hash)) return 'change-twice';
  const seen = ancestors(dag, change.deps);
  if (change.seq !== (dag.lastSeq.get(change.actor) ?? 0) + 1) return 'seq-wrong';
  if (change.seq > 1 && seen.get(change.actor) !== change.seq - 1) return 'seq-not-ancestor';
  let largest = change.deps.includes(genesis) ? genesisOps(key) : 0;
  for (const dep of change.deps) largest = Math.max(largest, dag.byHash.get(dep)?.lastOp ?? 0);
  if (change.startOp !== largest + 1) return 'start-op-wrong';
  for (const { action, field, pred } of change.ops) {
    if (action === 'del' && pred.length === 0) return 'pred-missing';
    for (const id of pred) {
      // One code, because whether a set that is no ancestor is known yet depends on the order of the walk.
      const op = dag.sets.get(opIdText(id));
      if (op?.field !== field || !isSeen(seen, op.by)) return 'pred-wrong';
    }
    const own = dag.ownSets.get(ownSet(change.actor, field));
    if (own === undefined || own.replacedBy.some((by) => isSeen(seen, by))) continue;
    if (!pred.some((id) => opIdText(id) === own.id)) return 'pred-own-missing';
  }
  return undefined;
}

const ownSet = (actor: string, field: string): string => `${actor} ${field}`;

function isSeen(seen: ReadonlyMap<string, number>, { change }: Counting): boolean {
  return (seen.get(change.actor) ?? 0) >= change.seq;
}

function ancestors(dag: Dag, deps: readonly string[]): Map<string, number> {
  const seen = new Map<string, number>();
  for (const dep of deps) {
    for (const [actor, seq] of dag.byHash.get(dep)?.seen ?? []) {
      if ((seen.get(actor) ?? 0) < seq) seen.set(actor, seq);
    }
  }
  return seen;
}

function add(dag: Dag, pending: Pending, genesis: string, genesisLast: number): void {
  const { change } = pending;
  const seen = ancestors(dag, change.deps);
  seen.set(change.actor, change.seq);
  const floor = change.deps.includes(genesis) ? genesisLast : 0;
  const counting: Counting = {
    ...pending,
    seen,
    lastOp: Math.max(floor, change.startOp + change.ops.length - 1),
  };
  dag.order.push(counting);
  dag.lastSeq.set(change.actor, change.seq);
  dag.byHash.set(change.hash, counting);
  change.ops.forEach((op, i) => {
    for (const pred of op.pred) dag.sets.get(opIdText(pred))?.replacedBy.push(counting);
    if (op.action !== 'set') return;
    const { field, value = null } = op;
    const counter = change.startOp + i;
    const set = { id: `${counter}@${change.actor}`, counter, field, value, by: counting, replacedBy: [] };
    dag.sets.set(set.id, set);
    dag.ownSets.set(ownSet(change.actor, field), set);
  });
}

/** Gathers what counts into a state. */
class Builder {
  readonly #key: RecordKey;
  readonly #ops: readonly PlacedOp[];
  #state: RecordState | undefined;
  #any = false;

  constructor(key: RecordKey, ops: readonly PlacedOp[]) {
    this.#key = key;
    this.#ops = ops;
    const collection = collectionOf(key);
    const first = ops[0];
    if (collection !== undefined && first !== undefined)
      this.#state = emptyState(key, collection, first.channel);
  }

  get members(): Membership | undefined {
    return this.#state?.members;
  }

  count(placed: PlacedOp, patch: Partial<RecordState>): void {
    const state = this.#state;
    if (state === undefined) return;
    const next = { ...state, ...patch };
    noteTimes(next, !this.#any, placed);
    this.#state = next;
    this.#any = true;
  }

  finish(dag: Dag, verdicts: readonly Verdict[]): RecordState {
    const state = this.#state;
    if (state === undefined) throw new TypeError(`no ops to judge for ${this.#key}`);
    const waiting = verdicts.filter((v) => v.state === 'waits').length;
    const base = { ...state, waiting, ops: this.#ops.length };
    return dag.order.length === 0 ? base : { ...base, ...mergedView(dag) };
  }
}

function mergedView(
  dag: Dag,
): Pick<RecordState, 'heads' | 'view' | 'fieldOps' | 'conflicts' | 'seqs' | 'maxOp' | 'rest'> {
  const seqs = Object.create(null) as Record<string, ActorSeq>;
  let maxOp = 0;
  for (const { change, lastOp } of dag.order) {
    if ((seqs[change.actor]?.[0] ?? 0) < change.seq) seqs[change.actor] = [change.seq, lastOp];
    maxOp = Math.max(maxOp, lastOp);
  }
  const { heads, rest: restHeads } = hotHeads(headsOf(dag));
  const actors = evictActors(seqs);
  const view = Object.create(null) as Record<string, Scalar>;
  const fieldOps = Object.create(null) as Record<string, string[]>;
  const conflicts = Object.create(null) as Record<string, FieldValue[]>;
  const more = Object.create(null) as Record<string, number>;
  for (const [field, sets] of visibleSets(dag)) {
    const values = sets.map(({ id, value }) => ({ op: id, value }));
    const [winner] = values;
    if (winner === undefined) continue;
    const kept = values.slice(0, hotValues(values));
    view[field] = winner.value;
    fieldOps[field] = kept.map((v) => v.op);
    if (values.length > 1) conflicts[field] = kept;
    if (values.length > kept.length) more[field] = values.length - kept.length;
  }
  const rest = restOf(restHeads, actors, more);
  return { heads, view, fieldOps, conflicts, seqs, maxOp, ...(rest === undefined ? {} : { rest }) };
}

function headsOf(dag: Dag): { hash: string; lastOp: number }[] {
  const heads = new Map(dag.order.map(({ change, lastOp }) => [change.hash, lastOp]));
  for (const { change } of dag.order) for (const dep of change.deps) heads.delete(dep);
  return [...heads].map(([hash, lastOp]) => ({ hash, lastOp }));
}

/** The visible sets of each field, the winner first. */
function visibleSets(dag: Dag): Map<string, SetOp[]> {
  const visible = new Map<string, SetOp[]>();
  for (const set of dag.sets.values()) {
    if (set.replacedBy.length > 0) continue;
    const known = visible.get(set.field);
    if (known === undefined) visible.set(set.field, [set]);
    else known.push(set);
  }
  for (const sets of visible.values()) sets.sort((a, b) => b.counter - a.counter || (a.id < b.id ? 1 : -1));
  return visible;
}

/** A change joins so many heads, and names so many values of a field, at once; the next one joins more. */
const AT_ONCE = { heads: 64, values: 16 } as const;

function draftBase(dag: Dag, actor: string): DraftBase {
  const heads = headsOf(dag)
    .sort((a, b) => b.lastOp - a.lastOp || (a.hash < b.hash ? 1 : -1))
    .slice(0, AT_ONCE.heads)
    .map(({ hash }) => hash)
    .sort();
  const own = dag.order.findLast(({ change }) => change.actor === actor);
  // An actor's change follows its own last one, whichever heads it joins.
  const deps =
    own === undefined || isSeen(ancestors(dag, heads), own) ? heads : [...heads, own.change.hash].sort();
  const seen = ancestors(dag, deps);
  const fieldOps = Object.create(null) as Record<string, string[]>;
  for (const [field, sets] of visibleSets(dag)) {
    const past = sets.filter(({ by }) => isSeen(seen, by));
    const mine = past.filter(({ by }) => by.change.actor === actor);
    const others = past.filter(({ by }) => by.change.actor !== actor).slice(0, AT_ONCE.values - mine.length);
    if (past.length > 0) fieldOps[field] = [...mine, ...others].map(({ id }) => id);
  }
  return { actor, heads: deps, fieldOps, seq: own?.change.seq ?? 0 };
}
