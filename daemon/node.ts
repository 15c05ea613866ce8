import { TopicValidatorResult } from '@libp2p/gossipsub';
import type { Coverage } from '../protocols/digest/coverage.ts';
import { type AddressBook, createAddressBook } from '../protocols/discovery/address-book.ts';
import { createGrowth } from './growth.ts';
import { authorQuota } from './quotas.ts';
import type { Env } from '../protocols/env.ts';
import { createDialRule } from '../protocols/discovery/dial-rule.ts';
import { createDiscovery, type Discovery } from '../protocols/discovery/discovery.ts';
import { createClock } from '../protocols/feed/clock.ts';
import { createLedger } from '../protocols/ledger/ledger.ts';
import type { Committed, Ledger } from '../protocols/ledger/types.ts';
import { createMycelium, type Mycelium } from '../protocols/mycelium/mycelium.ts';
import { Offences } from '../protocols/mycelium/offences.ts';
import type { PullEvent } from '../protocols/mycelium/puller.ts';
import type { Rejoin } from '../protocols/mycelium/rejoin.ts';
import { createMerger, type Merges } from '../protocols/open-dialog/merger.ts';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import { createRegistry, type Registry } from '../protocols/registry/registry.ts';
import type { Identity, PeerId } from '../protocols/wire/identity.ts';
import { MERGE } from '../protocols/open-dialog/record.ts';
import type { Channel, RecordKey } from '../protocols/wire/ids.ts';
import { Database } from '../storage/database.ts';
import type { Outbox } from '../storage/outbox.ts';
import type { Store } from '../storage/store.ts';
import { addressStore, registryStore } from '../storage/tables.ts';
import { createAlarms } from './alarms.ts';
import { type EventLogs, openEventLogs } from './events/event-logs.ts';
import { recordEvents } from './events/record-events.ts';
import {
  createGuardedFetch,
  type GuardedFetch,
  type GuardedFetchOptions,
} from './federation/guarded-fetch.ts';
import type { AddressPolicy } from '../protocols/wire/address-policy.ts';
import { createHost, type Host } from './libp2p-host.ts';
import { createListeners, type Listeners } from './listeners.ts';
import type { Logger } from './logger.ts';
import { openOutbox } from './mirror/open-outbox.ts';
import { startMergeWorker } from './merging/start-merge-worker.ts';
import { createParticipants } from './participants.ts';
import { type NodeClock, startNodeClock } from './node-clock.ts';
import { openStore } from './open-store.ts';
import { Parts } from './parts.ts';
import { startPeerUrls } from './peer-urls.ts';
import { readNetworkKey } from './network-key.ts';
import { openRejoin } from './rejoin.ts';
import { isLoopbackHost, type Settings } from './settings.ts';
import { systemEnv } from './system-env.ts';
import { createSlowPeers } from './slow-peers.ts';
import { createStorageGuard, type StorageGuard } from './storage-guard.ts';

/** The running parts of one node, for the HTTP API and for tests. */
export interface Node {
  readonly settings: Settings;
  readonly identity: Identity;
  /** Time, waiting and chance; its `now` is the clock's. */
  readonly env: Env;
  readonly clock: NodeClock;
  readonly store: Store;
  readonly db: Database;
  /** Of the DynamoDB mirror; undefined when that is off. */
  readonly outbox: Outbox | undefined;
  readonly ledger: Ledger;
  readonly registry: Registry;
  readonly host: Host;
  readonly discovery: Discovery;
  readonly mycelium: Mycelium;
  /** Peers that are left alone because of what they have sent, over libp2p or HTTPS. */
  readonly offences: Offences;
  readonly guard: StorageGuard;
  readonly alarms: ReturnType<typeof createAlarms>;
  readonly events: EventLogs;
  /** Whether this node may promise something, or may have lost what it promised. */
  readonly rejoin: Rejoin;
  /** Merges documents, off the main thread. */
  readonly merges: Merges;
  /** Records were made anew: whoever keeps something of them in memory reads them again. */
  mended(states: readonly RecordState[]): void;
  /** The only way out over HTTP to other nodes, and where it may lead. */
  readonly fetch: GuardedFetch;
  readonly policy: AddressPolicy;
  readonly logger: Logger;
  digestOf(author: PeerId, covers?: Coverage): string;
  mayHold(peer: string, channel: Channel): boolean;
  /** To be called whenever the database was opened anew. */
  onReopen(reload: () => Promise<void>): void;
  /** How often each listener, by its name, has failed since the start. */
  readonly listenerFailures: ReadonlyMap<string, number>;
  /** Told how exchanges with peers go. A listener's failure is its own, here and below: logged, counted and an alarm under its name. */
  readonly onPull: Listeners<PullEvent>['add'];
  /** Told of each gossip message: what became of one that came, or that one was sent. */
  readonly onGossip: Listeners<GossipVerdict | 'published'>['add'];
  /** Told how long each judgement of a whole record took, in milliseconds. */
  readonly onMerged: Listeners<number>['add'];
  /** Told of each commit, in order. */
  readonly onCommit: Listeners<Committed>['add'];
  stop(): Promise<void>;
}

