import { SerialQueue } from '../serial-queue.ts';
import { AgrinetError } from '../errors.ts';
import type { Following } from '../feed/admission.ts';
import { parsePeerId, type PeerId } from '../wire/identity.ts';
import { changedStatus, type NodeAction, type NodeStatus } from './node-status.ts';
import { checkKey, type RegistrationKey, withKeys } from './registration-key.ts';
import type { RegistrationStatement } from './statement.ts';

export type { NodeStatus } from './node-status.ts';

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
  /** SHA-256 of its certificate, hex; empty without TLS, or when a CA vouches for it. */
  readonly tlsFingerprint: string;
  /** Stays in this operator's registry. */
  readonly contactEmail?: string;
  /** Whose key it registered with; absent when that was the operator's. */
  readonly askedBy?: string;
  /** The registration keys it registered with; absent when the operator alone registered it. */
  readonly keys?: readonly string[];
  /** How much storage its entries may use here, MiB, 0 without a limit; absent: AUTHOR_QUOTA_MB. A decision of this operator. */
  readonly quotaMb?: number;
}

/** What is registered of a node; a signed statement contains all of it. */
export type Registration = Pick<
  RegistrationStatement,
  'caller' | 'nodeUrl' | 'region' | 'name' | 'multiaddrs' | 'schemaVersion' | 'tlsFingerprint'
>;

/** Where the registry is kept. */
export interface RegistryStore {
  load(): Promise<RegisteredNode[]>;
  save(node: RegisteredNode): Promise<void>;
}

export const REGISTRY_LIMITS = {
  /** Registered nodes. */
  nodes: 1024,
  /** Nodes without an identity. */
  httpNodes: 1024,
  /** Waiting for the operator, of either kind: those must not be able to fill the rest. */
  pending: 256,
  /** Of either kind, by the keys of one user: a key given to one node must not shut the others out. */
  perAsker: 32,
  /** Nonces remembered; a flood beyond it is refused, not forgotten. */
  nonces: 10_000,
  /** Of them by the keys of one user. */
  noncesPerAsker: 256,
} as const;

/** How a registration was made. */
export interface Asked {
  /** The status to set; default `active`. */
  readonly status?: 'active' | 'pending' | undefined;
  /** Whose key it was; undefined for the operator's. */
  readonly by?: string | undefined;
  /** The key itself; undefined for the operator's hand, which no key bounds. */
  readonly key?: RegistrationKey | undefined;
  /** Keys of an earlier request that the operator has approved. */
  readonly keys?: readonly string[] | undefined;
}

/** Throws `registry-full` when one more does not fit. */
export function checkRoom(
  held: Iterable<{ readonly status: NodeStatus; readonly askedBy?: string }>,
  most: number,
  { status = 'active', by }: Asked,
): void {
  let [all, waiting, theirs] = [0, 0, 0];
  for (const node of held) {
    all++;
    if (node.status === 'pending') waiting++;
    if (by !== undefined && node.askedBy === by) theirs++;
  }
  const full = (message: string): AgrinetError => new AgrinetError('registry-full', message);
  if (all >= most) throw full(`the registry holds ${most} nodes`);
  if (theirs >= REGISTRY_LIMITS.perAsker)
    throw full(`with the keys of one user at most ${REGISTRY_LIMITS.perAsker} nodes can be registered`);
  if (by !== undefined && status === 'pending' && waiting >= REGISTRY_LIMITS.pending)
    throw full('too many nodes wait for approval; the operator sees them with: agrinet nodes');
}

/** The registered nodes. Being discovered is not being registered; an empty registry means nobody. */
export class Registry implements Following {
  readonly #self: PeerId;
  readonly #store: RegistryStore;
  readonly #onChange: (node: RegisteredNode) => void;
  readonly #nodes: Map<string, RegisteredNode>;
  #actives: readonly PeerId[] | undefined;
  /** Synced since they were last written. */
  readonly #dirty = new Set<string>();
  /** Changes are decided and written one after the other: what is counted or compared cannot change before it is on disk. */
  readonly #changes = new SerialQueue();

  static async open(
    self: PeerId,
    store: RegistryStore,
    onChange: (node: RegisteredNode) => void,
  ): Promise<Registry> {
    return new Registry(self, store, onChange, await store.load());
  }

  private constructor(
    self: PeerId,
    store: RegistryStore,
    onChange: (node: RegisteredNode) => void,
    held: readonly RegisteredNode[],
  ) {
    this.#self = self;
    this.#store = store;
    this.#onChange = onChange;
    this.#nodes = new Map(held.map((node) => [node.peerId, node]));
  }

  followState(author: PeerId): ReturnType<Following['followState']> {
    const status = author === this.#self ? 'active' : this.#nodes.get(author)?.status;
    if (status === 'active') return 'followed';
    return status === 'suspended' ? 'suspended' : 'no';
  }

