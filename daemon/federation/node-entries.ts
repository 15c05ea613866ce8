import type { NodeEntry, PrivateNodeEntry, Visibility } from '../../api/ports/registration.ts';
import type { NotCompared } from '../../protocols/digest/coverage.ts';
import type { HttpNode } from '../../protocols/registry/http-nodes.ts';
import type { RegisteredNode } from '../../protocols/registry/registry.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import type { ReachWatch } from '../reach/reach-watch.ts';

/** What is held of a node besides the registry. */
export interface NodeCounts {
  readonly listings: number;
  readonly transactions: number;
  readonly users: number;
}

/** What this process knows of a peer over libp2p. */
export interface PeerStatus extends NodeCounts {
  readonly connected: boolean;
  readonly lag: number;
  readonly notCompared: readonly NotCompared[];
  readonly nextRetryAt: number | undefined;
}

/** The outcome of the last syncs with a node; a row of the source table fits. */
export interface SyncStatus {
  readonly lastSyncAt: number;
  readonly lastHash?: string;
  readonly error?: { readonly code: string; readonly message: string };
}

export interface NodeEntryParts {
  readonly peerStatus: (peer: PeerId, sees: Visibility) => Promise<PeerStatus>;
  readonly syncStatus: (id: string) => Promise<SyncStatus | undefined>;
  /** Which nodes have been heard from lately. */
  readonly reach: Pick<ReachWatch, 'isReached' | 'lastContactAt'>;
  /** Of an HTTP-only node, by its id. */
  readonly legacyCounts: (id: string) => Promise<NodeCounts>;
}

/** A node of the registry with what this process knows of it. */
export function nodeEntry(
  parts: NodeEntryParts,
  node: RegisteredNode | HttpNode,
  sees: Visibility = 'public',
): Promise<NodeEntry> {
  return 'peerId' in node ? peerEntry(parts, node, sees) : httpEntry(parts, node);
}

/** The same with what only the operator sees. */
export async function privateEntry(
  parts: NodeEntryParts,
  node: RegisteredNode | HttpNode,
): Promise<PrivateNodeEntry> {
  const { contactEmail, keys = [] } = node;
  const { tlsFingerprint, multiaddrs } = 'peerId' in node ? node : { tlsFingerprint: '', multiaddrs: [] };
  return { ...(await nodeEntry(parts, node, 'whole')), contactEmail, tlsFingerprint, multiaddrs, keys };
}

async function peerEntry(parts: NodeEntryParts, node: RegisteredNode, sees: Visibility): Promise<NodeEntry> {
  const { peerId, status } = node;
  const peer = await parts.peerStatus(peerId, sees);
  const sync = await parts.syncStatus(peerId);
  const reached = peer.connected || (parts.reach.isReached(peerId) && sync?.error === undefined);
  const trouble = reached ? undefined : (sync?.error?.message ?? silence(parts, peerId));
  return {
    id: peerId,
    kind: 'agrinetd',
    peerId,
    url: node.url,
    name: node.name,
    schemaVersion: node.schemaVersion,
    ...common(parts, node, peerId, sync),
    ...peer,
    online: status === 'active' && reached,
    error: status === 'active' ? trouble : status,
  };
}

async function httpEntry(parts: NodeEntryParts, node: HttpNode): Promise<NodeEntry> {
  const { id, status } = node;
  const sync = await parts.syncStatus(id);
  const seen = common(parts, node, id, sync);
  const failed =
    sync?.error?.message ?? node.lastError ?? (seen.lastSyncAt === 0 ? 'not pulled yet' : undefined);
  const trouble = failed ?? (parts.reach.isReached(id) ? undefined : silence(parts, id));
  return {
    id,
    kind: 'http',
    url: node.origin,
    name: '',
    schemaVersion: undefined,
    ...seen,
    connected: false,
    lag: undefined,
    notCompared: [],
    nextRetryAt: undefined,
    ...(await parts.legacyCounts(id)),
    online: status === 'active' && trouble === undefined,
    error: status === 'active' ? trouble : status,
  };
}

/** What is known of both kinds of nodes. */
function common(
  { reach }: Pick<NodeEntryParts, 'reach'>,
  { region, status, registeredAt, lastSyncAt }: RegisteredNode | HttpNode,
  id: string,
  sync: SyncStatus | undefined,
) {
  return {
    region,
    status,
    registeredAt,
    lastSyncAt: Math.max(lastSyncAt, sync?.lastSyncAt ?? 0),
    lastHash: sync?.lastHash,
    lastContactAt: reach.lastContactAt(id),
    errorCode: sync?.error?.code,
  };
}

/** Since when nothing has been heard from a node. */
function silence({ reach }: Pick<NodeEntryParts, 'reach'>, id: string): string {
  const at = reach.lastContactAt(id);
  return at === undefined ? 'not connected' : `no answer since ${isoTime(at)}`;
}
