import { readFile } from 'node:fs/promises';
import { TopicValidatorResult } from '@libp2p/gossipsub';
import { AgrinetError } from '../protocols/errors.ts';
import { ownerDigest } from '../protocols/digest/state-digest.ts';
import { type AddressBook, createAddressBook, dialRule } from '../protocols/discovery/address-book.ts';
import { createDiscovery, type Discovery } from '../protocols/discovery/discovery.ts';
import { createClock } from '../protocols/feed/clock.ts';
import { createLedger } from '../protocols/ledger/ledger.ts';
import type { Ledger } from '../protocols/ledger/types.ts';
import { createMycelium, type Mycelium } from '../protocols/mycelium/mycelium.ts';
import type { PullEvent } from '../protocols/mycelium/puller.ts';
import { createMerger } from '../protocols/open-dialog/merger.ts';
import { createRegistry, type Registry } from '../protocols/registry/registry.ts';
import type { Identity, PeerId } from '../protocols/wire/identity.ts';
import { Database } from '../storage/database.ts';
import type { Store } from '../storage/store.ts';
import { addressStore, registryStore } from '../storage/tables.ts';
import { createAlarms } from './alarms.ts';
import { createHost, type Host } from './libp2p-host.ts';
import type { Logger } from './logger.ts';
import { createParticipants } from './participants.ts';
import { openStore } from './open-store.ts';
import { startPeerUrls } from './peer-urls.ts';
import { isLoopbackHost, type Settings } from './settings.ts';
import { createStorageGuard, type StorageGuard } from './storage-guard.ts';

/** The running parts of one node, for the HTTP API and for tests. */
export interface Node {
  readonly settings: Settings;
  readonly identity: Identity;
  readonly store: Store;
  readonly db: Database;
  readonly ledger: Ledger;
  readonly registry: Registry;
  readonly host: Host;
  readonly discovery: Discovery;
  readonly mycelium: Mycelium;
  readonly guard: StorageGuard;
  readonly alarms: ReturnType<typeof createAlarms>;
  readonly logger: Logger;
  digestOf(author: PeerId): string;
  stop(): Promise<void>;
}

/** Stops parts in the reverse order of their start, each in its own time; one that fails does not keep the others from stopping. */
class Parts {
  readonly #stops: { name: string; stop: () => unknown }[] = [];
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  started(name: string, stop: () => unknown): void {
    this.#stops.push({ name, stop });
  }

  async stop(): Promise<void> {
    for (let part = this.#stops.pop(); part !== undefined; part = this.#stops.pop()) {
      const { name, stop } = part;
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(
          () => reject(new AgrinetError('stop-late', `${name} did not stop in time`)),
          STOP_MS,
        );
      });
      try {
        await Promise.race([Promise.resolve(stop()), late]);
      } catch (error) {
        this.#logger.warn({ part: name, err: error }, 'a part did not stop cleanly');
      } finally {
        clearTimeout(timer);
      }
    }
  }
}

const STOP_MS = 3000;

/** Composes one node. Everything that was started is stopped again when a later part fails. */
export async function createNode(settings: Settings, identity: Identity, logger: Logger): Promise<Node> {
  const parts = new Parts(logger);
  try {
    return await compose(settings, identity, logger, parts);
  } catch (error) {
    await parts.stop();
    throw error;
  }
}

