import type { RecordKey } from '../wire/ids.ts';
import type { Change } from './change.ts';
import { type Clock, type Clocked, Clocks, isSeen } from './clocks.ts';
import { COUNTS, emptyState, linearValues, opIdText } from './fast-path.ts';
import { genesisOf } from './genesis.ts';
import { readOp } from './read-op.ts';
import { type ActorSeq, HOT, restOf } from './hot.ts';
import { firstInPieces, hashInPieces, sortedInPieces } from './pieces.ts';
import type { Membership, PlacedOp, RecordState, Values, Verdict } from './record.ts';
import { COLLECTIONS } from './schema.ts';
import { decodeOp } from '../feed/op.ts';
import { noteTimes } from './record-times.ts';
import { writerProblem } from './writer-rule.ts';

/** What the written rule alone says of a record; nothing of it waits for Automerge. */
export interface Evaluation {
  /** Beside the ops, in the same order. */
  readonly verdicts: readonly Verdict[];
  /** All of the state but what a merge tells: a document has no values here. */
  readonly outline: RecordState;
  /** The values of a document whose history is linear; undefined where there is real concurrency, and of what is no document. */
  readonly linear: Values | undefined;
  /** What Automerge merges; undefined when no change counts. */
  readonly input: MergeInput | undefined;
  /** What a change of the actor that was named follows. */
  readonly follows: Follows | undefined;
}

/** The counting changes of a record, every one after those it depends on. */
export interface MergeInput {
  readonly changes: readonly Uint8Array[];
  /** SHA-256 of all heads: equal for equal sets of changes. */
  readonly id: string;
}

/** Some heads, and the actor's last sequence. */
export interface Follows {
  readonly actor: string;
  readonly heads: readonly string[];
  readonly seq: number;
}

type HashedChange = Change & { readonly hash: string };
interface Pending {
  readonly at: number;
  readonly change: HashedChange;
  readonly bytes: Uint8Array;
}
/** A counting change and its place in the history. */
interface Counting extends Pending, Clocked {
  readonly lastOp: number;
}

/**
 * Evaluates all ops of one record: a pure function of the set, whatever its order. Within one feed, ops on the record are
 * evaluated in the feed's order, and one that waits makes the later ones wait: so every verdict, once given, stays, however
 * many ops are still to come. `channelMembers` are those of a private fact's channel; for `actor` it says what a change can be
 * drafted on. It yields after each op, so that whoever runs it on the main thread can let the event loop go round (`runAll` does not).
 */
export function* evaluate(
  key: RecordKey,
  ops: readonly PlacedOp[],
  channelMembers: Membership | undefined,
  actor?: string,
): Generator<void, Evaluation> {
  const verdicts: Verdict[] = ops.map(() => ({ state: 'void', code: 'internal' }));
  const result = new Builder(key, ops);
  const feeds = new Map<string, Pending[]>();
  for (const [feed, places] of byFeed(ops))
    for (const at of places) {
      const placed = ops[at];
      if (placed === undefined) continue;
      const told = readOne(placed, channelMembers, result);
      if ('state' in told) verdicts[at] = told;
      else {
        const list = feeds.get(feed) ?? [];
        list.push({ at, ...told });
        feeds.set(feed, list);
      }
      yield;
    }
  const dag = yield* evaluateChanges(key, ops, feeds, verdicts, result);
  const some = dag.order.length > 0;
  const heads = yield* sortedInPieces([...dag.heads.keys()]);
  const outline = result.finish(verdicts, some ? yield* placeOf(dag, heads) : {});
  return {
    verdicts,
    outline,
    linear: some ? yield* linearValues(key, dag.order) : undefined,
    input: some
      ? { changes: dag.order.map(({ bytes }) => bytes), id: yield* hashInPieces(heads) }
      : undefined,
    follows: actor === undefined || !some ? undefined : yield* followed(dag, actor),
  };
}

/** Runs an evaluation without a break. */
export function runAll<T>(work: Generator<void, T>): T {
  for (;;) {
    const step = work.next();
    if (step.done === true) return step.value;
  }
}

/** Reads one op by itself: its verdict, or the change that stands with others. */
function readOne(
  placed: PlacedOp,
  channelMembers: Membership | undefined,
  result: Builder,
): Verdict | Omit<Pending, 'at'> {
  const read = readOp(placed);
  if ('problem' in read)
    return read.waits
      ? { state: 'waits', code: read.problem, lacks: 'upgrade' }
      : { state: 'void', code: read.problem };
  const { reading } = read;
  switch (reading.kind) {
    case 'tombstone':
      result.count(placed, { tombstone: true });
      return COUNTS;
    case 'members':
      result.count(placed, { exists: true, members: reading.members });
      return COUNTS;
    case 'fact': {
      const verdict = factVerdict(placed, channelMembers);
      if (verdict.state === 'counts')
        result.count(placed, { exists: true, heads: [reading.hash], view: reading.fields });
      return verdict;
    }
    case 'change': {
      const op = decodeOp(placed.bytes);
      return op === undefined
        ? { state: 'void', code: 'op-malformed' }
        : { change: reading.change, bytes: op.d };
    }
  }
}

