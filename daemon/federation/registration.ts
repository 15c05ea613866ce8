import type { NotCompared } from '../../protocols/digest/coverage.ts';
import type {
  NodeEntry,
  NodeIdentityAnswer,
  PrivateNodeEntry,
  RegistrationPort,
  Sees,
} from '../../api/ports/registration.ts';
import type { Env } from '../../protocols/env.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { SCHEMA_VERSION } from '../../protocols/open-dialog/schema.ts';
import type { HttpNode, HttpNodes } from '../../protocols/registry/http-nodes.ts';
import { sealProof } from '../../protocols/registry/identity-proof.ts';
import type { Nonces } from '../../protocols/registry/nonces.ts';
import type { RegisteredNode, Registry } from '../../protocols/registry/registry.ts';
import type { AddressPolicy } from '../../protocols/wire/address-policy.ts';
import { base64url } from '../../protocols/wire/bytes.ts';
import type { Identity, PeerId } from '../../protocols/wire/identity.ts';
import { isoTime } from '../../protocols/wire/iso-time.ts';
import { type ApprovalParts, createApproval } from './approval.ts';
import { createChallenge } from './challenge.ts';
import type { GuardedFetch } from './guarded-fetch.ts';
import type { ReachWatch } from '../reach/reach-watch.ts';
import { createJoining, type OwnAddress } from './joining.ts';
import type { SourceKeys } from './source-keys.ts';

/** What is held of a node beside the registry. */
export interface NodeCounts {
  readonly listings: number;
  readonly transactions: number;
  readonly users: number;
}

/** What this process knows of a peer over libp2p. */
export interface PeerStanding extends NodeCounts {
  readonly connected: boolean;
  readonly lag: number;
  readonly notCompared: readonly NotCompared[];
  readonly nextRetryAt: number | undefined;
}

/** What the last syncs with a node came to; a row of the source table fits. */
export interface SyncStanding {
  readonly lastSyncAt: number;
  readonly lastHash?: string;
  readonly error?: { readonly code: string; readonly message: string };
}

export interface RegistrationParts {
  readonly identity: Identity;
  readonly network: string;
  readonly registry: Registry;
  readonly httpNodes: HttpNodes;
  readonly nonces: Nonces;
  readonly fetch: GuardedFetch;
  readonly policy: AddressPolicy;
  readonly own: () => OwnAddress;
  readonly contactEmail: string | undefined;
  readonly peerStanding: (peer: PeerId, sees: Sees) => Promise<PeerStanding>;
  readonly syncStanding: (id: string) => Promise<SyncStanding | undefined>;
  /** Who has been heard from lately. */
  readonly reach: Pick<ReachWatch, 'isReached' | 'lastContactAt'>;
  /** Of an HTTP-only node, by its id. */
  readonly legacyCounts: (id: string) => Promise<NodeCounts>;
  readonly revokeKeys: ApprovalParts['revokeKeys'];
  readonly sourceKeys: Pick<SourceKeys, 'set' | 'remove'>;
  readonly alarm: ApprovalParts['alarm'];
  readonly log: (message: string, fields: Record<string, unknown>) => void;
  readonly env: Pick<Env, 'bytes'>;
  readonly now: () => number;
}

export interface Registration {
  readonly port: RegistrationPort;
  /** For pulls that met another certificate: the fingerprint now in force; throws `certificate-foreign`. */
  renewCertificate(peer: PeerId): Promise<string>;
  /** Notes how a sync over HTTP ended. */
  noteSync(id: string, error: string | undefined): Promise<void>;
}

function withoutKey(node: RegisteredNode, key: string | null | undefined): RegisteredNode {
  if (typeof key !== 'string') return node;
  throw new AgrinetError(
    'fields-invalid',
    `${node.url} is an agrinetd, registered as ${node.peerId}: it is asked with signed requests, and the key was not kept`,
  );
}

