import { Mycelium } from '../../protocols/mycelium/mycelium.ts';
import type { Ledger } from '../../protocols/ledger/types.ts';
import type { Offences } from '../../protocols/mycelium/offences.ts';
import type { PullEvent } from '../../protocols/mycelium/pull-event.ts';
import { READING_LIMITS, RangeReader } from '../../protocols/mycelium/range-reader.ts';
import type { Registry } from '../../protocols/registry/registry.ts';
import type { PeerConnection, StreamHost } from '../../protocols/wire/stream.ts';
import type { Store } from '../../storage/store.ts';
import type { EventLogs } from '../events/event-logs.ts';
import type { GossipTopic } from '../gossip-topic.ts';
import type { Participants } from '../participants.ts';
import { definePart, type Face } from '../parts.ts';
import { createPeerWarnings } from '../peer-warnings.ts';
import type { Base } from './base.ts';

/** The network as replication uses it; libp2p is one. */
export interface ReplicationHost {
  readonly streams: StreamHost;
  readonly entries: GossipTopic;
  readonly onConnection: (listener: (connection: PeerConnection) => void) => void;
}

export interface ReplicationComponents extends Pick<
  Base,
  'settings' | 'self' | 'clock' | 'env' | 'hooks' | 'alarms' | 'logger'
> {
  readonly store: Face<Store>;
  readonly rangeReader: Face<Pick<RangeReader, 'read'>>;
  readonly ledger: Face<Ledger>;
  readonly registry: Face<Pick<Registry, 'isActive' | 'followState' | 'synced'>>;
  readonly events: Face<Pick<EventLogs, 'emit'>>;
  readonly participants: Pick<Participants, 'mayHold' | 'others'>;
  readonly offences: Offences;
  readonly host: Face<ReplicationHost>;
}

/** Reads received ranges, on a thread of its own that ends when there is nothing to read. */
export function defineRangeReader({ outside, env }: Pick<Base, 'outside' | 'env'>) {
  return definePart('range reader', () => {
    const reader = new RangeReader({
      env,
      start: outside.startReadingWorker,
      limits: { ...READING_LIMITS, ...outside.readingLimits },
    });
    return { face: reader, stop: () => reader.stop() };
  });
}

/** Moves entries between this node and its peers: gossip, frontiers, ranges. */
export function defineReplication({
  settings,
  self,
  hooks,
  participants,
  offences,
  ...parts
}: ReplicationComponents) {
  return definePart('mycelium', async () => {
    const [store, registry, host] = [parts.store.face, parts.registry.face, parts.host.face];
    tellOfPulls({ ...parts, hooks });
    const mycelium = new Mycelium(
      {
        env: parts.env,
        self,
        libp2p: host.streams,
        source: store,
        reader: parts.rangeReader.face,
        ledger: parts.ledger.face,
        access: {
          mayReplicate: (peer) => registry.isActive(peer),
          mayHold: (peer, channel) => participants.mayHold(peer, channel),
        },
        offences,
        digestOf: (author, covers) => store.digests.ownerDigest(author, covers),
        follows: (author) => registry.followState(author) === 'followed',
        participants: (channel) => participants.others(channel),
        publish: async (data) => {
          await host.entries.publish(data);
          hooks.gossiped.emit('published');
        },
        now: parts.clock.steady, // it knows waits and no dates
        onEvent: hooks.pulled.emit,
      },
      settings.myceliumNetwork,
    );
    hooks.committed.on('gossip', (committed) => mycelium.announce(committed));
    hooks.recovered.on('mycelium', () => mycelium.syncNow());
    host.entries.join(
      async (data, from) => {
        const verdict = await mycelium.gossiped(data, from);
        hooks.gossiped.emit(verdict);
        return verdict;
      },
      (peer) => mycelium.subscribed(peer),
    );
    host.onConnection((connection) => mycelium.connected(connection));
    await mycelium.start();
    return { face: mycelium, stop: () => mycelium.stop() };
  });
}

/** The outcomes of exchanges with peers are passed to the log, the events, the registry and the alarms. */
function tellOfPulls({
  clock,
  hooks,
  alarms,
  logger,
  registry,
  events,
}: Pick<ReplicationComponents, 'clock' | 'hooks' | 'alarms' | 'logger' | 'registry' | 'events'>): void {
  hooks.pulled.on('log', (event) => logPull(event, logger));
  hooks.pulled.on('federation', (event) => {
    if (event.kind !== 'peer-synced') return;
    // The time of the last sync, and the number of syncs, are public: private ones do not count.
    if (event.private !== true) registry.face.synced(event.peer, clock.now());
    if (event.received === 0) return;
    const audience = event.private === true ? { operatorOnly: true as const } : undefined;
    events.face.emit('federation.sync', { node: event.peer, received: event.received }, audience);
  });
  hooks.pulled.on('peer warnings', createPeerWarnings(logger, clock.now));
  hooks.pulled.on('alarms', (event) => {
    if (event.kind === 'peer-distrusted') alarms.raise({ ...event, node: event.peer });
  });
}

function logPull(event: PullEvent, logger: Base['logger']): void {
  switch (event.kind) {
    case 'peer-synced':
      if (event.received > 0) logger.info({ peer: event.peer, entries: event.received }, 'caught up');
      break;
    case 'pull-failed':
      logger.debug({ peer: event.peer, code: event.code }, 'exchange failed');
      break;
    case 'entry-refused':
      logger.debug({ peer: event.peer, code: event.code }, 'entry refused');
      break;
    case 'digest-differs': // named once in a while
    case 'peer-distrusted': // an alarm says it
    case 'own-held':
      break;
  }
}
