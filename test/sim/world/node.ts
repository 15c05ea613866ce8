import { createErasures, type Erasures } from '../../../daemon/erasure.ts';
import { createLogger } from '../../../daemon/logger.ts';
import { fieldHistory } from '../../../daemon/market/field-history.ts';
import { openStore } from '../../../daemon/open-store.ts';
import { createParticipants } from '../../../daemon/participants.ts';
import { openRejoin } from '../../../daemon/rejoin.ts';
import type { Env } from '../../../protocols/env.ts';
import { createClock } from '../../../protocols/feed/clock.ts';
import { createLedger } from '../../../protocols/ledger/ledger.ts';
import type { Committed, Ledger } from '../../../protocols/ledger/types.ts';
import { createCatalogue } from '../../../protocols/market/catalogue.ts';
import { openContractBook } from '../../../protocols/market/contract-book/book.ts';
import type { ContractBook } from '../../../protocols/market/contract-book/types.ts';
import { type Conversations, createConversations } from '../../../protocols/market/conversations.ts';
import { createMycelium, type Mycelium } from '../../../protocols/mycelium/mycelium.ts';
import { Offences } from '../../../protocols/mycelium/offences.ts';
import type { PullEvent } from '../../../protocols/mycelium/pull-event.ts';
import type { Rejoin } from '../../../protocols/mycelium/rejoin.ts';
import { createRegistry, type Registry } from '../../../protocols/registry/registry.ts';
import { MERGE } from '../../../protocols/open-dialog/record.ts';
import type { Identity } from '../../../protocols/wire/identity.ts';
import type { RecordKey } from '../../../protocols/wire/ids.ts';
import { Database } from '../../../storage/database.ts';
import { Reader } from '../../../storage/reader.ts';
import type { Store } from '../../../storage/store.ts';
import { registryStore } from '../../../storage/tables.ts';
import { createInlineMerges } from '../../support/inline-merges.ts';
import { homeOn } from './home.ts';
import type { Disk } from './disk.ts';
import type { Network, VirtualHost } from './network.ts';
import type { Planting } from './plants.ts';
import type { Process } from './time.ts';

export const NET = 'world';

/** How often holds are looked at that may be over, milliseconds: rarer than the daemon's, so that a world goes on. */
const HOLD_SWEEP_MS = 5_000;
/** Between two tries to reach a registered node that is not connected, milliseconds at least and at most. */
const REDIAL_MS: readonly [number, number] = [1_500, 6_000];

const silent = createLogger({ logLevel: 'silent' });

/** What a node tells the world, which knows everything. */
export interface NodeWatcher {
  committed(committed: Committed): void;
  alarm(kind: string): void;
  exchanged(event: PullEvent): void;
  /** A gossip message was refused as what no honest node can have sent. */
  rejected(from: string): void;
  failed(what: string, error: unknown): void;
}

export interface NodeParts {
  readonly identity: Identity;
  readonly env: Env;
  readonly process: Process;
  readonly disk: Disk;
  readonly network: Network;
  readonly planting: Planting;
  readonly watcher: NodeWatcher;
}

/** The running parts of one node: the program's own, over a disk and a network of the world. */
export interface RunningNode {
  readonly process: Process;
  readonly env: Env;
  readonly db: Database;
  readonly store: Store;
  readonly reader: Reader;
  readonly registry: Registry;
  readonly rejoin: Rejoin;
  readonly ledger: Ledger;
  readonly book: ContractBook;
  readonly conversations: Conversations;
  readonly erasures: Erasures;
  readonly mycelium: Mycelium;
  readonly offences: Offences;
  readonly host: VirtualHost;
  mayHold(peer: string, channel: string): boolean;
  stop(): Promise<void>;
}

const never = (what: string) => (): never => {
  throw new Error(what);
};

