import type { Catalogue } from '../protocols/market/catalogue.ts';
import type { RegisteredNode } from '../protocols/registry/registry.ts';
import type { RecordState } from '../protocols/open-dialog/record.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import type { Channel, RecordKey } from '../protocols/wire/ids.ts';
import type { FrontierItem } from '../protocols/feed/frontier.ts';
import type { CollectionDigest } from '../protocols/digest/state-digest.ts';

/** A list's filter and page, as the storage reader takes them. */
export interface ListQuery {
  readonly fields: Readonly<Record<string, string | undefined>>;
  readonly owner?: string | undefined;
  readonly near?: { readonly lat: number; readonly long: number; readonly km: number } | undefined;
}

export interface RecordReader {
  get(key: RecordKey): Promise<RecordState | undefined>;
  list(
    collection: string,
    query: ListQuery,
    limit: number,
    cursor?: string,
  ): Promise<{ readonly records: readonly RecordState[]; readonly cursor?: string }>;
  all(collection: string): AsyncGenerator<RecordState>;
  conflicts(limit: number): Promise<RecordState[]>;
  verdicts(limit: number): Promise<unknown[]>;
}

/** This node as others see it. */
export interface NodeIdentity {
  readonly peerId: PeerId;
  readonly name: string;
  readonly network: string;
  readonly schemaVersion: number;
  readonly multiaddrs: readonly string[];
  readonly region: string;
  readonly nodeUrl: string;
}

/** A registered node with what this process knows of it. */
export interface NodeStanding extends RegisteredNode {
  readonly connected: boolean;
  /** Entries it has shown that are lacking here. */
  readonly lag: number;
  readonly nextRetryAt: number | undefined;
  readonly listings: number;
}

export interface OwnerDigest {
  readonly frontier: readonly FrontierItem[];
  readonly digest: string;
  readonly collections: Readonly<Record<string, CollectionDigest>>;
}

/** What the HTTP API needs of the node. */
export interface ApiContext {
  readonly self: PeerId;
  readonly apiKey: string;
  readonly publicReads: boolean;
  readonly catalogue: Catalogue;
  readonly reader: RecordReader;
  identity(): NodeIdentity;
  /** Why the node is not ready to write, or undefined. */
  trouble(): { readonly code: string; readonly message: string } | undefined;
  alarms(): readonly { readonly kind: string; readonly at: string; readonly text: string }[];
  nodes(): readonly NodeStanding[];
  peers(): readonly {
    readonly peerId: string;
    readonly registered: boolean;
    readonly connected: boolean;
    readonly nextRetryAt?: number;
  }[];
  digest(): { readonly digest: string; readonly owners: Readonly<Record<string, OwnerDigest>> };
  feeds(): readonly {
    readonly author: PeerId;
    readonly channel: Channel;
    readonly items: readonly FrontierItem[];
  }[];
  /** Signed entries of an author's public feeds beyond what the asker has. */
  feedRange(author: PeerId, have: readonly FrontierItem[]): AsyncGenerator<Uint8Array>;
  join(url: string, key: string): Promise<RegisteredNode>;
  /** A verified registration: answers with this node's own statement. */
  register(
    statement: Uint8Array,
    contactEmail: string | undefined,
  ): Promise<{ readonly node: RegisteredNode; readonly statement: Uint8Array }>;
  setStatus(peerId: string, status: 'active' | 'suspended'): Promise<RegisteredNode>;
  sync(): Promise<void>;
  log(message: string, fields: Record<string, unknown>): void;
}
