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

export class HttpNodes {
  readonly #store: HttpNodeStore;
  readonly #onChange: (node: HttpNode) => void;
  readonly #nodes: Map<string, HttpNode>;
  /** Rows being written: later requests count them too. */
  readonly #arriving = new Map<string, HttpNode>();

  static async open(store: HttpNodeStore, onChange: (node: HttpNode) => void): Promise<HttpNodes> {
    return new HttpNodes(store, onChange, await store.load());
  }

  private constructor(store: HttpNodeStore, onChange: (node: HttpNode) => void, held: readonly HttpNode[]) {
    this.#store = store;
    this.#onChange = onChange;
    this.#nodes = new Map(held.map((node) => [node.id, node]));
  }

  list(): readonly HttpNode[] {
    return [...this.#nodes.values()];
  }

  get(id: string): HttpNode | undefined {
    return this.#nodes.get(id);
  }

  /**
   * Records that a node has asked to be registered; it waits for the operator. Earlier decisions are kept. Throws `node-suspended`,
   * `registry-full`.
   */
  async request(
    origin: string,
    region: string,
    contactEmail: string | undefined,
    now: number,
    asked: Pick<Asked, 'by' | 'key'> = {},
  ): Promise<HttpNode> {
    const known = this.#nodes.get(`legacy:${origin}`);
    if (known?.status === 'suspended' || known?.status === 'revoked')
      throw new AgrinetError(
        'node-suspended',
        `this node is ${known.status} here; its operator must resume it first`,
      );
    if (known?.status === 'active') return known;
    const node = pendingNode({ origin, region, contactEmail, now, asked, known });
    return known === undefined ? this.#addNew(node, asked.by) : this.#put(node);
  }

  async #addNew(node: HttpNode, by: string | undefined): Promise<HttpNode> {
    if (!this.#arriving.has(node.id))
      checkRoom([...this.#nodes.values(), ...this.#arriving.values()], REGISTRY_LIMITS.httpNodes, {
        status: 'pending',
        by,
      });
    this.#arriving.set(node.id, node);
    try {
      await this.#put(node);
      this.#onChange(node);
      return node;
    } finally {
      this.#arriving.delete(node.id);
    }
  }

  /** Throws `node-unknown`, `node-state`. */
  async change(id: string, action: NodeAction): Promise<HttpNode> {
    const node = this.#nodes.get(id);
    if (node === undefined) throw new AgrinetError('node-unknown', `no node ${id} is registered here`);
    const status = changedStatus(node.status, action);
    if (status === node.status) return node;
    const changed = await this.#put({ ...node, status });
    this.#onChange(changed);
    return changed;
  }

  /** Notes a sync that went well, or its error; not fsynced. */
  async synced(id: string, now: number, error?: string): Promise<void> {
    const node = this.#nodes.get(id);
    if (node === undefined) return;
    const { lastError: _, ...rest } = node;
    await this.#put(error === undefined ? { ...rest, lastSyncAt: now } : { ...rest, lastError: error });
  }

  /** It became a registered node with an identity. */
  async remove(id: string): Promise<void> {
    await this.#store.remove(id);
    this.#nodes.delete(id);
  }

  async #put(node: HttpNode): Promise<HttpNode> {
    await this.#store.save(node);
    this.#nodes.set(node.id, node);
    return node;
  }
}

/** A node that asks to be registered, with what is known of it from earlier requests. */
function pendingNode({
  origin,
  region,
  contactEmail,
  now,
  asked: { by, key },
  known,
}: {
  readonly origin: string;
  readonly region: string;
  readonly contactEmail: string | undefined;
  readonly now: number;
  readonly asked: Pick<Asked, 'by' | 'key'>;
  readonly known: HttpNode | undefined;
}): HttpNode {
  const email = contactEmail ?? known?.contactEmail;
  const askedBy = known === undefined ? by : known.askedBy;
  const keys = withKeys(known?.keys, key === undefined ? [] : [key.id]);
  return {
    id: `legacy:${origin}`,
    origin,
    region,
    status: 'pending',
    registeredAt: known?.registeredAt ?? now,
    lastSyncAt: known?.lastSyncAt ?? 0,
    ...(email === undefined ? {} : { contactEmail: email }),
    ...(askedBy === undefined ? {} : { askedBy }),
    ...(keys.length === 0 ? {} : { keys }),
  };
}
