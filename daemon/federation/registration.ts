import type {
  NodeEntry,
  NodeIdentityAnswer,
  PrivateNodeEntry,
  RegisterRequest,
  RegistrationPort,
  Visibility,
} from '../../api/ports/registration.ts';
import { AgrinetError } from '../../protocols/errors.ts';
import { SCHEMA_VERSION } from '../../protocols/open-dialog/schema.ts';
import type { HttpNode } from '../../protocols/registry/http-nodes.ts';
import { signIdentityProof } from '../../protocols/registry/identity-proof.ts';
import type { NodeAction } from '../../protocols/registry/node-status.ts';
import type { RegisteredNode } from '../../protocols/registry/registry.ts';
import type { TurnEnv } from '../../protocols/cpu-slice.ts';
import { base64url } from '../../protocols/wire/bytes.ts';
import { CpuTurn } from '../../protocols/wire/cpu-turn.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { Acceptance, type AcceptanceParts } from './acceptance.ts';
import { type Approval, type ApprovalParts, createApproval } from './approval.ts';
import { type Challenge, createChallenge } from './challenge.ts';
import { createJoin, type Join, type JoiningParts } from './joining.ts';
import { type NodeEntryParts, nodeEntry, privateEntry } from './node-entries.ts';
import type { OwnAddress } from './own-statement.ts';
import type { SourceKeys } from './source-keys.ts';

type FederationParts = Omit<JoiningParts & AcceptanceParts & ApprovalParts, 'challenge' | 'ownUrl'>;

export interface RegistrationParts extends NodeEntryParts, FederationParts {
  readonly env: FederationParts['env'] & TurnEnv;
  readonly sourceKeys: Pick<SourceKeys, 'set' | 'remove'>;
}

export interface Registration {
  readonly port: RegistrationPort;
  /** For pulls that met another certificate: the fingerprint now in force; throws `certificate-foreign`. */
  renewCertificate(peer: PeerId): Promise<string>;
  /** Notes how a sync over HTTP ended. */
  noteSync(id: string, error: string | undefined): Promise<void>;
}

/** Registration of this node with others, and of others here. */
export function createRegistration(parts: RegistrationParts): Registration {
  const { registry, httpNodes, own, now } = parts;
  const challenge = createChallenge(parts);
  const approval = createApproval({ ...parts, challenge, ownUrl: () => ownUrl(own()) });
  return {
    port: new Registrations(parts, challenge, approval),
    renewCertificate: (peer) => approval.renewCertificate(peer),
    async noteSync(id, error) {
      if (httpNodes.get(id) !== undefined) await httpNodes.synced(id, now(), error);
      else if (error === undefined) registry.synced(id, now());
    },
  };
}

/** Where a node answers, as it signs it. */
function ownUrl({ publicUrl, listening }: OwnAddress): string {
  return publicUrl ?? listening;
}

class Registrations implements RegistrationPort {
  readonly #parts: RegistrationParts;
  readonly #approval: Approval;
  readonly #acceptance: Acceptance;
  readonly #join: Join;

  constructor(parts: RegistrationParts, challenge: Challenge, approval: Approval) {
    this.#parts = parts;
    this.#approval = approval;
    this.#acceptance = new Acceptance({ ...parts, challenge });
    this.#join = createJoin({ ...parts, challenge });
  }

  identity(nonce?: string): NodeIdentityAnswer {
    const { identity, network, own, now } = this.#parts;
    const address = own();
    const { region, name, multiaddrs, tlsFingerprint } = address;
    const nodeUrl = ownUrl(address);
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
    const proof = signIdentityProof(identity, network, { nonce, nodeUrl, tlsFingerprint, time: now() });
    return { ...answer, proof: base64url(proof) };
  }

  async nodes(sees: Visibility): Promise<readonly NodeEntry[]> {
    const { env, registry, httpNodes } = this.#parts;
    const turn = new CpuTurn(env);
    const entries: NodeEntry[] = [];
    for (const node of [...registry.list(), ...httpNodes.list()]) {
      await turn.pause();
      entries.push(await nodeEntry(this.#parts, node, sees));
    }
    return entries;
  }

  async node(id: string): Promise<PrivateNodeEntry> {
    const node = this.#parts.registry.get(id) ?? this.#parts.httpNodes.get(id);
    if (node === undefined) throw new AgrinetError('node-unknown', `no node ${id} is registered here`);
    return privateEntry(this.#parts, node);
  }

  async join(url: string, key: string): Promise<NodeEntry> {
    return nodeEntry(this.#parts, await this.#join(url, key));
  }

  async register(request: RegisterRequest): ReturnType<RegistrationPort['register']> {
    const { statement, nodeUrl = '', region = 'unspecified', contactEmail } = request;
    if (statement !== undefined) {
      const done = await this.#acceptance.accept({ ...request, statement });
      return { ...done, node: await nodeEntry(this.#parts, done.node) };
    }
    const node = await this.#approval.request(nodeUrl, region, contactEmail, request);
    return { node: await nodeEntry(this.#parts, node), created: node.status !== 'active' };
  }

  withdraw(statement: string): Promise<void> {
    return this.#acceptance.withdraw(statement);
  }

  async add(url: string, region: string, contactEmail?: string, key?: string | null): Promise<NodeEntry> {
    const node = await this.#approval.request(url, region, contactEmail);
    if ('peerId' in node) return nodeEntry(this.#parts, withoutKey(node, key));
    if (key === null) await this.#parts.sourceKeys.remove(node.id);
    else if (key !== undefined) await this.#parts.sourceKeys.set(node.id, key);
    const added = await this.#approveAdded(node);
    if ('peerId' in added) await this.#parts.sourceKeys.remove(node.id);
    return nodeEntry(this.#parts, 'peerId' in added ? withoutKey(added, key) : added);
  }

  async #approveAdded({ id }: HttpNode): Promise<RegisteredNode | HttpNode> {
    try {
      return await this.#approval.change(id, 'approve');
    } catch (error) {
      if (!(error instanceof AgrinetError)) throw error;
      const hint = `it stays pending; when it can be reached: agrinet nodes approve ${id}`;
      throw new AgrinetError(error.code, `${error.message}; ${hint}`, { cause: error });
    }
  }

  async change(id: string, action: NodeAction): Promise<PrivateNodeEntry> {
    const changed = await this.#approval.change(id, action);
    // A source that is no longer read needs no key here, nor does one that became an agrinetd.
    if (id.startsWith('legacy:') && (action === 'revoke' || 'peerId' in changed))
      await this.#parts.sourceKeys.remove(id);
    return privateEntry(this.#parts, changed);
  }
}

function withoutKey(node: RegisteredNode, key: string | null | undefined): RegisteredNode {
  if (typeof key !== 'string') return node;
  throw new AgrinetError(
    'fields-invalid',
    `${node.url} is an agrinetd, registered as ${node.peerId}; requests to it are signed, so it needs no key, and the key was not stored`,
  );
}
