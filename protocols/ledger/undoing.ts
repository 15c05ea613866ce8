import { feedId, type FeedState } from '../feed/feed.ts';
import type { ForkProof } from '../feed/fork.ts';
import { isKept } from '../feed/gap.ts';
import { readOp } from '../open-dialog/read-op.ts';
import type { PlacedOp } from '../open-dialog/record.ts';
import type { RecordKey } from '../wire/ids.ts';
import { LIMITS } from '../wire/limits.ts';
import type { AuthorBudgets } from './author-budgets.ts';
import type { Commits } from './commits.ts';
import type { Effects } from './effects.ts';
import type { MergeGate } from './merge-gate.ts';
import { placedOps } from './placed-ops.ts';
import type { RecordChange } from './ports.ts';
import type { UndoneOp } from './reissue.ts';
import type { Turn } from './turn.ts';
import type { LedgerParts } from './types.ts';

export interface UndoingParts {
  readonly ledger: LedgerParts;
  readonly commits: Commits;
  readonly gate: MergeGate;
  readonly budgets: AuthorBudgets;
}

/** A proof that comes with the first batch; `since` is what had failed before its feed was read. */
export interface NewProof {
  readonly proof: ForkProof;
  readonly since: number;
}

/** What one batch has done. */
export interface Undone {
  readonly feed: FeedState;
  /** Of own feeds. */
  readonly ops: readonly UndoneOp[];
  readonly changes: readonly RecordChange[];
}

/** What stands at or above a fork and had effect so far; undefined where nothing does. */
export function toUndo(
  base: FeedState,
  from: number,
  kept: Iterable<number>,
): { readonly from: number; readonly to: number } | undefined {
  // What an earlier fork took away is gone already.
  const last = (base.fork?.seq ?? Infinity) - 1;
  let to = Math.min(base.seq, last);
  for (const seq of kept) if (seq <= last) to = Math.max(to, seq);
  return to < from ? undefined : { from, to };
}

/**
 * Takes their effect from what stands at or above a fork, no more in one commit than an entry may hold: a feed may have millions of ops. How far it
 * is stands in the feed's own row. Whoever calls has the serial key of the feed, until all is done: in between its records are neither as they were
 * nor as they are to be.
 */
export class Undoing {
  readonly #parts: UndoingParts;

  constructor(parts: UndoingParts) {
    this.#parts = parts;
  }

  /** One batch of a feed with `fork.undoing`. */
  async next(feed: FeedState, isOwn: boolean, turn: Turn, come?: NewProof): Promise<Undone> {
    const { ledger, commits, gate, budgets } = this.#parts;
    const merges = gate.for(ledger.merges);
    const forks = new Map([[feedId(feed), feed.fork?.seq ?? Infinity]]);
    const since = come?.since ?? ledger.store.failures;
    const effects = commits.effects(turn, merges, { forks, since });
    const { after, ops } = await this.#some(feed, effects, isOwn, turn);
    await effects.evaluateRemaining();
    const proofs = come === undefined ? [] : [{ feed: after, proof: come.proof }];
    const write = { effects, entries: [], feeds: [after], proofs, local: false, sync: come !== undefined };
    const changes = await commits.write(write, turn);
    if (!isOwn) budgets.charge(feed.author, 0, turn.usedMs() + merges.ms);
    return { feed: after, ops, changes };
  }

  /** Has the records of the next entries evaluated again, each when its first op above the fork is met. */
  async #some(
    feed: FeedState,
    effects: Effects,
    isOwn: boolean,
    turn: Turn,
  ): Promise<{ readonly after: FeedState; readonly ops: readonly UndoneOp[] }> {
    const { store } = this.#parts.ledger;
    const gap = store.gap(feed.no);
    const ops: UndoneOp[] = [];
    let count = 0;
    for (const seq of this.#sequences(feed)) {
      if (count >= LIMITS.entryOps) return { after: goingOn(feed, seq), ops };
      const entry = await store.entry(feed.no, seq);
      for (const placed of entry === undefined ? [] : placedOps(entry)) {
        if (seq > feed.seq && !isKept(gap, seq, placed.index)) continue;
        if (turn.isOver()) await turn.next();
        const read = readOp(placed);
        count++;
        if (isOwn) ops.push({ placed, read });
        // What is rejected by itself stays so, and is found from no record.
        if ('problem' in read) continue;
        // What is covered has no effect of its own to lose.
        if (seq <= store.coverOf(read.key, placed)) continue;
        effects.forked(placed, read.key);
        if (await this.#isFirst(feed, read.key, placed)) await effects.again(read.key);
      }
    }
    return { after: goingOn(feed, undefined), ops };
  }

  *#sequences({ no, seq: head, fork }: FeedState): Generator<number> {
    if (fork?.undoing === undefined) return;
    const { from, to } = fork.undoing;
    for (let seq = from; seq <= Math.min(head, to); seq++) yield seq;
    for (const seq of this.#parts.ledger.store.gap(no)?.kept.keys() ?? [])
      if (seq > head && seq >= from && seq <= to) yield seq;
  }

  /** Whether no other op of the record stands between the fork and this one: with that the record was evaluated. */
  async #isFirst({ no, fork }: FeedState, key: RecordKey, { seq, index }: PlacedOp): Promise<boolean> {
    const above = { seq: fork?.seq ?? 0, index: -1 };
    const [first] = await this.#parts.ledger.store.opPlaces(key, no, { above }, 1);
    return first === undefined || (first.seq === seq && first.index === index);
  }
}

function goingOn(feed: FeedState, from: number | undefined): FeedState {
  if (feed.fork === undefined) return feed;
  const { undoing, ...fork } = feed.fork;
  if (from === undefined || undoing === undefined) return { ...feed, fork };
  return { ...feed, fork: { ...fork, undoing: { from, to: undoing.to } } };
}
