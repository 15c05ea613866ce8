import { AgrinetError } from '../errors.ts';
import { changedStatus, type NodeAction, type NodeStatus } from './node-status.ts';
import { withKeys } from './registration-key.ts';
import { type Asked, checkRoom, REGISTRY_LIMITS } from './registry.ts';

/** A node without an identity of its own: an old back end, or one that asked with a key alone and waits for the operator. */
export interface HttpNode {
  readonly id: `legacy:${string}`;
  /** Where it answers, without a slash at the end. */
  readonly origin: string;
  readonly region: string;
  readonly status: NodeStatus;
  readonly registeredAt: number;
  /** Milliseconds since 1970, or 0. */
  readonly lastSyncAt: number;
  /** Stays in this operator's registry. */
  readonly contactEmail?: string;
  readonly lastError?: string;
  /** Whose key it was asked with; absent when that was the operator's. */
  readonly askedBy?: string;
  /** The registration keys it was asked with: they end when it is revoked. Asking alone uses none of them up. */
  readonly keys?: readonly string[];
}

export interface HttpNodeStore {
  load(): Promise<HttpNode[]>;
  save(node: HttpNode): Promise<void>;
  remove(id: string): Promise<void>;
}

export interface HttpNodes {
  list(): readonly HttpNode[];
  get(id: string): HttpNode | undefined;
  /**
   * Notes that a node asked to be registered; it waits for the operator. What is decided already stays as it is.
   * Throws `node-suspended`, `registry-full`.
   */
  request(
    origin: string,
    region: string,
    contactEmail: string | undefined,
    now: number,
    asked?: Pick<Asked, 'by' | 'key'>,
  ): Promise<HttpNode>;
  /** Throws `node-unknown`, `node-state`. */
  change(id: string, action: NodeAction): Promise<HttpNode>;
  /** Notes a sync that went well, or its error; not fsynced. */
  synced(id: string, now: number, error?: string): Promise<void>;
  /** It became a registered node with an identity. */
  remove(id: string): Promise<void>;
}

export async function createHttpNodes(
  store: HttpNodeStore,
  onChange: (node: HttpNode) => void,
): Promise<HttpNodes> {
  const nodes = new Map<string, HttpNode>((await store.load()).map((node) => [node.id, node]));

  /** On their way to the disk: what comes meanwhile counts them too. */
  const arriving = new Map<string, HttpNode>();

  async function put(node: HttpNode): Promise<HttpNode> {
    await store.save(node);
    nodes.set(node.id, node);
    return node;
  }

  return {
    list: () => [...nodes.values()],
    get: (id) => nodes.get(id),
    async request(origin, region, contactEmail, now, { by, key } = {}) {
      const id = `legacy:${origin}` as const;
      const known = nodes.get(id);
      if (known?.status === 'suspended' || known?.status === 'revoked')
        throw new AgrinetError(
          'node-suspended',
          `this node is ${known.status} here; its operator must resume it first`,
        );
      if (known?.status === 'active') return known;
      if (known === undefined && !arriving.has(id))
        checkRoom([...nodes.values(), ...arriving.values()], REGISTRY_LIMITS.httpNodes, {
          status: 'pending',
          by,
        });
      const node: HttpNode = {
        id,
        origin,
        region,
        status: 'pending',
        registeredAt: known?.registeredAt ?? now,
        lastSyncAt: known?.lastSyncAt ?? 0,
      };
      const email = contactEmail ?? known?.contactEmail;
      const askedBy = known === undefined ? by : known.askedBy;
      const keys = withKeys(known?.keys, key === undefined ? [] : [key.id]);
      const whole: HttpNode = {
        ...node,
        ...(email === undefined ? {} : { contactEmail: email }),
        ...(askedBy === undefined ? {} : { askedBy }),
        ...(keys.length === 0 ? {} : { keys }),
      };
      if (known === undefined) arriving.set(id, whole);
      try {
        const saved = await put(whole);
        if (known === undefined) onChange(saved);
        return saved;
      } finally {
        arriving.delete(id);
      }
    },
    async change(id, action) {
      const node = nodes.get(id);
      if (node === undefined) throw new AgrinetError('node-unknown', `no node ${id} is registered here`);
      const status = changedStatus(node.status, action);
      if (status === node.status) return node;
      const changed = await put({ ...node, status });
      onChange(changed);
      return changed;
    },
    async synced(id, now, error) {
      const node = nodes.get(id);
      if (node === undefined) return;
      const { lastError: _, ...rest } = node;
      await put(error === undefined ? { ...rest, lastSyncAt: now } : { ...rest, lastError: error });
    },
    async remove(id) {
      await store.remove(id);
      nodes.delete(id);
    },
  };
}
