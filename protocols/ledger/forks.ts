import { pause } from '../env.ts';
import { AgrinetError, errorCode } from '../errors.ts';
import type { FeedState } from '../feed/feed.ts';
import { type ForkProof, isNewFork, verifyForkProof, readForkProof } from '../feed/fork.ts';
import { isBeingUndone } from '../feed/frontier.ts';
import type { OpenWork } from '../open-work.ts';
import { LIMITS } from '../wire/limits.ts';
import type { ForkCounts } from './fork-counts.ts';
import { feedOrNew } from './held-feed.ts';
import { serialKeyOf } from './serial-key.ts';
import type { KeptKey, TaskScheduler } from './scheduler.ts';
import type { NewFeeds } from './new-feeds.ts';
import type { OwnEpoch } from './own-epoch.ts';
import { Reissues } from './reissue.ts';
import type { Turn } from './turn.ts';
import type { ProofOutcome, WriteRequest } from './types.ts';
import { toUndo, type Undone, Undoing, type UndoingParts } from './undoing.ts';

export interface ForkParts extends UndoingParts {
  readonly scheduler: TaskScheduler;
  readonly epoch: OwnEpoch;
  readonly newFeeds: NewFeeds;
  readonly counts: ForkCounts;
  write(request: WriteRequest): Promise<unknown>;
  /** Work that continues after the caller has its answer is registered here. */
  readonly open: Pick<OpenWork, 'note' | 'isClosed'>;
}

/** Proofs of equivocation: entries at or above a fork lose their effect, and those of this node are issued again in a new epoch. */
export class Forks {
  readonly #parts: ForkParts;
  readonly #undoing: Undoing;

  constructor(parts: ForkParts) {
    this.#parts = parts;
    this.#undoing = new Undoing(parts);
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

  /**
   * Goes on where the last process ended: what stands above these forks still has effect in part. Nobody else works on them before that
   * is done.
   */
  resume(): void {
    const { store } = this.#parts.ledger;
    const left = store.feedGroups().flatMap(({ feeds }) => feeds.filter(isBeingUndone));
    for (const [serialKey, feeds] of Map.groupBy(left, ({ author, channel }) => serialKeyOf(author, channel)))
      void this.#parts.open.note(this.#finish(feeds, this.#parts.scheduler.keep(serialKey)));
  }

  /** `since` is what had failed before the feed was read. */
  async #apply(
    proof: ForkProof,
    { feed: base, since }: { readonly feed: FeedState; readonly since: number },
    own: boolean,
    turn: Turn,
  ): Promise<void> {
    const { ledger, epoch, scheduler } = this.#parts;
    const { store } = ledger;
    const held = base.seq >= proof.seq - 1 && proof.seq > 1;
    const below = held ? ((await store.entry(base.no, proof.seq - 1))?.hash ?? '') : '';
    const undoing = toUndo(base, proof.seq, store.gap(base.no)?.kept.keys() ?? []);
    const fork = { seq: proof.seq, proof: proof.id, below, ...(undoing === undefined ? {} : { undoing }) };
    const { feed, ops, changes } = await this.#undoing.next({ ...base, fork }, own, turn, { proof, since });
    const at = { epoch: proof.epoch, seq: proof.seq };
    const reissues = own ? new Reissues() : undefined;
    if (own) {
      // Whichever epoch was forked: a change of this one that now waits would make all that follow it here wait.
      epoch.renew();
      ledger.onAlarm({ kind: 'own-feed-forked', ...at });
      reissues?.add(ops, changes);
    } else ledger.onAlarm({ kind: 'feed-forked', author: proof.author, ...at });
    // Kept before the caller's task ends: nobody comes between it and the rest.
    const kept = isBeingUndone(feed) ? scheduler.keep(serialKeyOf(feed.author, feed.channel)) : undefined;
    const rest = kept === undefined ? this.#reissue(reissues) : this.#finish([feed], kept, reissues);
    void this.#parts.open.note(rest);
  }

  /** Takes their effect from all that is left of these feeds, whose serial key is kept. What a stop leaves is for the next start. */
  async #finish(feeds: readonly FeedState[], kept: KeptKey, noted?: Reissues): Promise<void> {
    const { ledger, open } = this.#parts;
    for (const feed of feeds) {
      const isOwn = feed.author === ledger.identity.peerId;
      const reissues = noted ?? (isOwn ? new Reissues() : undefined);
      // What the process before has taken away it can no longer issue again.
      if (isOwn && noted === undefined) ledger.onAlarm({ kind: 'commit-failed', code: 'reissue' });
      for (let left: FeedState | undefined = feed; left !== undefined && isBeingUndone(left);) {
        if (open.isClosed) return kept.close(new AgrinetError('stopping', 'the node is stopping'));
        const done = await this.#more(left, kept, isOwn);
        if (done === 'damaged') return kept.release();
        if (done !== undefined) reissues?.add(done.ops, done.changes);
        left = done?.feed ?? ledger.store.feed(left.author, left.channel, left.epoch);
      }
      void open.note(this.#reissue(reissues));
    }
    kept.release();
  }

  /** One more batch; undefined when it failed and is to be tried again, after a pause. */
  async #more(feed: FeedState, kept: KeptKey, isOwn: boolean): Promise<Undone | 'damaged' | undefined> {
    const { env } = this.#parts.ledger;
    try {
      return await kept.run(feed.author, (turn) => this.#undoing.next(feed, isOwn, turn));
    } catch (error) {
      // Of what cannot be read a rebuild makes what is left; nobody need wait for that.
      if (errorCode(error) === 'value-damaged') return 'damaged';
      await pause(env, AGAIN_MS);
      return undefined;
    }
  }

  /** This node's honest records are issued again in a new epoch, as they were before the fork invalidated their ops. */
  async #reissue(reissues: Reissues | undefined): Promise<void> {
    const requests = reissues?.all ?? [];
    try {
      for (let at = 0; at < requests.length; at += LIMITS.entryOps)
        await Promise.all(requests.slice(at, at + LIMITS.entryOps).map((each) => this.#parts.write(each)));
    } catch {
      this.#parts.ledger.onAlarm({ kind: 'commit-failed', code: 'reissue' });
    }
  }
}

/** After a batch that failed, milliseconds: the disk may be full, and has its alarm. */
const AGAIN_MS = 1000;
