import type { NotCompared } from '../../protocols/digest/coverage.ts';
import type { NodeAction, NodeStatus } from '../../protocols/registry/node-status.ts';
import type { RegistrationKey } from '../../protocols/registry/registration-key.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';

/** This node's public identity; with a nonce also a proof of it, signed by the node key, base64url. */
export interface NodeIdentityAnswer {
  readonly peerId: string;
  readonly name: string;
  readonly network: string;
  readonly schemaVersion: number;
  readonly multiaddrs: readonly string[];
  readonly region: string;
  readonly nodeUrl: string;
  readonly tlsFingerprint?: string;
  readonly proof?: string;
}

/** A node of the registry with what this process knows of it: an agrinetd, or one that speaks HTTP only. */
export interface NodeEntry {
  /** Peer id, or `legacy:<origin>`. */
  readonly id: string;
  readonly kind: 'agrinetd' | 'http';
  readonly peerId?: PeerId;
  readonly url: string;
  readonly region: string;
  readonly name: string;
  readonly status: NodeStatus;
  /** Undefined for a node that does not announce any. */
  readonly schemaVersion: number | undefined;
  readonly registeredAt: number;
  /** Milliseconds since 1970; 0 before the first. */
  readonly lastSyncAt: number;
  /** State digest or export hash that was received last. */
  readonly lastHash: string | undefined;
  /** Over libp2p. */
  readonly connected: boolean;
  /** Heard from within the last 75 s, over whatever, and no sync with it failed since. */
  readonly online: boolean;
  /** When it was last heard from since this process began, milliseconds since 1970. */
  readonly lastContactAt: number | undefined;
  /** Entries it has shown that are missing here. */
  readonly lag: number | undefined;
  /** Collections that only one of the two versions knows, or in another op version: they are in no comparison of digests. */
  readonly notCompared: readonly NotCompared[];
  readonly nextRetryAt: number | undefined;
  readonly listings: number;
  readonly transactions: number;
  readonly users: number;
  /** In this node's words. */
  readonly error: string | undefined;
  /** The error of its last sync. */
  readonly errorCode?: string | undefined;
}

/** What only the operator sees. */
export interface PrivateNodeEntry extends NodeEntry {
  readonly contactEmail: string | undefined;
  readonly tlsFingerprint: string;
  readonly multiaddrs: readonly string[];
  /** Ids of the registration keys it registered with; empty when the operator alone registered it. */
  readonly keys: readonly string[];
}

/** A request to be registered here. Without a statement it is the guide's plain `curl`. */
export interface RegisterRequest {
  /** Empty only with a statement: a node that cannot be reached over HTTP. */
  readonly nodeUrl?: string | undefined;
  readonly region?: string | undefined;
  readonly contactEmail?: string | undefined;
  /** Plain copies of what is signed; they must agree with it. */
  readonly peerId?: string | undefined;
  readonly multiaddrs?: readonly string[] | undefined;
  readonly time?: number | undefined;
  readonly nonce?: string | undefined;
  readonly tlsFingerprint?: string | undefined;
  /** The signed registration, base64url. */
  readonly statement?: string | undefined;
  /** The user of its key; undefined for the operator's. */
  readonly by?: string | undefined;
  /** That key; undefined for the operator's hand. */
  readonly key?: RegistrationKey | undefined;
}

/** How much is shown of nodes: what is public, or everything that this node's operator may know. */
export type Visibility = 'public' | 'whole';

/** What the registration routes need of the node. */
export interface RegistrationPort {
  identity(nonce?: string): NodeIdentityAnswer;
  /** Figures of private channels, `lag` and `transactions`, only for callers with full access. */
  nodes(sees: Visibility): Promise<readonly NodeEntry[]>;
  /** Throws `node-unknown`. */
  node(id: string): Promise<PrivateNodeEntry>;
  /** Registers both nodes with one another, or neither. */
  join(url: string, key: string): Promise<NodeEntry>;
  /** `statement`: this node's own, in answer to a signed one. `created`: it was not active before. */
  register(
    request: RegisterRequest,
  ): Promise<{ readonly node: NodeEntry; readonly created: boolean; readonly statement?: string }>;
  /** A signed withdrawal, base64url: its signer alone goes from active to pending. */
  withdraw(statement: string): Promise<void>;
  /**
   * The operator registers a node by its URL, an old back end on request with the key that it answers to (null: no longer with one).
   * That key is kept and never shown. Throws `fields-invalid` for a key that cannot be one, or that an agrinetd has no use for.
   */
  add(url: string, region: string, contactEmail: string | undefined, key?: string | null): Promise<NodeEntry>;
  /** Throws `node-unknown`, `node-state`; approving asks the node for its identity, revoking revokes the keys it registered with. */
  change(id: string, action: NodeAction): Promise<PrivateNodeEntry>;
}
