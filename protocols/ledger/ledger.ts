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
import type { Raising, RaisingParts } from './raising.ts';
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
  const raising = seldomRaising({ ...shared, open });
  for (const each of [forks, facts, raising]) each.resume();
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
    raise: (owner) => open.begin(() => raising.raise(owner)),
    epoch: () => epoch.id,
    alone: (work) => open.begin(() => scheduler.alone(() => onceLanded(store, work))),
    drain: () => open.done(),
    stop: () => open.close(),
  };
}

async function onceLanded(store: Ahead, work: () => Promise<void>): Promise<void> {
  await store.landed().catch(() => undefined); // told to whoever wrote
  await work();
}

/** Loaded once a checkpoint is to take effect: for most starts there is none. */
function seldomRaising(parts: RaisingParts): Pick<Raising, 'raise' | 'resume'> {
  let loading: Promise<Raising> | undefined;
  const load = async (): Promise<Raising> => {
    const { Raising: Loaded } = await import('./raising.ts');
    return new Loaded(parts);
  };
  const loaded = (): Promise<Raising> => (loading ??= load());
  return {
    raise: async (owner) => (await loaded()).raise(owner),
    resume: () => {
      if (parts.ledger.store.comingFloors().length > 0)
        void parts.open.note(loaded().then((raising) => raising.resume()));
    },
  };
}