export type GossipVerdict = 'accept' | 'ignore' | 'reject';

/** What a test puts in the place of the world outside: names, and whom to trust with TLS. */
export type Outside = Pick<GuardedFetchOptions, 'lookup' | 'ca'>;

/** Composes one node. Everything that was started is stopped again when a later part fails. */
export async function createNode(
  settings: Settings,
  identity: Identity,
  logger: Logger,
  outside: Outside = {},
): Promise<Node> {
  const parts = new Parts(logger);
  try {
    return await compose(settings, identity, logger, parts, outside);
  } catch (error) {
    await parts.stop();
    throw error;
  }
}

async function compose(
  settings: Settings,
  identity: Identity,
  logger: Logger,
  parts: Parts,
  outside: Outside,
): Promise<Node> {
  const clock = startNodeClock({
    wall: Date.now,
    steady: () => performance.timeOrigin + performance.now(),
    onStep: (stepMs) => logger.warn({ stepMs }, 'the clock of this machine was set'),
  });
  parts.started('clock', async () => clock.stop());
  const { now } = clock;
  const env: Env = { ...systemEnv, now };
  const self = identity.peerId;
  const network = settings.myceliumNetwork;
  const alarms = createAlarms(logger, now, clock.steady);

  // -- storage
  const db = await Database.open(settings.dataDir, env);
  parts.started('database', () => db.close());
  const merger = createMerger({
    env,
    start: startMergeWorker,
    onAlarm({ kind, key }) {
      logger.error({ kind, key }, 'merging');
      if (kind === 'merge-outstanding') alarms.raise({ kind, key });
    },
  });
  parts.started('merger', () => merger.stop());
  // Its worker begins with the first own write that needs one, which must not wait behind records of others.
  const ownMerger = createMerger({
    env,
    start: startMergeWorker,
    onAlarm: (alarm) => logger.error({ ...alarm }, 'merging'),
  });
  parts.started('own merger', () => ownMerger.stop());
  const participants = createParticipants(self);
  const opening: Parameters<typeof alarms.raise>[0][] = [];
  const store = await openStore(
    db,
    merger,
    (opened) => participants.load(opened),
    { raise: (alarm) => void opening.push(alarm) },
    logger,
  );
  // Before anything else is written: what has passed it is in no table.
  const outbox = await openOutbox(db, settings, now);
  const reloads: (() => Promise<void>)[] = [async () => outbox?.reload()];
  const listenerFailures = new Map<string, number>();
  const failed = (listener: string, error: unknown): void => {
    listenerFailures.set(listener, (listenerFailures.get(listener) ?? 0) + 1);
    logger.error({ listener, err: error }, 'a listener failed');
    alarms.raise({ kind: 'listener-failed', listener });
  };
  const commits = createListeners<Committed>(failed);
  const pulls = createListeners<PullEvent>(failed);
  const gossiped = createListeners<GossipVerdict | 'published'>(failed);
  const mergeTimes = createListeners<number>(failed);
  commits.add('participants', ({ changes }) => participants.note(changes));
  const growth = createGrowth(store.usage, self);
  const guard = createStorageGuard({
    db,
    store,
    dataDir: settings.dataDir,
    reserveBytes: settings.diskReserveMb * 1024 * 1024,
    logger,
    alone: (work) => ledger.alone(work),
    reload: async () => {
      for (const reload of reloads) await reload();
    },
    onFilling: (free) =>
      raise({
        kind: 'disk-filling',
        free,
        reserve: settings.diskReserveMb * 1024 * 1024,
        most: growth.most(),
      }),
    onRecovered: () => void mycelium?.syncNow(),
  });

  const events = await openEventLogs(db, identity, {
    env,
    warn: (message, fields) => logger.warn(fields, message),
  });
  parts.started('events', () => events.close());

  // -- registry, and who of it has answered
  const offences = new Offences();
  let discovery: Discovery | undefined;
  let host: Host | undefined;
  const onDamaged = (key: string): void =>
    logger.error({ key }, 'a registration is damaged and not in force; register that node again');
  const registry = await createRegistry(self, registryStore(db, onDamaged), (node) => {
    logger.info({ peer: node.peerId, status: node.status }, 'registration');
    events.emit('federation.node', { node: node.peerId, status: node.status });
    if (node.status === 'active') discovery?.addPeer(node.peerId, node.multiaddrs, 'registered');
    discovery?.setRegistered(activePeers(registry));
    rejoin.peersChanged();
    if (node.status !== 'active') offences.forgive(node.peerId);
    host?.readmit(node.peerId);
    if (node.status === 'active') discovery?.dialNow(node.peerId);
  });
  parts.started('registry', () => registry.flush());
  const isRegistered = (peer: string): boolean => registry.isActive(peer);
  const rejoining = await openRejoin(db, env, () => activePeers(registry), clock.steady, logger);
  const { rejoin } = rejoining;
  parts.started('rejoin', () => rejoining.stop());
  const raise: typeof alarms.raise = (alarm) => {
    alarms.raise(alarm);
    rejoining.noteAlarm(alarm);
  };
  for (const alarm of opening) raise(alarm);

  // -- ledger
  let mycelium: Mycelium | undefined;
  commits.add('events', (committed) => {
    for (const { type, data, audience } of recordEvents(committed)) events.emit(type, data, audience);
  });
  commits.add('gossip', (committed) => mycelium?.announce(committed));
  const timed = (merges: Merges): Merges => ({
    async merge(...what) {
      const started = performance.now();
      const values = await merges.merge(...what);
      mergeTimes.tell(performance.now() - started);
      return values;
    },
    visibleAt: (...what) => merges.visibleAt(...what),
  });
  const ledger = createLedger({
    identity,
    net: network,
    store,
    merges: timed(merger),
    ownMerges: timed(ownMerger),
    // Of who is being forgotten nothing comes in before that is done.
    following: {
      standing: (author) => (store.gaps.sweeping === author ? 'no' : registry.standing(author)),
    },
    quota: authorQuota(settings, registry),
    clock: createClock(now),
    env,
    credible: clock.credible,
    refusal: () => guard.refusal(),
    onCommit: commits.tell,
    onAlarm: (alarm) => {
      raise(alarm);
      if (alarm.kind === 'commit-failed') guard.failed();
    },
  });
  const mergeAgain = (key: RecordKey): void => {
    ledger
      .mergeAgain(key)
      .catch((error: unknown) => logger.warn({ err: error, key }, 'a record goes on waiting'));
  };
  merger.onDue(mergeAgain);
  for (const key of await store.lacking(MERGE)) mergeAgain(key);
  guard.start();
  parts.started('storage guard', () => guard.stop());
  parts.started('ledger', () => ledger.drain());

  // -- network
  const reachable = {
    allowPrivate: settings.allowPrivatePeers,
    allowLoopback: isLoopbackHost(settings.host),
  };
  const fetch = createGuardedFetch({ ...reachable, ...outside });
  const policy = {
    allowLoopback: isLoopbackHost(settings.myceliumHost),
    allowPrivate: settings.allowPrivatePeers,
  };
  const rule = createDialRule(policy, isRegistered, settings.myceliumPeers);
  const book: AddressBook = createAddressBook(
    {
      store: addressStore(db),
      now,
      isRegistered,
      onSaveFailure: (error) => logger.warn({ err: error }, 'address book not saved'),
    },
    rule,
  );
  await book.load();
  parts.started('address book', () => book.stop());
  const listen = `/ip${settings.myceliumHost.includes(':') ? '6' : '4'}/${settings.myceliumHost}/tcp/${settings.myceliumPort}`;
  const psk =
    settings.myceliumPskFile === undefined ? undefined : await readNetworkKey(settings.myceliumPskFile);
  host = await createHost({
    identity,
    network,
    listen: [listen],
    announce: settings.myceliumAnnounce,
    ...(psk === undefined ? {} : { psk }),
    mdns: settings.myceliumMdns,
    relay: settings.myceliumRelay,
    isRegistered,
    strangerSlots: settings.myceliumStrangerSlots,
    rule,
    resolve: outside.lookup,
    logger,
  });
  const running = host;
  parts.started('libp2p', () => running.stop());
  discovery = createDiscovery(
    {
      libp2p: host.libp2p,
      dht: host.dht,
      book,
      ping: host.ping,
      now: env.monotonic,
      random: env.random,
      onDebug: (message, fields) => logger.debug(fields, message),
    },
    {
      network,
      region: settings.region,
      bootstrap: settings.myceliumPeers,
      targetDegree: settings.myceliumTargetDegree,
      peerExchange: settings.myceliumPeerExchange,
    },
  );
  const found = discovery;

  // -- replication
  const digestOf = (author: PeerId, covers?: Coverage): string => store.digests.ownerDigest(author, covers);
  pulls.add('federation', (event) => onPullEvent(event, registry, rejoin, events, logger, now));
  pulls.add('slow peers', createSlowPeers(logger, now));
  pulls.add('alarms', (event) => {
    if (event.kind === 'peer-distrusted') raise({ ...event, node: event.peer });
  });
  mycelium = createMycelium(
    {
      env,
      self,
      libp2p: host.libp2p,
      source: store,
      ledger,
      access: { mayReplicate: isRegistered, mayHold: (peer, channel) => participants.mayHold(peer, channel) },
      offences,
      digestOf,
      follows: (author) => registry.standing(author) === 'followed',
      participants: (channel) => participants.others(channel),
      publish: async (data) => {
        await running.gossip.publish(running.topic, data);
        gossiped.tell('published');
      },
      now: clock.steady, // it knows waits and no dates
      onEvent: pulls.tell,
    },
    network,
  );
  const replication = mycelium;
  host.gossip.addEventListener('gossipsub:message', ({ detail: { msg, msgId, propagationSource } }) => {
    const verdicts = {
      accept: TopicValidatorResult.Accept,
      ignore: TopicValidatorResult.Ignore,
      reject: TopicValidatorResult.Reject,
    };
    void replication.gossiped(msg.data, propagationSource.toString()).then((verdict) => {
      gossiped.tell(verdict);
      running.gossip.reportMessageValidationResult(msgId, propagationSource.toString(), verdicts[verdict]);
    });
  });
  host.gossip.addEventListener('subscription-change', ({ detail: { peerId, subscriptions } }) => {
    if (subscriptions.some(({ topic, subscribe }) => topic === running.topic && subscribe))
      replication.subscribed(peerId.toString());
  });
  host.gossip.subscribe(host.topic);
  host.libp2p.addEventListener('connection:open', ({ detail }) => replication.connected(detail));
  await mycelium.start();
  parts.started('mycelium', () => replication.stop());
  discovery.setRegistered(activePeers(registry));
  for (const node of registry.list())
    if (node.status === 'active') discovery.addPeer(node.peerId, node.multiaddrs, 'registered');
  await discovery.start();
  parts.started('discovery', () => found.stop());
  parts.started(
    'peer URLs',
    startPeerUrls(
      settings.myceliumPeerUrls,
      fetch,
      (peerId, addresses, url) => {
        // Who answers at a URL of this machine that the operator wrote down is on this machine.
        if (isLoopbackHost(new URL(url).hostname)) rule.name(addresses);
        found.addPeer(peerId, addresses, 'exchange');
      },
      logger,
    ),
  );

  return {
    settings,
    identity,
    env,
    clock,
    store,
    db,
    outbox,
    ledger,
    registry,
    host,
    discovery,
    mycelium,
    offences,
    guard,
    alarms,
    events,
    rejoin,
    merges: merger,
    mended: (states) =>
      participants.note(states.map((after) => ({ key: after.key, before: undefined, after }))),
    fetch,
    policy: reachable,
    logger,
    digestOf,
    mayHold: (peer, channel) => participants.mayHold(peer, channel),
    onReopen: (reload) => void reloads.push(reload),
    listenerFailures,
    onPull: pulls.add,
    onGossip: gossiped.add,
    onMerged: mergeTimes.add,
    onCommit: commits.add,
    stop: () => parts.stop(),
  };
}

