import type { SyncSource } from '../../api/ports/sync-target.ts';
import type { RegisteredNode, Registry } from '../../protocols/registry/registry.ts';

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

/** A registered node as it can be asked over HTTP; undefined for one without an address. */
export function agrinetdSource(
  registry: Pick<Registry, 'get'>,
  peer: string,
): Extract<SyncSource, { kind: 'agrinetd' }> | undefined {
  const node = registry.get(peer);
  const [source] = node === undefined ? [] : syncSources([node], []);
  return source?.kind === 'agrinetd' ? source : undefined;
}