function factVerdict(placed: PlacedOp, members: Membership | undefined): Verdict {
  if (placed.channel === 'public') return COUNTS;
  if (members === undefined) return { state: 'waits', code: 'channel-unknown', lacks: placed.channel };
  return members.writers.includes(placed.author) ? COUNTS : { state: 'void', code: 'not-a-writer' };
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

/** A counting `set`, and the counting changes that name it as a predecessor. */
interface SetOp {
  readonly id: string;
  readonly field: string;
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
  readonly seqs: Map<string, ActorSeq>;
  readonly clocks: Clocks;
  /** The changes that no counting one depends on, with their last op counters. */
  readonly heads: Map<string, number>;
}

function* evaluateChanges(
  key: RecordKey,
  ops: readonly PlacedOp[],
  feeds: ReadonlyMap<string, readonly Pending[]>,
  verdicts: Verdict[],
  result: Builder,
): Generator<void, Dag> {
  const { members } = result;
  const dag: Dag = {
    order: [],
    byHash: new Map(),
    sets: new Map(),
    ownSets: new Map(),
    seqs: new Map(),
    clocks: new Clocks(),
    heads: new Map(),
  };
  const next = new Map<string, number>();
  const blocked = new Map<string, string[]>();
  const collection = collectionOf(key);
  const genesis = genesisHash(key);
  const todo = [...feeds.keys()];
  for (let feed = todo.pop(); feed !== undefined; feed = todo.pop()) {
    const list = feeds.get(feed) ?? [];
    for (let i = next.get(feed) ?? 0; ; i++) {
      yield;
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
        const others = blocked.get(lacks);
        if (others === undefined) blocked.set(lacks, [feed]);
        else others.push(feed);
        break;
      }
      const problem =
        (isPublic || collection === undefined
          ? undefined
          : writerProblem(collection, members, placed.author, pending.change)) ??
        (dag.byHash.has(pending.change.hash) ? 'change-twice' : undefined);
      const standing = problem ?? (yield* stand(dag, pending, genesis, key));
      if (typeof standing === 'string') {
        verdicts[pending.at] = { state: 'void', code: standing };
        continue;
      }
      add(dag, pending, standing, genesis, genesisOps(key));
      verdicts[pending.at] = COUNTS;
      result.count(placed, isPublic ? { exists: true } : {});
      for (const waiting of blocked.get(pending.change.hash) ?? []) todo.push(waiting);
      blocked.delete(pending.change.hash);
    }
  }
  // Said once, of what waits in the end: a feed may have waited at each of its changes for one of another.
  for (const [lacks, waiting] of blocked)
    for (const feed of waiting) yield* wait(feeds.get(feed) ?? [], next.get(feed) ?? 0, lacks, verdicts);
  return dag;
}

