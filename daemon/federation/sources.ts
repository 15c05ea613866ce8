import type { SyncSource } from '../../api/ports/sync-target.ts';
import type { RegisteredNode } from '../../protocols/registry/registry.ts';

/** A node without an identity that the operator registered. */
export interface HttpOnlyNode {
  readonly id: `legacy:${string}`;
  readonly origin: string;
  readonly status: RegisteredNode['status'];
}

/** Whom this node can sync with over HTTP: active registered nodes that have an address. */
export function syncSources(
  peers: readonly RegisteredNode[],
  httpNodes: readonly HttpOnlyNode[],
): SyncSource[] {
  return [
    ...peers.flatMap(({ peerId, url, status, tlsFingerprint }): SyncSource[] => {
      const address = url.replace(/\/+$/, '');
      return status === 'active' && address !== ''
        ? [{ kind: 'agrinetd', id: peerId, url: address, tlsFingerprint }]
        : [];
    }),
    ...httpNodes.flatMap(({ id, origin, status }): SyncSource[] =>
      status === 'active' ? [{ kind: 'legacy', id, url: origin }] : [],
    ),
  ];
}
