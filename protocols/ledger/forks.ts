import { AgrinetError } from '../errors.ts';
import { feedId, type FeedState } from '../feed/feed.ts';
import { type ForkProof, isNewFork, verifyForkProof, readForkProof } from '../feed/fork.ts';
import { isKept } from '../feed/gap.ts';
import type { Effects } from './effects.ts';
import { readOp } from '../open-dialog/read-op.ts';
import type { OpenWork } from '../open-work.ts';
import { LIMITS } from '../wire/limits.ts';
import type { Commits } from './commits.ts';
import type { ForkCounts } from './fork-counts.ts';
import { feedOrNew } from './held-feed.ts';
import type { MergeGate } from './merge-gate.ts';
import type { AuthorBudgets } from './author-budgets.ts';
import { serialKeyOf } from './serial-key.ts';
import type { TaskScheduler } from './scheduler.ts';
import type { NewFeeds } from './new-feeds.ts';
import type { OwnEpoch } from './own-epoch.ts';
import { placedOps } from './placed-ops.ts';
import type { RecordChange } from './ports.ts';
import { reissueRequests, type UndoneOp } from './reissue.ts';
import type { Turn } from './turn.ts';
import type { LedgerParts, ProofOutcome, WriteRequest } from './types.ts';

export interface ForkParts {
  readonly ledger: LedgerParts;
  readonly scheduler: TaskScheduler;
  readonly commits: Commits;
  readonly epoch: OwnEpoch;
  readonly gate: MergeGate;
  readonly newFeeds: NewFeeds;
  readonly budgets: AuthorBudgets;
  readonly counts: ForkCounts;
  write(request: WriteRequest): Promise<unknown>;
  /** Work that continues after the caller has its answer is registered here. */
  readonly open: Pick<OpenWork, 'note'>;
}

/** Proofs of equivocation: entries at or above a fork lose their effect, and those of this node are issued again in a new epoch. */
export class Forks {
  readonly #parts: ForkParts;

  constructor(parts: ForkParts) {
    this.#parts = parts;
  }

  /** Processes a proof from `from`. A proof of a place that is already forked, or above a fork, costs only reading it. */
  async receive(bytes: Uint8Array, from: string): Promise<ProofOutcome> {
    const { scheduler } = this.#parts;
    const proof = await scheduler.run({ author: `from ${from}` }, async () => {
      const { channel, author, epoch, seq } = readForkProof(bytes);
      const held = this.#parts.ledger.store.feed(author, channel, epoch);
      return isNewFork({ seq }, held?.fork) ? verifyForkProof(bytes) : undefined;
    });
    if (proof === undefined) return 'known';
    const { author, channel } = proof;
    return scheduler.run({ author, serialKey: serialKeyOf(author, channel) }, (turn) =>
      this.take(proof, turn),
    );
  }

  /** Takes a proof whose signatures hold; the caller holds its serial key. */
  async take(proof: ForkProof, turn: Turn): Promise<ProofOutcome> {
    const { ledger, newFeeds, counts } = this.#parts;
    const { store, identity } = ledger;
    const { author, channel } = proof;
    const since = store.failures;
    const refusal = ledger.refusal();
    // The author's own records could not be issued again now: the proof comes again.
    if (refusal !== undefined) throw refusal;
    if (proof.net !== ledger.net) throw new AgrinetError('network-wrong', 'a proof of another network');
    const own = author === identity.peerId;
    if (!own && ledger.following.followState(author) === 'no') return 'ignored';
    const known = store.feed(author, channel, proof.epoch);
    if (!isNewFork(proof, known?.fork)) return 'known';
    if (!own && !counts.mayTake(proof)) return 'exceeded';
    if (known === undefined) {
      // Otherwise an author could fill every node with proofs against itself.
      if (!own && newFeeds.today(author, channel) >= LIMITS.epochsPerDay) return 'ignored';
      newFeeds.note(author, channel);
    }
    counts.note(proof);
    await this.#apply(proof, { feed: feedOrNew(store, proof, ledger.env.now()), since }, own, turn);
    return 'new';
  }

  /** `since` is what had failed before the feed was read. */
  async #apply(
    proof: ForkProof,
    { feed: base, since }: { readonly feed: FeedState; readonly since: number },
    own: boolean,
    turn: Turn,
  ): Promise<void> {
    const { ledger, commits, gate, budgets, epoch } = this.#parts;
    const held = base.seq >= proof.seq - 1 && proof.seq > 1;
    const below = held ? ((await ledger.store.entry(base.no, proof.seq - 1))?.hash ?? '') : '';
    const feed: FeedState = { ...base, fork: { seq: proof.seq, proof: proof.id, below } };
    const merges = gate.for(ledger.merges);
    const effects = commits.effects(turn, merges, { forks: new Map([[feedId(feed), proof.seq]]), since });
    const undone = await this.#undo(effects, base, proof.seq, own, turn);
    await effects.evaluateRemaining();
    const proofs = [{ feed, proof }];
    const write = { effects, entries: [], feeds: [feed], proofs, local: false, sync: true };
    const changes = await commits.write(write, turn);
    const at = { epoch: proof.epoch, seq: proof.seq };
    if (own) {
      // Whichever epoch was forked: a change of this one that now waits would make all that follow it here wait.
      epoch.renew();
      ledger.onAlarm({ kind: 'own-feed-forked', ...at });
      const reissued = this.#reissue(undone, changes);
      const failed = (): void => ledger.onAlarm({ kind: 'commit-failed', code: 'reissue' });
      void this.#parts.open.note(reissued.catch(failed));
    } else {
      budgets.charge(proof.author, 0, turn.usedMs() + merges.ms);
      ledger.onAlarm({ kind: 'feed-forked', author: proof.author, ...at });
    }
  }

  /**
   * Has the records evaluated again to which the ops from the fork on belong. Those that an earlier fork invalidated are already
   * excluded.
   */
  async #undo(
    effects: Effects,
    base: FeedState,
    from: number,
    own: boolean,
    turn: Turn,
  ): Promise<UndoneOp[]> {
    const undone: UndoneOp[] = [];
    const { store } = this.#parts.ledger;
    const last = (base.fork?.seq ?? Infinity) - 1;
    const gap = store.gap(base.no);
    const kept = [...(gap?.kept.keys() ?? [])].filter((seq) => seq >= from && seq > base.seq && seq <= last);
    for (const seq of [...sequence(from, Math.min(base.seq, last)), ...kept]) {
      const entry = await store.entry(base.no, seq);
      for (const placed of entry === undefined ? [] : placedOps(entry)) {
        if (seq > base.seq && !isKept(gap, seq, placed.index)) continue;
        const read = readOp(placed);
        if (read.key !== undefined) await effects.again(read.key);
        if (own) undone.push({ placed, read });
        if (turn.isOver()) await turn.next();
      }
    }
    return undone;
  }

  /** This node's honest records are issued again in a new epoch, as they were before the fork invalidated their ops. */
  async #reissue(undone: readonly UndoneOp[], changes: readonly RecordChange[]): Promise<void> {
    const requests = reissueRequests(undone, changes);
    for (let at = 0; at < requests.length; at += LIMITS.entryOps)
      await Promise.all(requests.slice(at, at + LIMITS.entryOps).map((each) => this.#parts.write(each)));
  }
}

function* sequence(from: number, to: number): Generator<number> {
  for (let seq = from; seq <= to; seq++) yield seq;
}