/** What a feed holds from its first waiting change on waits with it. */
function* wait(
  list: readonly Pending[],
  from: number,
  lacks: string,
  verdicts: Verdict[],
): Generator<void, void> {
  const first = list[from];
  for (let i = from; i < list.length; i++) {
    const waiting = list[i];
    if (waiting === undefined || first === undefined) continue;
    const lacking = i === from ? lacks : first.change.hash;
    verdicts[waiting.at] = { state: 'waits', code: 'dependency-missing', lacks: lacking };
    yield;
  }
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

/** What a change that counts has seen, and which own values it has seen replaced that it does not name. */
interface Standing {
  readonly follows: readonly Counting[];
  readonly seen: Clock;
  readonly replaced: readonly string[];
}

/** How a change stands among those that it follows, or why it is void. */
function* stand(
  dag: Dag,
  { change }: Pending,
  genesis: string,
  key: RecordKey,
): Generator<void, Standing | string> {
  const { clocks, byHash, seqs, sets, ownSets } = dag;
  if (change.seq !== (seqs.get(change.actor)?.[0] ?? 0) + 1) return 'seq-wrong';
  const follows = change.deps.map((dep) => byHash.get(dep)).filter((dep) => dep !== undefined);
  const seen = yield* clocks.seenBy(follows);
  const place = clocks.placeOf(change.actor);
  if (change.seq > 1 && (place === undefined || seen[place] !== change.seq - 1)) return 'seq-not-ancestor';
  let largest = change.deps.includes(genesis) ? genesisOps(key) : 0;
  for (const { lastOp } of follows) largest = Math.max(largest, lastOp);
  if (change.startOp !== largest + 1) return 'start-op-wrong';
  const replaced: string[] = [];
  for (const { action, field, pred } of change.ops) {
    if (action === 'del' && pred.length === 0) return 'pred-missing';
    for (const id of pred) {
      // One code, because whether a set that is no ancestor is known yet depends on the order of the walk.
      const op = sets.get(opIdText(id));
      if (op?.field !== field || !isSeen(seen, op.by)) return 'pred-wrong';
    }
    const own = ownSets.get(ownSet(change.actor, field));
    if (own === undefined || pred.some((id) => opIdText(id) === own.id)) continue;
    if (!own.replacedBy.some((by) => isSeen(seen, by))) return 'pred-own-missing';
    replaced.push(ownSet(change.actor, field));
    yield;
  }
  return { follows, seen, replaced };
}

const ownSet = (actor: string, field: string): string => `${actor} ${field}`;

function add(
  dag: Dag,
  pending: Pending,
  { follows, seen, replaced }: Standing,
  genesis: string,
  genesisLast: number,
): void {
  const { change } = pending;
  const floor = change.deps.includes(genesis) ? genesisLast : 0;
  const counting: Counting = {
    ...pending,
    follows,
    place: dag.clocks.placed(change.actor),
    seq: change.seq,
    lastOp: Math.max(floor, change.startOp + change.ops.length - 1),
  };
  dag.clocks.keep(counting, seen);
  dag.order.push(counting);
  dag.seqs.set(change.actor, [change.seq, counting.lastOp]);
  for (const dep of change.deps) dag.heads.delete(dep);
  dag.heads.set(change.hash, counting.lastOp);
  dag.byHash.set(change.hash, counting);
  // What this change has seen the actor's later ones see too.
  for (const own of replaced) dag.ownSets.delete(own);
  change.ops.forEach((op, i) => {
    for (const pred of op.pred) dag.sets.get(opIdText(pred))?.replacedBy.push(counting);
    if (op.action !== 'set') return;
    const { field } = op;
    const set = { id: `${change.startOp + i}@${change.actor}`, field, by: counting, replacedBy: [] };
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

  finish(verdicts: readonly Verdict[], place: Partial<RecordState>): RecordState {
    const state = this.#state;
    if (state === undefined) throw new TypeError(`no ops to judge for ${this.#key}`);
    const waiting = verdicts.filter((v) => v.state === 'waits').length;
    return { ...state, waiting, ops: this.#ops.length, ...place };
  }
}

/** The largest op counter first, then the larger name: of the newest a change of all of them wins. */
const newestFirst = ([a, x]: readonly [string, number], [b, y]: readonly [string, number]): number =>
  y - x || (a < b ? 1 : -1);

/** Where the history stands: what the next change follows. `all`: its heads, sorted. */
function* placeOf(
  dag: Dag,
  all: readonly string[],
): Generator<void, Pick<RecordState, 'heads' | 'seqs' | 'maxOp' | 'rest'>> {
  const seqs = Object.create(null) as Record<string, ActorSeq>;
  const actors = yield* firstInPieces(lastOps(dag), HOT.actors, newestFirst);
  for (const [actor] of actors) {
    const known = dag.seqs.get(actor);
    if (known !== undefined) seqs[actor] = known;
  }
  const newest = yield* firstInPieces(dag.heads, HOT.heads, newestFirst);
  const heads = newest.map(([hash]) => hash).sort();
  const others = all.filter((hash) => !heads.includes(hash));
  const restHeads =
    others.length === 0 ? undefined : { count: others.length, hash: yield* hashInPieces(others) };
  const rest = restOf(restHeads, dag.seqs.size - actors.length, {});
  return { heads, seqs, maxOp: actors[0]?.[1] ?? 0, ...(rest === undefined ? {} : { rest }) };
}

function* lastOps({ seqs }: Dag): Generator<[actor: string, lastOp: number]> {
  for (const [actor, [, lastOp]] of seqs) yield [actor, lastOp];
}

/** A change joins so many heads at once; the next one joins more. */
const HEADS_AT_ONCE = 64;

function* followed(dag: Dag, actor: string): Generator<void, Follows> {
  const newest = yield* firstInPieces(dag.heads, HEADS_AT_ONCE, newestFirst);
  const heads = newest.map(([hash]) => hash).sort();
  const own = dag.order.findLast(({ change }) => change.actor === actor);
  const joined = heads.map((hash) => dag.byHash.get(hash)).filter((head) => head !== undefined);
  // An actor's change follows its own last one, whichever heads it joins.
  const deps =
    own === undefined || isSeen(yield* dag.clocks.seenBy(joined), own)
      ? heads
      : [...heads, own.change.hash].sort();
  return { actor, heads: deps, seq: own?.change.seq ?? 0 };
}
