import type { Visibility } from '../../api/ports/registration.ts';
import { NODE_STATUSES } from '../../protocols/registry/node-status.ts';
import type { Node } from '../parts/running.ts';
import type { ReachWatch } from '../reach/reach-watch.ts';
import type { ReplicationStatus } from '../replication-status.ts';
import type { Exposition, Figure } from './exposition.ts';
import { METRICS_LIMITS } from './metrics-table.ts';

/** Registered nodes, and how they are reached. */
export function showPeers(
  { registry, host, discovery, mycelium }: Pick<Node, 'registry' | 'host' | 'discovery' | 'mycelium'>,
  {
    replicationStatus,
    reach,
  }: {
    readonly replicationStatus: Pick<ReplicationStatus, 'lag'>;
    readonly reach: Pick<ReachWatch, 'isReached'>;
  },
  sees: Visibility,
  exposition: Exposition,
): void {
  const nodes = registry.list();
  exposition.show(
    'nodes',
    NODE_STATUSES.map((status) => [{ status }, nodes.filter((each) => each.status === status).length]),
  );
  const open = host.libp2p.getConnections().map((connection) => connection.remotePeer.toString());
  const known = open.filter((peer) => registry.isActive(peer)).length;
  exposition.show('connections', [
    [{ kind: 'registered' }, known],
    [{ kind: 'stranger' }, open.length - known],
  ]);
  const connected = new Set(open);
  const active = nodes.flatMap(({ peerId, status }) => (status === 'active' ? [peerId] : [])).sort();
  const show = (key: 'lag' | 'connected' | 'reached', valueOf: (peer: string) => number): void =>
    exposition.show(key, byPeer(active, valueOf));
  show('lag', (peer) => replicationStatus.lag(peer, sees));
  show('connected', (peer) => (connected.has(peer) ? 1 : 0));
  show('reached', (peer) => (connected.has(peer) || reach.isReached(peer) ? 1 : 0));
  exposition.show('dht', discovery.tableSize());
  exposition.show('wanted', mycelium.pending);
}

/** The first peers by name, the rest as one sum. */
function* byPeer(peers: readonly string[], valueOf: (peer: string) => number): Generator<Figure> {
  for (const peer of peers.slice(0, METRICS_LIMITS.peers)) yield [{ peer }, valueOf(peer)];
  const rest = peers.slice(METRICS_LIMITS.peers);
  if (rest.length > 0) yield [{ peer: 'other' }, rest.reduce((sum, peer) => sum + valueOf(peer), 0)];
}
