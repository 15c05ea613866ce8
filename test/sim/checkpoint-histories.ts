import { isDeepStrictEqual } from 'node:util';
import { AgrinetError } from '../../protocols/errors.ts';
import { effectiveCheckpoint } from '../../protocols/checkpoint/effective.ts';
import { expandCovers } from '../../protocols/checkpoint/covers.ts';
import { frontierOf, sameFrontier } from '../../protocols/feed/frontier.ts';
import { signEntry } from '../../protocols/feed/entry.ts';
import { makeForkProof } from '../../protocols/feed/fork.ts';
import { draftEdit, draftFact, draftTombstone, type Patch } from '../../protocols/ledger/drafts.ts';
import type { Floor } from '../../protocols/open-dialog/floor.ts';
import type { Merger } from '../../protocols/open-dialog/merger.ts';
import type { PlacedOp, RecordState } from '../../protocols/open-dialog/record.ts';
import { evaluate, runAll } from '../../protocols/open-dialog/rule.ts';
import { withValues } from '../../protocols/open-dialog/values.ts';
import { recordKey, type RecordKey } from '../../protocols/wire/ids.ts';
import type { Identity } from '../../protocols/wire/identity.ts';
import { erase, heldOf, type Member, openMember } from '../support/checkpoint-member.ts';
import { rebuildDamaged } from '../../daemon/rebuild.ts';
import { itemsIn } from '../../storage/floor-rows.ts';
import { FloorStaging } from '../../storage/floor-staging.ts';
import { slotStart } from '../../storage/floor-table.ts';
import { innerKey, range } from '../../storage/keyspace.ts';
import { priceOps } from '../support/forge.ts';
import { pull } from '../support/ledger-node.ts';
import { seededRandom } from '../support/random.ts';
import { tempDir } from '../support/temp-dir.ts';
import { nodeOf } from '../support/vectors/signatures.ts';

/*
 * Checkpoints take effect at several nodes at different times, while processes with their author's key write on without knowing of one
 * another, and nodes stop or rebuild in between. Nodes that hold the same show the same in the end, and that is what the rule gives of all
 * ops, checkpoint upon checkpoint.
 */

/** What some histories covered, so that a test can see that they were not idle. */
export interface HistoryFigures {
  histories: number;
  edits: number;
  checkpoints: number;
  /** Times that one took effect somewhere. */
  effects: number;
  /** Before all had met. */
  early: number;
  joins: number;
  pending: number;
  conflicts: number;
  comparisons: number;
  erasures: number;
  forks: number;
  /** Nodes that took what is stored at another. */
  filled: number;
  /** Entries that were signed beside those of the author, and taken by somebody. */
  branches: number;
  /** Histories in which nobody holds all that the last checkpoint covers, so that the model has nothing to tell. */
  unmodelled: number;
  /** Nobody could tell what the last checkpoint covers. */
  untold: number;
  reasons: Record<string, number>;
}

export const noFigures = (): HistoryFigures => ({
  histories: 0,
  edits: 0,
  checkpoints: 0,
  effects: 0,
  early: 0,
  joins: 0,
  pending: 0,
  conflicts: 0,
  comparisons: 0,
  erasures: 0,
  forks: 0,
  filled: 0,
  branches: 0,
  unmodelled: 0,
  untold: 0,
  reasons: {},
});

/** What happens besides edits, ends and checkpoints. */
export type HistoryKind = 'plain' | 'erasures' | 'forks';

const owner = nodeOf(1);
const FIELDS = ['title', 'unit', 'commodity', 'notes'];
const EXPECTED = new Set([
  'erasure-malformed',
  'checkpoint-refused',
  'checkpoint-incomplete',
  'record-ended',
  'record-merging',
]);

class History {
  readonly #random: () => number;
  readonly #merger: Merger;
  readonly #figures: HistoryFigures;
  readonly #closes = new Map<Member, () => Promise<void>>();
  readonly #dirs: { remove(): void }[] = [];
  readonly #writers: Member[] = [];
  readonly #all: Member[] = [];

  readonly #erases: boolean;
  readonly #forks: boolean;

