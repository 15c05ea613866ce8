import { AgrinetError, errorCode } from '../../protocols/errors.ts';
import type { HttpNode, HttpNodes } from '../../protocols/registry/http-nodes.ts';
import { changedStatus, type NodeAction } from '../../protocols/registry/node-status.ts';
import type { Asked, RegisteredNode, Registry } from '../../protocols/registry/registry.ts';
import type { AddressPolicy } from '../../protocols/wire/address-policy.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Challenge } from './challenge.ts';
import { baseUrl, samePlace } from './node-url.ts';

export interface ApprovalParts {
  readonly registry: Registry;
  readonly httpNodes: HttpNodes;
  readonly challenge: Challenge;
  readonly policy: AddressPolicy;
  readonly ownUrl: () => string;
  /** Revokes keys with which nodes registered, and their rotations. */
  readonly revokeKeys: (ids: readonly string[]) => Promise<void>;
  readonly now: () => number;
  readonly log: (message: string, fields: Record<string, unknown>) => void;
  readonly alarm: (alarm: { readonly kind: 'foreign-certificate'; readonly node: string }) => void;
}

/** Decisions of the operator about nodes, and of a node key about certificates. */
export interface Approval {
  /**
   * Records a node that registers with a key alone; nobody is contacted. Throws `address-refused`, `node-suspended`,
   * `registry-full`.
   */
  request(
    url: string,
    region: string,
    contactEmail: string | undefined,
    asked?: Pick<Asked, 'by' | 'key'>,
  ): Promise<RegisteredNode | HttpNode>;
  change(id: string, action: NodeAction): Promise<RegisteredNode | HttpNode>;
  /** The fingerprint in force after the owner was asked. Throws `certificate-foreign`, or why it could not be asked. */
  renewCertificate(peer: PeerId): Promise<string>;
}

export function createApproval(parts: ApprovalParts): Approval {
  const { registry, httpNodes, challenge, now } = parts;

  /** An agrinetd at the URL becomes a registered node with its own key; anything else is read over HTTP only. */
  async function approve(node: HttpNode): Promise<RegisteredNode | HttpNode> {
    if (changedStatus(node.status, 'approve') === node.status) return node;
    try {
      const { peerId, nodeUrl, tlsFingerprint, identity } = await challenge(node.origin);
      const registered = await registry.register(
        { caller: peerId, nodeUrl, tlsFingerprint, ...identity },
        node.contactEmail,
        now(),
        { keys: node.keys },
      );
      await httpNodes.remove(node.id);
      return registered;
    } catch (error) {
      if (errorCode(error) !== 'identity-absent') throw error;
      return httpNodes.change(node.id, 'approve');
    }
  }

  return {
    async request(url, region, contactEmail, asked) {
      const origin = baseUrl(url, parts.policy);
      if (samePlace(origin, parts.ownUrl()))
        throw new AgrinetError('registration-self', 'a node cannot register with itself');
      const known = registry.list().find((each) => each.url !== '' && samePlace(each.url, origin));
      return known ?? httpNodes.request(origin, region, contactEmail, now(), asked);
    },
    async change(id, action) {
      const node = httpNodes.get(id);
      // First the keys: once a node is reported revoked, nobody can register with them any more.
      if (action === 'revoke') await parts.revokeKeys((node ?? registry.get(id))?.keys ?? []);
      if (node === undefined) return registry.change(id, action);
      return action === 'approve' ? approve(node) : httpNodes.change(id, action);
    },
    async renewCertificate(peer) {
      const node = registry.get(peer);
      if (node === undefined) throw new AgrinetError('node-unknown', `no node ${peer} is registered here`);
      try {
        const { tlsFingerprint } = await challenge(node.url, peer);
        if (tlsFingerprint !== node.tlsFingerprint) await registry.certificate(peer, tlsFingerprint);
        parts.log('a renewed TLS certificate was taken over', { node: peer, tlsFingerprint });
        return tlsFingerprint;
      } catch (error) {
        // A node that does not answer has not shown a foreign certificate: the sync is retried.
        if (UNANSWERED.has(errorCode(error))) throw error;
        parts.alarm({ kind: 'foreign-certificate', node: peer });
        throw new AgrinetError(
          'certificate-foreign',
          `${node.url} presents a TLS certificate that its node key has not signed; nothing is pulled from it`,
          { cause: error },
        );
      }
    },
  };
}

const UNANSWERED: ReadonlySet<string> = new Set([
  'peer-unreachable',
  'peer-timeout',
  'peer-refused',
  'address-refused',
  'storage-failed',
  'database-damaged',
  'internal',
]);
