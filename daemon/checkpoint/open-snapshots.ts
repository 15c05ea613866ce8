import { newestConnection } from '../../protocols/mycelium/ports.ts';
import type { FailureParts } from '../../protocols/mycelium/pull-event.ts';
import type { SnapshotProtocol } from '../../protocols/mycelium/snapshot-protocol.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { FetchedTable } from '../../storage/fetched-table.ts';
import { FeedRequests } from '../federation/feed-requests.ts';
import type { Registration } from '../federation/registration.ts';
import { agrinetdSource } from '../federation/sources.ts';
import type { Face } from '../parts.ts';
import type { Node } from '../parts/running.ts';
import { authorQuota } from '../quotas.ts';
import { askSnapshot } from './ask-snapshot.ts';
import { FloorSnapshots } from './floor-snapshots.ts';
import { HeldShortly } from './held-shortly.ts';
import { Snapshots } from './snapshots.ts';
import { WalkedSnapshots } from './walked-snapshots.ts';

export type SnapshotsNode = Pick<
  Node,
  'identity' | 'settings' | 'clock' | 'env' | 'host' | 'db' | 'store' | 'registry' | 'offences' | 'fetch'
>;

/** What serves snapshots and what fetches them, as the first request opens them. */
export interface OpenSnapshots {
  readonly source: WalkedSnapshots;
  readonly snapshots: Snapshots;
}

export function openSnapshots(
  node: SnapshotsNode,
  {
    registration,
    failures,
    streams,
  }: {
    readonly registration: Face<Pick<Registration, 'renewCertificate'>>;
    readonly failures: FailureParts;
    readonly streams: SnapshotProtocol;
  },
): OpenSnapshots {
  const { clock, db, env, fetch, host, identity, offences, registry, settings, store } = node;
  const net = settings.myceliumNetwork;
  const isDistrusted = (id: string): boolean => offences.isOut(id, clock.steady());
  const quota = authorQuota(settings, registry);
  const held = new HeldShortly(store, net, env);
  const snapshots = new Snapshots({
    ...failures,
    env,
    held,
    net,
    table: new FetchedTable(db),
    peers: (author) => askable(node, author),
    askPeer: askSnapshot({
      env,
      libp2p: host.streams,
      streams,
      registry,
      requests: new FeedRequests({ env, identity, net, isDistrusted, now: clock.now }),
      fetch,
      renewCertificate: (peer) => registration.face.renewCertificate(peer),
    }),
    room: (author) => quota(author).bytes - store.usage.of(author).bytes,
  });
  const floors = new FloorSnapshots({ store, db, env });
  return { source: new WalkedSnapshots({ store, held, floors, env }), snapshots };
}

/** The author’s node first, then whoever may follow it too. */
function askable({ identity, registry, host }: SnapshotsNode, author: PeerId): string[] {
  const nodes = registry.list().flatMap(({ peerId, status }) => (status === 'active' ? [peerId] : []));
  const reached = nodes.filter(
    (peer) =>
      peer !== identity.peerId &&
      (newestConnection(host.streams, peer) !== undefined || agrinetdSource(registry, peer) !== undefined),
  );
  return [...reached.filter((peer) => peer === author), ...reached.filter((peer) => peer !== author)];
}