function activePeers(registry: Registry): string[] {
  return registry.list().flatMap((node) => (node.status === 'active' ? [node.peerId] : []));
}

function onPullEvent(
  event: PullEvent,
  registry: Registry,
  rejoin: Rejoin,
  events: EventLogs,
  logger: Logger,
  now: () => number,
): void {
  switch (event.kind) {
    case 'peer-synced':
      // When was the last sync, and how many there were, is told to everybody: what is private does not count.
      if (event.private !== true) registry.synced(event.peer, now());
      if (event.received === 0) break;
      logger.info({ peer: event.peer, entries: event.received }, 'caught up');
      events.emit(
        'federation.sync',
        { node: event.peer, received: event.received },
        event.private === true ? { operatorOnly: true } : undefined,
      );
      break;
    case 'pull-failed':
      logger.debug({ peer: event.peer, code: event.code }, 'exchange failed');
      break;
    case 'entry-refused':
      logger.debug({ peer: event.peer, code: event.code }, 'entry refused');
      break;
    case 'peer-distrusted':
      break; // an alarm says it
    case 'own-held':
      if (registry.isActive(event.peer)) rejoin.answered(event.peer);
      break;
    case 'digest-differs':
      logger.error(
        { peer: event.peer, author: event.author },
        'equal frontier but unequal digest: agrinet doctor --diff names the records',
      );
      break;
  }
}
