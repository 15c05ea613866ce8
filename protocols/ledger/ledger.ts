import { OpenWork } from '../open-work.ts';
import { Ahead } from './ahead.ts';
import { AuthorBudgets } from './author-budgets.ts';
import { ChannelFacts } from './channel-facts.ts';
import { Commits } from './commits.ts';
import { ForkCounts } from './fork-counts.ts';
import { Forgetting } from './forgetting.ts';
import { Forks } from './forks.ts';
import { serialKeyOf } from './serial-key.ts';
import { TaskScheduler, type OwnWork } from './scheduler.ts';
import { mergeAgain } from './merge-again.ts';
import { MergeGate } from './merge-gate.ts';
import { NewFeeds } from './new-feeds.ts';
import { OwnEpoch } from './own-epoch.ts';
import { OwnWriter } from './own-writer.ts';
import { Receiver } from './receiver.ts';
import { receiveErasure, ReceivedErasures } from './received-erasures.ts';
import type { Ledger, LedgerParts, WriteRequest, Written } from './types.ts';

export function createLedger(given: LedgerParts): Ledger {
  const { identity, env } = given;
  const store = new Ahead(given.store);
  const parts = { ...given, store };
  const epoch = new OwnEpoch(env);
  const commits = new Commits(parts, store, epoch, (channel) => void facts.begin(channel));
  const writer = new OwnWriter(parts, commits, epoch, {
    isHeld: (serialKey) => scheduler.isHeld(serialKey),
    wake: () => scheduler.wake(),
  });
  const own: OwnWork = {
    serialKey: serialKeyOf(identity.peerId, 'public'),
    isWaiting: () => writer.isWaiting(),
    commit: (turn) => writer.commit(turn),
    freed: (serialKey) => writer.freed(serialKey),
    closed: (serialKey, error) => writer.closed(serialKey, error),
  };
  const scheduler = new TaskScheduler(env, own);
  const open = new OpenWork();
  const write = (request: WriteRequest): Promise<Written> => {
    const written = open.note(writer.add(request));
    scheduler.wake();
    return written;
  };
  const shared = {
    ledger: parts,
    scheduler,
    commits,
    epoch,
    gate: new MergeGate(env.monotonic),
    newFeeds: new NewFeeds(store, env.now),
    budgets: new AuthorBudgets(env.monotonic),
    receivedErasures: new ReceivedErasures(),
  };
  const forks = new Forks({ ...shared, open, counts: new ForkCounts(env.now), write });
  const facts = new ChannelFacts({ ...shared, open });
  for (const each of [forks, facts]) each.resume();
  const forgetting = new Forgetting(shared);
  const receiver = new Receiver({ ...shared, forks });
  return {
    write: (request) => open.begin(() => write(request)),
    mergeAgain: (key) => open.begin(() => mergeAgain(shared, key)),
    receive: (entries, only = {}, from = '') => open.begin(() => receiver.receive(entries, only, from)),
    receiveProof: (bytes, from = '') => open.begin(() => forks.receive(bytes, from)),
    receiveErasure: (bytes, from = '') => open.begin(() => receiveErasure(shared, bytes, from)),
    look: (...what) => open.begin(() => forgetting.look(...what)),
    sweep: (...what) => open.begin(() => forgetting.sweep(...what)),
    refound: (gap) => open.begin(() => forgetting.refound(gap)),
    epoch: () => epoch.id,
    alone: (work) =>
      open.begin(() =>
        scheduler.alone(async () => {
          await store.landed().catch(() => undefined); // told to whoever wrote
          await work();
        }),
      ),
    drain: () => open.done(),
    stop: () => open.close(),
  };
}
