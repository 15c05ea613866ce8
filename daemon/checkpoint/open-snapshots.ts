import { newestConnection } from '../../protocols/mycelium/ports.ts';
import type { FailureParts } from '../../protocols/mycelium/pull-event.ts';
import type { SnapshotProtocol } from '../../protocols/mycelium/snapshot-protocol.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { FetchedTable } from '../../storage/fetched-table.ts';
import { type HolderNode, holderParts, nodesToAsk } from '../federation/holders.ts';
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

export type SnapshotsNode = HolderNode & Pick<Node, 'db' | 'store'>;

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
  const { db, env, registry, settings, store } = node;
  const net = settings.myceliumNetwork;
  const quota = authorQuota(settings, registry);
  const held = new HeldShortly(store, net, env);
  const snapshots = new Snapshots({
    ...failures,
    env,
    held,
    net,
    table: new FetchedTable(db),
    peers: (author) => nodesToAsk(node, author, (peer) => isReached(node, peer)),
    askPeer: askSnapshot({ ...holderParts(node, registration), streams }),
    room: (author) => quota(author).bytes - store.usage.of(author).bytes,
  });
  const floors = new FloorSnapshots({ store, db, env });
  return { source: new WalkedSnapshots({ store, held, floors, env }), snapshots };
}

function isReached({ registry, host }: SnapshotsNode, peer: PeerId): boolean {
  return newestConnection(host.streams, peer) !== undefined || agrinetdSource(registry, peer) !== undefined;
}
