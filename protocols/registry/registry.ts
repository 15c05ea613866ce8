import { AgrinetError } from '../errors.ts';
import type { Following } from '../feed/admission.ts';
import { parsePeerId, type PeerId } from '../wire/identity.ts';
import { REGISTRATION_WINDOW_MS, type RegistrationStatement } from './statement.ts';

export type NodeStatus = 'pending' | 'active' | 'suspended' | 'revoked';

/** One node in this node's own registry. */
export interface RegisteredNode {
  readonly peerId: PeerId;
  readonly url: string;
  readonly region: string;
  readonly name: string;
  readonly multiaddrs: readonly string[];
  readonly status: NodeStatus;
  readonly schemaVersion: number;
  readonly registeredAt: number;
  /** Last time its frontier and ours were found equal, or 0. */
  readonly lastSyncAt: number;
  readonly tlsFingerprint: string;
  /** Stays in this operator's registry. */
  readonly contactEmail?: string;
}

/** Where the registry is kept. */
export interface RegistryStore {
  load(): Promise<RegisteredNode[]>;
  save(node: RegisteredNode): Promise<void>;
}

export const REGISTRY_LIMITS = {
  /** Registered nodes. */
  nodes: 1024,
  /** Nonces remembered; a flood beyond it is refused, not forgotten. */
  nonces: 10_000,
} as const;

/** Who is registered here. Being discovered is not being registered; an empty registry means nobody. */
export interface Registry extends Following {
  list(): readonly RegisteredNode[];
  get(peerId: string): RegisteredNode | undefined;
  isActive(peerId: string): boolean;
  /** Takes a verified statement in: the caller is active. Throws `registration-replayed` or `registry-full`. */
  register(
    statement: RegistrationStatement,
    contactEmail: string | undefined,
    now: number,
  ): Promise<RegisteredNode>;
  /** Throws `node-unknown`. */
  setStatus(peerId: string, status: NodeStatus): Promise<RegisteredNode>;
  synced(peerId: string, now: number): void;
  /** Writes what `synced` noted. */
  flush(): Promise<void>;
}

export async function createRegistry(
  self: PeerId,
  store: RegistryStore,
  onChange: (node: RegisteredNode) => void,
): Promise<Registry> {
  const nodes = new Map<string, RegisteredNode>((await store.load()).map((node) => [node.peerId, node]));
  const nonces = new Map<string, number>();
  const dirty = new Set<string>();

  async function put(node: RegisteredNode): Promise<RegisteredNode> {
    await store.save(node);
    nodes.set(node.peerId, node);
    dirty.delete(node.peerId);
    onChange(node);
    return node;
  }

  function useNonce(statement: RegistrationStatement, now: number): void {
    for (const [nonce, until] of nonces) {
      if (until > now) break;
      nonces.delete(nonce);
    }
    const id = `${statement.caller}|${statement.nonce}`;
    if (nonces.has(id))
      throw new AgrinetError('registration-replayed', 'this registration was used before; make a new one');
    if (nonces.size >= REGISTRY_LIMITS.nonces)
      throw new AgrinetError('registry-full', 'too many registrations at once; try again in ten minutes');
    nonces.set(id, now + 2 * REGISTRATION_WINDOW_MS);
  }

  return {
    standing(author) {
      const status = author === self ? 'active' : nodes.get(author)?.status;
      if (status === 'active') return 'followed';
      return status === 'suspended' ? 'suspended' : 'no';
    },
    list: () => [...nodes.values()],
    get: (peerId) => nodes.get(peerId),
    isActive: (peerId) => nodes.get(peerId)?.status === 'active',
    async register(statement, contactEmail, now) {
      const known = nodes.get(statement.caller);
      if (statement.caller === self)
        throw new AgrinetError('registration-self', 'a node cannot register with itself');
      if (known === undefined && nodes.size >= REGISTRY_LIMITS.nodes)
        throw new AgrinetError('registry-full', `the registry holds ${REGISTRY_LIMITS.nodes} nodes`);
      if (known?.status === 'suspended' || known?.status === 'revoked') {
        throw new AgrinetError(
          'node-suspended',
          `this node is ${known.status} here; its operator must resume it first`,
        );
      }
      useNonce(statement, now);
      const { caller, nodeUrl, region, name, multiaddrs, schemaVersion, tlsFingerprint } = statement;
      const node: RegisteredNode = {
        peerId: caller,
        url: nodeUrl,
        region,
        name,
        multiaddrs,
        status: 'active',
        schemaVersion,
        registeredAt: known?.registeredAt ?? now,
        lastSyncAt: known?.lastSyncAt ?? 0,
        tlsFingerprint,
      };
      const email = contactEmail ?? known?.contactEmail;
      return put(email === undefined ? node : { ...node, contactEmail: email });
    },
    async setStatus(peerId, status) {
      const node = parsePeerId(peerId) && nodes.get(peerId);
      if (node === undefined) throw new AgrinetError('node-unknown', `no node ${peerId} is registered here`);
      return node.status === status ? node : put({ ...node, status });
    },
    synced(peerId, now) {
      const node = nodes.get(peerId);
      if (node === undefined) return;
      nodes.set(peerId, { ...node, lastSyncAt: now });
      dirty.add(peerId);
    },
    async flush() {
      for (const peerId of dirty) {
        const node = nodes.get(peerId);
        if (node !== undefined) await store.save(node);
      }
      dirty.clear();
    },
  };
}