/** Composes a node as `daemon/node.ts` and `daemon/market` do, without libp2p and HTTP. */
export async function startNode(parts: NodeParts): Promise<RunningNode> {
  const { identity, env, process, disk, network, planting, watcher } = parts;
  const self = identity.peerId;
  const db = await Database.openAt(homeOn(disk, process), env);
  const participants = createParticipants(self);
  const merger = createInlineMerges(env, { delay: () => mergeDelay(env) });
  const ownMerger = createInlineMerges(env, { delay: () => mergeDelay(env) });
  const raised: { readonly kind: string }[] = [];
  const store = await openStore(
    db,
    merger,
    (opened) => participants.load(opened),
    { raise: (alarm) => void raised.push(alarm) },
    silent,
  );
  const offences = new Offences();
  const registry = await createRegistry(
    self,
    registryStore(db, never('a registration is damaged')),
    (node) => {
      rejoin.peersChanged();
      if (node.status !== 'active') offences.forgive(node.peerId);
    },
  );
  const active = (): string[] =>
    registry.list().flatMap(({ peerId, status }) => (status === 'active' ? [peerId] : []));
  const rejoining = await openRejoin(db, env, active, env.monotonic, silent);
  const { rejoin } = rejoining;
  const alarm = (one: { readonly kind: string }): void => {
    rejoining.noteAlarm(one);
    watcher.alarm(one.kind);
  };
  for (const one of raised) alarm(one);
  let heard: ((committed: Committed) => void)[] = [];
  const ledger = planting.ledger(
    createLedger({
      env,
      identity,
      net: NET,
      store,
      merges: merger,
      ownMerges: ownMerger,
      following: registry,
      clock: createClock(env.now),
      refusal: () => undefined,
      onCommit: (committed) => {
        watcher.committed(committed);
        for (const hear of heard) hear(committed);
      },
      onAlarm: alarm,
    }),
    store,
  );
  const mergeAgain = (key: RecordKey): void =>
    void ledger.mergeAgain(key).catch((error: unknown) => watcher.failed('a merge', error));
  merger.onDue(mergeAgain);
  for (const key of await store.lacking(MERGE)) mergeAgain(key);
  const reader = new Reader(db);
  const history = fieldHistory(store);
  const book = openContractBook({
    identity,
    net: NET,
    ledger,
    catalogue: createCatalogue(ledger, self, env),
    reader,
    history,
    isActive: (peer) => registry.isActive(peer),
    now: env.now,
    bytes: env.bytes,
    mayPromise: () => planting.mayPromise(rejoin),
    onPing: () => undefined,
    onFailure: (error) => watcher.failed('contracts', error),
  });
  const conversations = createConversations({
    self,
    ledger,
    reader,
    history,
    isActive: (peer) => registry.isActive(peer),
    now: env.now,
    bytes: env.bytes,
  });
  const erasures = createErasures({
    identity,
    db,
    store,
    ledger,
    events: { forget: async () => undefined },
    now: env.now,
    warn: (message) => watcher.failed('erasure', message),
  });
  const host = network.host(self, process);
  const mycelium = createMycelium(
    {
      env,
      self,
      libp2p: host,
      source: store,
      ledger,
      access: {
        mayReplicate: (peer) => registry.isActive(peer),
        mayHold: (peer, channel) => participants.mayHold(peer, channel),
      },
      offences,
      digestOf: (author, covers) => store.digests.ownerDigest(author, covers),
      follows: (author) => registry.standing(author) === 'followed',
      participants: (channel) => participants.others(channel),
      publish: (data) => host.publish(data),
      now: env.monotonic,
      onEvent: (event) => {
        if (event.kind === 'own-held' && registry.isActive(event.peer)) rejoin.answered(event.peer);
        watcher.exchanged(event);
      },
    },
    NET,
  );
  heard = [
    ({ changes }) => participants.note(changes),
    ({ changes }) => book.note(changes),
    ({ changes }) => conversations.note(changes),
    ({ erased }) => erasures.committed(erased ?? []),
    (committed) => mycelium.announce(committed),
  ];
  host.listener = {
    connected: (connection) => mycelium.connected(connection),
    subscribed: (peer) => mycelium.subscribed(peer),
    isMember: (peer) => registry.isActive(peer),
    async gossiped(data, from) {
      const verdict = await mycelium.gossiped(data, from);
      if (verdict === 'reject') watcher.rejected(from);
      return verdict;
    },
  };
  await mycelium.start();
  await erasures.settled();
  redial({ env, host, active });
  const sweeper = sweep(env, book, watcher);
  return {
    process,
    env,
    db,
    store,
    reader,
    registry,
    rejoin,
    ledger,
    book,
    conversations,
    erasures,
    mycelium,
    offences,
    host,
    mayHold: (peer, channel) =>
      participants.mayHold(peer, channel as Parameters<typeof participants.mayHold>[1]),
    async stop() {
      sweeper.stop();
      await mycelium.stop();
      await book.stop();
      await erasures.settled();
      await ledger.drain();
      await Promise.all([merger.stop(), ownMerger.stop()]);
      await rejoining.stop();
      await registry.flush();
      await db.close();
    },
  };
}

/** How long Automerge takes: mostly nothing, now and then longer than anybody waits, or than a first try may take. */
function mergeDelay(env: Env): number {
  const roll = env.random();
  return roll < 0.8
    ? 0
    : roll < 0.95
      ? Math.floor(env.random() * 900)
      : 1500 + Math.floor(env.random() * 6000);
}

/** Tries to reach every registered node that is not connected, as the supervisor does. */
function redial(parts: {
  readonly env: Env;
  readonly host: VirtualHost;
  readonly active: () => readonly string[];
}): void {
  const { env, host, active } = parts;
  const [least, most] = REDIAL_MS;
  for (const peer of active()) if (!host.isConnected(peer)) host.dial(peer);
  env.after(least + env.random() * (most - least), () => redial(parts));
}

function sweep(env: Env, book: ContractBook, watcher: NodeWatcher): { stop(): void } {
  let stopped = false;
  const again = (): void => {
    if (stopped) return;
    book.sweep().catch((error: unknown) => watcher.failed('holds', error));
    env.after(HOLD_SWEEP_MS, again);
  };
  env.after(HOLD_SWEEP_MS, again);
  return {
    stop() {
      stopped = true;
    },
  };
}