  list(): readonly RegisteredNode[] {
    return [...this.#nodes.values()];
  }

  /** Nodes that are active, sorted: the same list as long as it is the same nodes. */
  actives(): readonly PeerId[] {
    this.#actives ??= this.list()
      .flatMap(({ peerId, status }) => (status === 'active' ? [peerId] : []))
      .sort();
    return this.#actives;
  }

  get(peerId: string): RegisteredNode | undefined {
    return this.#nodes.get(peerId);
  }

  isActive(peerId: string): boolean {
    return this.#nodes.get(peerId)?.status === 'active';
  }

  /** Throws `registration-self`, `registry-full`, `key-used` or `node-suspended` if the node could not be registered now. */
  mayRegister(peerId: PeerId, asked: Asked = {}): void {
    const known = this.#nodes.get(peerId);
    if (peerId === this.#self)
      throw new AgrinetError('registration-self', 'a node cannot register with itself');
    if (known === undefined) checkRoom(this.#nodes.values(), REGISTRY_LIMITS.nodes, asked);
    if (known?.status === 'suspended' || known?.status === 'revoked')
      throw new AgrinetError(
        'node-suspended',
        `this node is ${known.status} here; its operator must resume it first`,
      );
    if (asked.key !== undefined) checkKey(this.#nodes, peerId, asked.key);
  }

  /** Registers what was verified, as `active`, or as `pending` until the operator approves it; an active node stays active. */
  register(
    statement: Registration,
    contactEmail: string | undefined,
    now: number,
    asked: Asked = {},
  ): Promise<RegisteredNode> {
    const { caller } = statement;
    return this.#changes.run(() => {
      this.mayRegister(caller, asked);
      return this.#put(registered(statement, contactEmail, now, asked, this.#nodes.get(caller)));
    });
  }

  /** The operator's word. Throws `node-unknown`, `node-state`. */
  change(peerId: string, action: NodeAction): Promise<RegisteredNode> {
    return this.#changes.run(() => {
      const node = this.#known(peerId);
      return this.#toStatus(node, changedStatus(node.status, action));
    });
  }

  /** The node took its registration back: from active to pending. */
  withdraw(peerId: PeerId): Promise<RegisteredNode | undefined> {
    return this.#changes.run(async () => {
      const node = this.#nodes.get(peerId);
      return node?.status === 'active' ? this.#toStatus(node, 'pending') : node;
    });
  }

  /** A renewed certificate that the node key vouches for. Throws `node-unknown`. */
  certificate(peerId: PeerId, fingerprint: string): Promise<RegisteredNode> {
    return this.#changes.run(() => this.#put({ ...this.#known(peerId), tlsFingerprint: fingerprint }));
  }

  /** Another quota than everybody's, MiB; undefined: everybody's again. Throws `node-unknown`. */
  setQuota(peerId: string, quotaMb: number | undefined): Promise<RegisteredNode> {
    return this.#changes.run(() => {
      const { quotaMb: _, ...node } = this.#known(peerId);
      // No other part need know: it is not a change of the registration.
      return this.#save(quotaMb === undefined ? node : { ...node, quotaMb });
    });
  }

  synced(peerId: string, now: number): void {
    const node = this.#nodes.get(peerId);
    if (node === undefined) return;
    this.#nodes.set(peerId, { ...node, lastSyncAt: now });
    this.#dirty.add(peerId);
  }

  /** Writes what `synced` noted. */
  async flush(): Promise<void> {
    for (const peerId of this.#dirty) {
      const node = this.#nodes.get(peerId);
      if (node !== undefined) await this.#store.save(node);
    }
    this.#dirty.clear();
  }

  #known(peerId: string): RegisteredNode {
    const node = parsePeerId(peerId) && this.#nodes.get(peerId);
    if (node === undefined) throw new AgrinetError('node-unknown', `no node ${peerId} is registered here`);
    return node;
  }

  async #toStatus(node: RegisteredNode, status: NodeStatus): Promise<RegisteredNode> {
    return node.status === status ? node : this.#put({ ...node, status });
  }

  async #put(node: RegisteredNode): Promise<RegisteredNode> {
    await this.#save(node);
    this.#onChange(node);
    return node;
  }

  async #save(node: RegisteredNode): Promise<RegisteredNode> {
    await this.#store.save(node);
    if (this.#nodes.get(node.peerId)?.status !== node.status) this.#actives = undefined;
    this.#nodes.set(node.peerId, node);
    this.#dirty.delete(node.peerId);
    return node;
  }
}

/** A node as it is registered; an active one stays active, and one that registered with a key first keeps its name. */
function registered(
  statement: Registration,
  contactEmail: string | undefined,
  now: number,
  { status = 'active', by, key, keys: approved = [] }: Asked,
  before: RegisteredNode | undefined,
): RegisteredNode {
  const { caller, nodeUrl, region, name, multiaddrs, schemaVersion, tlsFingerprint } = statement;
  const email = contactEmail ?? before?.contactEmail;
  const askedBy = before === undefined ? by : before.askedBy;
  const keys = withKeys(before?.keys, key === undefined ? approved : [key.id]);
  return {
    peerId: caller,
    url: nodeUrl,
    region,
    name,
    multiaddrs,
    status: before?.status === 'active' ? 'active' : status,
    schemaVersion,
    registeredAt: before?.registeredAt ?? now,
    lastSyncAt: before?.lastSyncAt ?? 0,
    tlsFingerprint,
    ...(email === undefined ? {} : { contactEmail: email }),
    ...(askedBy === undefined ? {} : { askedBy }),
    ...(keys.length === 0 ? {} : { keys }),
    ...(before?.quotaMb === undefined ? {} : { quotaMb: before.quotaMb }),
  };
}