async function compose(settings: Settings, identity: Identity, logger: Logger, parts: Parts): Promise<Node> {
  const now = Date.now;
  const self = identity.peerId;
  const network = settings.myceliumNetwork;
  const alarms = createAlarms(logger, now);

  // -- storage
  const db = await Database.open(settings.dataDir);
  parts.started('database', () => db.close());
  const merger = createMerger((alarm) => logger.error({ ...alarm }, 'merging'));
  parts.started('merger', () => merger.stop());
  const participants = createParticipants(self);
  const store = await openStore(db, merger, (opened) => participants.load(opened), alarms, logger);
  const guard = createStorageGuard({
    db,
    store,
    dataDir: settings.dataDir,
    reserveBytes: settings.diskReserveMb * 1024 * 1024,
    logger,
    alone: (work) => ledger.alone(work),
    onRecovered: () => void mycelium?.syncNow(),
  });

  // -- registry
  let discovery: Discovery | undefined;
  let host: Host | undefined;
  const onDamaged = (key: string): void =>
    logger.error({ key }, 'a registration is damaged and not in force; register that node again');
  const registry = await createRegistry(self, registryStore(db, onDamaged), (node) => {
    logger.info({ peer: node.peerId, status: node.status }, 'registration');
    if (node.status === 'active') discovery?.addPeer(node.peerId, node.multiaddrs, 'registered');
    discovery?.setRegistered(activePeers(registry));
    host?.readmit(node.peerId);
    if (node.status === 'active') discovery?.dialNow(node.peerId);
  });
  parts.started('registry', () => registry.flush());
  const isRegistered = (peer: string): boolean => registry.isActive(peer);

  // -- ledger
  let mycelium: Mycelium | undefined;
  const ledger = createLedger({
    identity,
    net: network,
    store,
    judge: merger,
    following: registry,
    clock: createClock(now),
    now,
    refusal: () => guard.refusal(),
    onCommit: (committed) => {
      participants.note(committed.changes);
      mycelium?.announce(committed);
    },
    onAlarm: (alarm) => {
      alarms.raise(alarm);
      if (alarm.kind === 'commit-failed') guard.failed();
    },
  });
  guard.start();
  parts.started('storage guard', () => guard.stop());
  parts.started('ledger', () => ledger.drain());

  // -- network
  const policy = {
    allowLoopback: isLoopbackHost(settings.myceliumHost),
    allowPrivate: settings.allowPrivatePeers,
  };
  const book: AddressBook = createAddressBook(
    {
      store: addressStore(db),
      now,
      isRegistered,
      onSaveFailure: (error) => logger.warn({ err: error }, 'address book not saved'),
    },
    policy,
  );
  await book.load();
  parts.started('address book', () => book.stop());
  const listen = `/ip${settings.myceliumHost.includes(':') ? '6' : '4'}/${settings.myceliumHost}/tcp/${settings.myceliumPort}`;
  const psk = settings.myceliumPskFile === undefined ? undefined : await readPsk(settings.myceliumPskFile);
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
    mayDial: dialRule(policy, isRegistered, settings.myceliumPeers),
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
      now: () => performance.now(),
      random: Math.random,
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
  const digestOf = (author: PeerId): string =>
    ownerDigest(store.digests.of('public').get(author) ?? new Map());
  mycelium = createMycelium(
    {
      self,
      libp2p: host.libp2p,
      source: store,
      ledger,
      access: { mayReplicate: isRegistered, mayHold: (peer, channel) => participants.mayHold(peer, channel) },
      digestOf,
      follows: (author) => registry.standing(author) === 'followed',
      participants: (channel) => participants.others(channel),
      publish: async (data) => {
        await running.gossip.publish(running.topic, data);
      },
      now,
      random: Math.random,
      onEvent: (event) => onPullEvent(event, registry, logger, now),
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
    void replication
      .gossiped(msg.data, propagationSource.toString())
      .then((verdict) =>
        running.gossip.reportMessageValidationResult(msgId, propagationSource.toString(), verdicts[verdict]),
      );
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
  const askPrivate = settings.allowPrivatePeers || isLoopbackHost(settings.host);
  parts.started(
    'peer URLs',
    startPeerUrls(
      settings.myceliumPeerUrls,
      askPrivate,
      (peerId, addresses) => found.addPeer(peerId, addresses, 'exchange'),
      logger,
    ),
  );

  return {
    settings,
    identity,
    store,
    db,
    ledger,
    registry,
    host,
    discovery,
    mycelium,
    guard,
    alarms,
    logger,
    digestOf,
    stop: () => parts.stop(),
  };
}

function activePeers(registry: Registry): string[] {
  return registry.list().flatMap((node) => (node.status === 'active' ? [node.peerId] : []));
}

async function readPsk(file: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(file));
  } catch (error) {
    throw new AgrinetError('settings-invalid', `MYCELIUM_PSK_FILE: ${file} cannot be read`, { cause: error });
  }
}

function onPullEvent(event: PullEvent, registry: Registry, logger: Logger, now: () => number): void {
  switch (event.kind) {
    case 'peer-synced':
      registry.synced(event.peer, now());
      if (event.received > 0) logger.info({ peer: event.peer, entries: event.received }, 'caught up');
      break;
    case 'pull-failed':
      logger.debug({ peer: event.peer, code: event.code }, 'exchange failed');
      break;
    case 'entry-refused':
      logger.debug({ peer: event.peer, code: event.code }, 'entry refused');
      break;
    case 'digest-differs':
      logger.error(
        { peer: event.peer, author: event.author },
        'equal frontier but unequal digest: run agrinet fsck on both nodes',
      );
      break;
  }
}