/** Registration of this node with others, and of others here. */
export function createRegistration(parts: RegistrationParts): Registration {
  const { identity, network, registry, httpNodes, sourceKeys, own, now } = parts;
  const challenge = createChallenge({ fetch: parts.fetch, network, env: parts.env, now });
  const joining = createJoining({ ...parts, challenge });
  /** Where this node answers, as it signs it. */
  const ownUrl = (): string => own().publicUrl ?? own().listening;
  const approval = createApproval({ ...parts, challenge, ownUrl });

  async function entry(node: RegisteredNode | HttpNode, sees: Sees = 'whole'): Promise<PrivateNodeEntry> {
    return 'peerId' in node ? peerEntry(node, sees) : httpEntry(node);
  }

  async function peerEntry(node: RegisteredNode, sees: Sees): Promise<PrivateNodeEntry> {
    const { peerId, url, region, name, status, schemaVersion, registeredAt, contactEmail } = node;
    const standing = await parts.peerStanding(peerId, sees);
    const sync = await parts.syncStanding(peerId);
    const reached = standing.connected || (parts.reach.isReached(peerId) && sync?.error === undefined);
    const trouble = reached ? undefined : (sync?.error?.message ?? silence(peerId));
    return {
      id: peerId,
      kind: 'agrinetd',
      peerId,
      url,
      region,
      name,
      status,
      schemaVersion,
      registeredAt,
      lastSyncAt: Math.max(node.lastSyncAt, sync?.lastSyncAt ?? 0),
      lastHash: sync?.lastHash,
      ...standing,
      online: status === 'active' && reached,
      lastContactAt: parts.reach.lastContactAt(peerId),
      error: status === 'active' ? trouble : status,
      errorCode: sync?.error?.code,
      contactEmail,
      tlsFingerprint: node.tlsFingerprint,
      multiaddrs: node.multiaddrs,
      keys: node.keys ?? [],
    };
  }

  /** Since when nothing has been heard from a node. */
  function silence(id: string): string {
    const at = parts.reach.lastContactAt(id);
    return at === undefined ? 'not connected' : `no answer since ${isoTime(at)}`;
  }

  async function httpEntry(node: HttpNode): Promise<PrivateNodeEntry> {
    const { id, origin, region, status, registeredAt, contactEmail } = node;
    const sync = await parts.syncStanding(id);
    const lastSyncAt = Math.max(node.lastSyncAt, sync?.lastSyncAt ?? 0);
    const failed =
      sync?.error?.message ?? node.lastError ?? (lastSyncAt === 0 ? 'not pulled yet' : undefined);
    const trouble = failed ?? (parts.reach.isReached(id) ? undefined : silence(id));
    return {
      id,
      kind: 'http',
      url: origin,
      region,
      name: '',
      status,
      schemaVersion: undefined,
      registeredAt,
      lastSyncAt,
      lastHash: sync?.lastHash,
      connected: false,
      online: status === 'active' && trouble === undefined,
      lastContactAt: parts.reach.lastContactAt(id),
      lag: undefined,
      notCompared: [],
      nextRetryAt: undefined,
      ...(await parts.legacyCounts(id)),
      error: status === 'active' ? trouble : status,
      errorCode: sync?.error?.code,
      contactEmail,
      tlsFingerprint: '',
      multiaddrs: [],
      keys: node.keys ?? [],
    };
  }

  /** Without what only the operator sees. */
  async function shown(node: RegisteredNode | HttpNode, sees: Sees = 'public'): Promise<NodeEntry> {
    const {
      contactEmail: _,
      tlsFingerprint: __,
      multiaddrs: ___,
      keys: ____,
      ...rest
    } = await entry(node, sees);
    return rest;
  }

  const all = (): (RegisteredNode | HttpNode)[] => [...registry.list(), ...httpNodes.list()];

  const port: RegistrationPort = {
    identity(nonce) {
      const { region, name, multiaddrs, tlsFingerprint } = own();
      const nodeUrl = ownUrl();
      const answer: NodeIdentityAnswer = {
        peerId: identity.peerId,
        name,
        network,
        schemaVersion: SCHEMA_VERSION,
        multiaddrs,
        region,
        nodeUrl,
        ...(tlsFingerprint === '' ? {} : { tlsFingerprint }),
      };
      if (nonce === undefined) return answer;
      const proof = sealProof(identity, network, { nonce, nodeUrl, tlsFingerprint, time: now() });
      return { ...answer, proof: base64url(proof) };
    },
    nodes: (sees) => Promise.all(all().map((node) => shown(node, sees))),
    async node(id) {
      const node = registry.get(id) ?? httpNodes.get(id);
      if (node === undefined) throw new AgrinetError('node-unknown', `no node ${id} is registered here`);
      return entry(node);
    },
    join: async (url, key) => shown(await joining.join(url, key)),
    async register(request) {
      const { statement } = request;
      if (statement !== undefined) {
        const done = await joining.accept({ ...request, statement });
        return { ...done, node: await shown(done.node) };
      }
      const { nodeUrl = '', region = 'unspecified', contactEmail } = request;
      const node = await approval.request(nodeUrl, region, contactEmail, request);
      return { node: await shown(node), created: node.status !== 'active' };
    },
    withdraw: (statement) => joining.withdraw(statement),
    async add(url, region, contactEmail, key) {
      const node = await approval.request(url, region, contactEmail);
      if ('peerId' in node) return shown(withoutKey(node, key));
      if (key === null) await sourceKeys.remove(node.id);
      else if (key !== undefined) await sourceKeys.set(node.id, key);
      try {
        const added = await approval.change(node.id, 'approve');
        if ('peerId' in added) await sourceKeys.remove(node.id);
        return await shown('peerId' in added ? withoutKey(added, key) : added);
      } catch (error) {
        if (!(error instanceof AgrinetError)) throw error;
        if (error.code === 'fields-invalid') throw error;
        const hint = `it stays pending; when it can be reached: agrinet nodes approve ${node.id}`;
        throw new AgrinetError(error.code, `${error.message}; ${hint}`, { cause: error });
      }
    },
    async change(id, action) {
      const changed = await approval.change(id, action);
      // Who is no longer asked needs no key here; who became an agrinetd neither.
      if (id.startsWith('legacy:') && (action === 'revoke' || 'peerId' in changed))
        await sourceKeys.remove(id);
      return entry(changed);
    },
  };
  return {
    port,
    renewCertificate: (peer) => approval.renewCertificate(peer),
    async noteSync(id, error) {
      if (httpNodes.get(id) !== undefined) await httpNodes.synced(id, now(), error);
      else if (error === undefined) registry.synced(id, now());
    },
  };
}