  constructor(seed: number, merger: Merger, figures: HistoryFigures, kind: HistoryKind) {
    this.#erases = kind === 'erasures';
    this.#forks = kind === 'forks';
    this.#random = seededRandom(seed);
    this.#merger = merger;
    this.#figures = figures;
  }

  async run(): Promise<string[]> {
    try {
      const writers = 1 + this.#int(3);
      for (let i = 0; i < writers; i++) this.#writers.push(await this.#open(owner));
      this.#all.push(...this.#writers);
      for (let i = 0; i < 2; i++) this.#all.push(await this.#open(nodeOf(2 + i)));
      const steps = 20 + this.#int(60);
      for (let i = 0; i < steps; i++) await this.#step();
      return await this.#end();
    } finally {
      for (const close of this.#closes.values()) await close();
      for (const dir of this.#dirs) dir.remove();
    }
  }

  async #open(identity: Identity, path?: string): Promise<Member> {
    const followed = identity === owner ? [] : [owner];
    const dir = path === undefined ? tempDir('histories') : { path };
    if ('remove' in dir) this.#dirs.push(dir);
    let close = (): Promise<void> => Promise.resolve();
    const kept = { path: dir.path, remove: () => undefined };
    const member = await openMember(this.#merger, (each) => (close = each), identity, followed, kept);
    this.#closes.set(member, close);
    return member;
  }

  /** A new process on the same disk. */
  async #restart(node: Member): Promise<void> {
    await this.#closes.get(node)?.();
    this.#closes.delete(node);
    const again = await this.#open(node.identity, node.dir);
    for (const list of [this.#writers, this.#all]) {
      const at = list.indexOf(node);
      if (at >= 0) list[at] = again;
    }
  }

  #int(below: number): number {
    return Math.floor(this.#random() * below);
  }

  #pick<T>(list: readonly T[]): T {
    const item = list[this.#int(list.length)];
    if (item === undefined) throw new TypeError('nothing to pick from');
    return item;
  }

  async #step(): Promise<void> {
    const roll = this.#random();
    if (roll < 0.5) await this.#write(this.#pick(this.#writers));
    else if (this.#forks && roll < 0.54) await this.#branch(this.#pick(this.#writers));
    else if (roll < 0.75) await this.#pull(this.#pick(this.#all), this.#pick(this.#all));
    else if (roll < 0.83) await this.#make(this.#pick(this.#writers));
    else if (roll < 0.97) {
      this.#figures.early += await this.#take(this.#pick(this.#all));
    } else if (roll < 0.985) await this.#restart(this.#pick(this.#all));
    else await this.#rebuild(this.#pick(this.#all));
  }

  async #write(node: Member): Promise<void> {
    const key = recordKey('listings', owner.peerId, `l${this.#int(4)}`);
    const roll = this.#random();
    try {
      if (this.#erases && roll > 0.93) {
        if ((await node.store.recordOps(key)).length === 0) return;
        await erase(node, `l${key.slice(-1)}`);
        this.#figures.erasures++;
      } else if (roll < 0.05)
        await node.ledger.write({ keys: [key], draft: () => [draftTombstone(key, 'public')] });
      else if (roll < 0.15) await this.#price(node);
      else await node.ledger.write({ keys: [key], draft: (pen, read) => [this.#edit(pen, key, read(key))] });
      this.#figures.edits++;
    } catch (error) {
      if (!isExpected(error)) throw error;
    }
  }

  async #pull(from: Member, to: Member): Promise<number> {
    if (from === to) return 0;
    const taken = await pull(from, to, [owner.peerId], { forks: this.#forks });
    // What a fork has taken away is issued again by whoever signed it.
    if (this.#forks) await to.ledger.drain();
    return taken;
  }

  /** Another entry behind the head of a process, which another node takes before that process has written its own there. */
  async #branch(node: Member): Promise<void> {
    const feed = node.store.feed(owner.peerId, 'public', node.ledger.epoch());
    if (feed === undefined || feed.fork !== undefined || feed.seq === 0) return;
    const head = await node.store.entry(feed.no, feed.seq);
    if (head === undefined) return;
    const { n: _, root: __, ...place } = head.header;
    const at = { ...place, seq: feed.seq + 1, prev: head.hash, after: [] };
    const pen = { author: owner.peerId, epoch: feed.epoch };
    const key = recordKey('listings', owner.peerId, `l${this.#int(4)}`);
    const [state] = await node.store.records([key]);
    let ops = priceOps(pen, 'other', this.#int(99));
    try {
      const edited = this.#random() < 0.7 ? this.#edit(pen, key, state).ops : [];
      if (edited.length > 0) ops = [...edited];
    } catch (error) {
      if (!isExpected(error)) throw error;
    }
    const other = signEntry(owner, at, ops);
    const to = this.#pick(this.#all.filter((each) => each !== node));
    await this.#pull(node, to);
    const [result] = await to.ledger.receive([other.bytes]);
    await to.ledger.drain();
    if (result?.kind === 'accept' || result?.kind === 'fork') this.#figures.branches++;
    if (this.#random() < 0.7) await this.#write(node);
    if (this.#random() < 0.3) await this.#make(node);
  }

  #edit(pen: Parameters<typeof draftEdit>[0], key: RecordKey, state: RecordState | undefined) {
    const patch: Record<string, Patch[string]> = {};
    if (state?.exists !== true) Object.assign(patch, { type: 'offer', status: 'active' });
    for (const field of FIELDS)
      if (this.#random() < 0.4) patch[field] = this.#random() < 0.2 ? undefined : `v${this.#int(6)}`;
    return draftEdit(pen, key, 'public', state, patch);
  }

  #price(node: Member): Promise<unknown> {
    const fields = { date: '2026-01-01', market: `m${this.#int(5)}`, commodity: 'Maize', unit: 'kg' };
    const price = { ...fields, currency: 'KES', price: this.#int(9), priceType: 'Retail' };
    return node.ledger.write({ keys: [], draft: (pen) => [draftFact(pen, 'prices', price)] });
  }

  /** Lags nothing, so that much comes late. */
  async #make(node: Member): Promise<void> {
    try {
      const { outcome } = await node.checkpoints(0, { takesEffect: true }).make(() => undefined);
      if (outcome === 'made') this.#figures.checkpoints++;
    } catch (error) {
      if (!isExpected(error)) throw error;
    }
  }

  async #take(node: Member): Promise<number> {
    const { ids, outcome, why } = await node.checkpoints().takeEffect(owner.peerId);
    const reason = `${outcome} ${why ?? ''}`;
    this.#figures.reasons[reason] = (this.#figures.reasons[reason] ?? 0) + 1;
    if (outcome === 'differs') throw new Error(`a checkpoint is called false: ${why}`);
    this.#figures.effects += ids.length;
    return ids.length;
  }

  async #rebuild(node: Member): Promise<void> {
    await node.ledger.drain();
    await node.ledger.alone(async () => {
      const { problems } = await rebuildDamaged(node.db, this.#merger, () => undefined);
      if (problems.length > 0) throw new Error(JSON.stringify(problems));
      await node.store.reload();
    });
  }

  /** All meet; one of the writers joins what checkpoints there are. */
  async #end(): Promise<string[]> {
    const [first] = this.#writers;
    if (first === undefined) return [];
    await this.#meet();
    if (this.#forks && this.#random() < 0.5 && (await this.#fork(first))) await this.#meet();
    for (let i = 0; i < 3; i++) {
      await this.#take(first);
      const held = await Array.fromAsync(first.store.checkpoints(owner.peerId));
      if (held.length === 0 || this.#random() < 0.5) break;
      await this.#make(first);
      this.#figures.joins++;
    }
    await this.#meet();
    for (const node of this.#all) await this.#take(node);
    if ((this.#erases || this.#forks) && !(await this.#fill())) return [];
    const observer = this.#all.at(-1) ?? first;
    const { outcome } = await observer.checkpoints().takeEffect(owner.peerId);
    this.#figures.histories++;
    return outcome === 'contested' ? [] : this.#compare(first);
  }

  /** Whoever cannot tell, because of erasures, takes what is stored at who could: as it takes the chunks of a peer. */
  async #fill(): Promise<boolean> {
    const held = await Promise.all(this.#all.map((node) => heldOf(node, owner.peerId)));
    const effective = effectiveCheckpoint(held.flat());
    if (effective === undefined || effective.contested) return true;
    const { checkpoint } = effective;
    const isThere = ({ store }: Member): boolean => store.floors.mark(owner.peerId).now?.id === checkpoint.id;
    const source = this.#all.find(isThere);
    const now = source?.store.floors.mark(owner.peerId).now;
    if (source === undefined || now === undefined) {
      this.#figures.untold++;
      return false;
    }
    for (const node of this.#all) {
      if (isThere(node)) continue;
      const staging = await FloorStaging.begin(node.db, node.store.floors, checkpoint, now.covers);
      const start = slotStart('r', owner.peerId, now.slot);
      for await (const [full, value] of source.db.level.iterator(range('floors', start))) {
        const [collection = '', id = ''] = innerKey(full).slice(start.length).split('\0');
        await staging.add(recordKey(collection, owner.peerId, id), itemsIn(full, value));
      }
      if (!(await staging.end())) throw new Error('what is stored of a checkpoint is not what it says');
      await node.ledger.raise(owner.peerId);
      this.#figures.filled++;
    }
    return true;
  }

  /** Another entry than the one held at a place, every other time above all that any checkpoint covers; some write on before they know of it. */
  async #fork(first: Member): Promise<boolean> {
    const feeds = first.store.feeds(owner.peerId, 'public');
    const covered = new Map<string, number>();
    for (const { covers } of await heldOf(first))
      for (const { epoch, seq } of expandCovers(covers, feeds).covers)
        covered.set(epoch, Math.max(seq, covered.get(epoch) ?? 0));
    const open = feeds.filter(({ epoch, seq }) => seq > (covered.get(epoch) ?? 0));
    if (open.length === 0) return false;
    const { no, epoch, seq } = this.#pick(open);
    const isAbove = this.#random() < 0.5;
    const above = isAbove ? (covered.get(epoch) ?? 0) : 0;
    const entry = await first.store.entry(no, above + 1 + this.#int(seq - above));
    if (entry === undefined) return false;
    const { n: _, root: __, ...place } = entry.header;
    const other = signEntry(owner, place, priceOps({ author: owner.peerId, epoch }, 'other', this.#int(99)));
    const proof = makeForkProof(entry, other).bytes;
    for (const node of this.#all) {
      if (this.#random() < 0.5) await this.#take(node);
      await node.ledger.receiveProof(proof);
      await node.ledger.drain();
      if (node.identity === owner && this.#random() < 0.5) await this.#write(node);
    }
    this.#figures.forks++;
    return true;
  }

  async #meet(): Promise<void> {
    for (let isMore = true; isMore;) {
      isMore = false;
      for (const from of this.#all)
        for (const to of this.#all) if ((await this.#pull(from, to)) > 0) isMore = true;
    }
  }

  async #compare(first: Member): Promise<string[]> {
    const faults: string[] = [];
    const frontier = frontierOf(first.store.feeds(owner.peerId, 'public'));
    const teller = await this.#teller();
    if (teller === undefined) this.#figures.unmodelled++;
    const expected = await this.#model(teller ?? first);
    for (const node of this.#all) {
      if (!sameFrontier(frontierOf(node.store.feeds(owner.peerId, 'public')), frontier))
        faults.push('frontiers differ');
      if (node.digestOf(owner.peerId) !== first.digestOf(owner.peerId)) faults.push('digests differ');
      const [a, b] = [node, first].map((each) => each.store.floors.mark(owner.peerId).now?.id);
      if (a !== b) faults.push(`another checkpoint is in effect: ${a} ${b}`);
      for (const [key, state] of expected) {
        const [held] = await node.store.records([key]);
        this.#figures.comparisons++;
        const [same] = await first.store.records([key]);
        // What was erased of a record the model cannot tell the times of.
        const [a, b] = [held, state].map((each) => shown(each, this.#erases));
        if (teller !== undefined && !isDeepStrictEqual(a, b))
          faults.push(`${key}: ${JSON.stringify(a)} is not ${JSON.stringify(b)}`);
        const [c, d] = [held, same].map((each) => shown(each, false));
        if (!isDeepStrictEqual(c, d))
          faults.push(`${key}: ${JSON.stringify(c)}, elsewhere ${JSON.stringify(d)}`);
      }
    }
    for (const state of expected.values()) {
      this.#figures.pending += state.pending;
      if (Object.keys(state.conflicts).length > 0) this.#figures.conflicts++;
    }
    return faults;
  }

  /** Who holds the very entries that the checkpoints on the way cover. */
  async #teller(): Promise<Member | undefined> {
    const held = await Promise.all(this.#all.map((node) => heldOf(node, owner.peerId)));
    for (const node of this.#all) {
      const feeds = node.store.feeds(owner.peerId, 'public');
      const covers = held.flat().flatMap((each) => expandCovers(each.covers, feeds).covers);
      const isHeld = async ({ epoch, seq, hash }: (typeof covers)[number]): Promise<boolean> => {
        const no = feeds.find((feed) => feed.epoch === epoch)?.no;
        return seq === 0 || (no !== undefined && (await node.store.entry(no, seq))?.hash === hash);
      };
      if ((await Promise.all(covers.map(isHeld))).every((each) => each)) return node;
    }
    return undefined;
  }

  /** Every listing as the rule gives it of all ops, checkpoint upon checkpoint. */
  async #model(node: Member): Promise<Map<RecordKey, RecordState>> {
    const byId = new Map(
      (await Array.fromAsync(node.store.checkpoints(owner.peerId))).map(({ checkpoint }) => [
        checkpoint.id,
        checkpoint,
      ]),
    );
    const way: ReadonlyMap<string, number>[] = [];
    for (let id = node.store.floors.mark(owner.peerId).now?.id; id !== undefined;) {
      const at = byId.get(id);
      if (at === undefined) break;
      const { covers } = expandCovers(at.covers, node.store.feeds(owner.peerId, 'public'));
      way.unshift(new Map(covers.map(({ epoch, seq }) => [epoch, seq])));
      id = at.upon;
    }
    const states = new Map<RecordKey, RecordState>();
    for (let i = 0; i < 4; i++) {
      const key = recordKey('listings', owner.peerId, `l${i}`);
      const ops = await node.store.recordOps(key);
      const isForked = ({ epoch, seq }: PlacedOp): boolean =>
        seq >= (node.store.feed(owner.peerId, 'public', epoch)?.fork?.seq ?? Infinity);
      if (ops.length > 0) states.set(key, stateUpon(key, ops, way, isForked));
    }
    return states;
  }
}

function stateUpon(
  key: RecordKey,
  ops: readonly PlacedOp[],
  way: readonly ReadonlyMap<string, number>[],
  isForked: (op: PlacedOp) => boolean,
): RecordState {
  let floor: Floor | undefined;
  let left = [...ops];
  const how = { merged: 0, tellsFloor: true } as const;
  for (const covers of way) {
    const isBelow = ({ epoch, seq }: PlacedOp): boolean => seq <= (covers.get(epoch) ?? 0);
    const below = left.filter(isBelow);
    left = left.filter((op) => !isBelow(op));
    if (below.length === 0 && floor === undefined) continue;
    const made = runAll(evaluate(key, below, undefined, { ...how, floor })).floor;
    if (made === 'too-many-heads') throw new Error('a checkpoint of too many heads');
    floor = made;
  }
  // A fork takes nothing from what is covered.
  left = left.filter((op) => !isForked(op));
  const { outline, values } = runAll(evaluate(key, left, undefined, { ...how, floor }));
  return values === undefined ? outline : withValues(outline, values);
}

/** What must be equal wherever the same is held. */
function shown(state: RecordState | undefined, isTimeless: boolean): unknown {
  if (state === undefined) return undefined;
  const { heads, view, fieldOps, conflicts, seqs, maxOp, tombstone, exists, pending, ops, erased } = state;
  const times = isTimeless ? [] : [state.created, state.updated];
  const end = { tombstone, erased: erased ?? false, exists, floored: state.floored ?? null };
  const plain = { heads, view, fieldOps, conflicts, seqs, maxOp, pending, ops, times, ...end };
  return JSON.parse(JSON.stringify(plain, sorted)) as unknown;
}

function sorted(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function isExpected(error: unknown): boolean {
  return error instanceof AgrinetError && EXPECTED.has(error.code);
}

/** One history; what was wrong. */
export function checkpointHistory(
  seed: number,
  merger: Merger,
  figures: HistoryFigures,
  kind: HistoryKind,
): Promise<string[]> {
  return new History(seed, merger, figures, kind).run();
}
