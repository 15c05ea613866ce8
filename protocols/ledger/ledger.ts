import { openErasure, readErasure } from '../feed/erasure.ts';
import { BroughtErasures } from './brought-erasures.ts';
import { Commits } from './commits.ts';
import { ForkCounts } from './fork-counts.ts';
import { Forgetting } from './forgetting.ts';
import { Forks } from './forks.ts';
import { MergeGate } from './merge-gate.ts';
import { JudgingDebts } from './judging-debts.ts';
import { laneOf } from './lane-of.ts';
import { Lanes, type OwnWork } from './lanes.ts';
import { NewFeeds } from './new-feeds.ts';
import { OwnEpoch } from './own-epoch.ts';
import { OwnWriter } from './own-writer.ts';
import { Receiver } from './receiver.ts';
import { documentChannel } from '../open-dialog/read-op.ts';
import { parseRecordKey, type RecordKey } from '../wire/ids.ts';
import { threadClock } from './turn.ts';
import type { Ledger, LedgerParts, WriteRequest, Written } from './types.ts';

export function createLedger(parts: LedgerParts): Ledger {
  const { identity, store, following, now, clockOfThread = threadClock } = parts;
  const epoch = new OwnEpoch();
  const commits = new Commits(parts, epoch);
  const writer = new OwnWriter(parts, commits, epoch, (lane) => lanes.isHeld(lane));
  const own: OwnWork = {
    lane: laneOf(identity.peerId, 'public'),
    isWaiting: () => writer.isWaiting(),
    commit: (turn) => writer.commit(turn),
    freed: (lane) => writer.freed(lane),
  };
  const lanes = new Lanes(clockOfThread, own);
  const shared = {
    ledger: parts,
    lanes,
    commits,
    epoch,
    gate: new MergeGate(() => clockOfThread.wall()),
    newFeeds: new NewFeeds(store, now),
    debts: new JudgingDebts(parts.steady ?? now),
    brought: new BroughtErasures(),
  };
  const forks = new Forks({ ...shared, counts: new ForkCounts(now), write });
  const forgetting = new Forgetting(shared);
  const receiver = new Receiver({ ...shared, forks });
  /** All that is under way, so that a stop can wait for it. */
  const open = new Set<Promise<unknown>>();

  function kept<T>(work: Promise<T>): Promise<T> {
    const settled = work.then(
      () => undefined,
      () => undefined, // told to whoever asked for the work
    );
    open.add(settled);
    void settled.then(() => open.delete(settled));
    return work;
  }

  function write(request: WriteRequest): Promise<Written> {
    const written = kept(writer.add(request));
    lanes.wake();
    return written;
  }

  /** In the lane of the record, charged to its owner like anything that is done for its sake. */
  async function mergeAgain(key: RecordKey): Promise<void> {
    const owner = parseRecordKey(key)?.owner;
    const channel = documentChannel(key);
    if (channel === undefined || owner === undefined || parts.refusal() !== undefined) return;
    // Looked at in its lane alone: the worker may have been faster than the commit that leaves the record unmerged.
    await lanes.run({ author: owner, lane: laneOf(owner, channel) }, async (turn) => {
      const effects = commits.effects(turn, shared.gate.for(parts.merges));
      await effects.load([key]);
      const before = effects.state(key)?.unmerged;
      if (before === undefined) return;
      await effects.again(key);
      await effects.settle();
      // Still outstanding, for the same reason: nothing has changed.
      if (effects.state(key)?.unmerged === before) return;
      await commits.write({ effects, entries: [], feeds: [], local: false, sync: false }, turn);
    });
  }

  return {
    write,
    mergeAgain: (key) => kept(mergeAgain(key)),
    receive: (entries, publicOnly = false, from = '') => kept(receiver.receive(entries, publicOnly, from)),
    receiveProof: (bytes, from = '') => kept(forks.receive(bytes, from)),
    receiveErasure: (bytes, from = '') =>
      lanes.run({ author: `from ${from}` }, async () => {
        // The same again costs its reading: no signature is looked at twice.
        const known = shared.brought.has(readErasure(bytes).id);
        const erasure = known ? readErasure(bytes) : openErasure(bytes);
        const follows = erasure.author === identity.peerId || following.standing(erasure.author) !== 'no';
        if (follows) shared.brought.add(erasure);
        return follows ? 'new' : 'ignored';
      }),
    look: (...what) => kept(forgetting.look(...what)),
    sweep: (...what) => kept(forgetting.sweep(...what)),
    refound: (gap) => kept(forgetting.refound(gap)),
    epoch: () => epoch.id,
    alone: (work) => kept(lanes.alone(work)),
    async drain() {
      await Promise.all(open);
    },
  };
}
