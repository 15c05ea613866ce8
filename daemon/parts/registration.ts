import type { Visibility } from '../../api/ports/registration.ts';
import { createNonces } from '../../protocols/registry/nonces.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import { nonceStore } from '../../storage/tables.ts';
import type { Audited } from '../audit/node-audit.ts';
import type { OwnAddress } from '../federation/own-statement.ts';
import type { PeerStatus } from '../federation/node-entries.ts';
import { createRegistration, type Registration, type RegistrationParts } from '../federation/registration.ts';
import type { SourceKeys } from '../federation/source-keys.ts';
import type { TlsCertificate } from '../federation/tls-certificate.ts';
import type { Listening } from '../http.ts';
import { definePart, type Face } from '../parts.ts';
import type { ReachWatch } from '../reach/reach-watch.ts';
import type { ReplicationStatus } from '../replication-status.ts';
import type { Market } from './market.ts';
import type { Node } from './running.ts';
import type { Sources } from './sources.ts';

type RegistrationNode = Pick<
  Node,
  | 'identity'
  | 'settings'
  | 'clock'
  | 'env'
  | 'db'
  | 'registry'
  | 'host'
  | 'fetch'
  | 'policy'
  | 'alarms'
  | 'logger'
>;

export interface RegistrationComponents {
  readonly sources: Face<Sources>;
  readonly audited: Face<Pick<Audited, 'audit' | 'keys'>>;
  readonly market: Pick<Market, 'contracts' | 'ratings'>;
  readonly reach: Face<ReachWatch>;
  readonly replicationStatus: Pick<ReplicationStatus, 'peer'>;
  readonly listening: Listening;
  readonly tls: Face<Pick<TlsCertificate, 'fingerprint'>>;
}

/** Registration of this node with others, and of others here. */
export function defineRegistration(node: RegistrationNode, components: RegistrationComponents) {
  return definePart<Registration>('registration', async () => {
    const { identity, settings, clock, env, db, registry, fetch, policy, alarms, logger } = node;
    const { httpNodes, legacy, keys, table } = components.sources.face;
    const { audit, keys: apiKeys } = components.audited.face;
    const registration = createRegistration({
      identity,
      network: settings.myceliumNetwork,
      registry,
      httpNodes,
      nonces: await createNonces(nonceStore(db), clock.cautious),
      fetch,
      policy,
      own: () => ownAddress(node, components),
      contactEmail: settings.contactEmail,
      peerStatus: (peer, sees) => peerStatusOf(peer, sees, components),
      syncStatus: (id) => table.get(id),
      reach: components.reach.face,
      legacyCounts: async (id) => {
        const { listings = 0, transactions = 0, users = 0 } = await legacy.counts(id);
        return { listings, transactions, users };
      },
      revokeKeys: async (ids) => void (await apiKeys.revokeAll(ids)),
      sourceKeys: auditedSourceKeys(keys, audit),
      alarm: (alarm) => alarms.raise(alarm),
      log: (message, fields) => logger.info(fields, message),
      env,
      now: clock.now,
    });
    return { face: registration };
  });
}

/** The URL of this node, as announced to others. */
function ownAddress(
  { identity, settings, host }: RegistrationNode,
  { listening, tls }: RegistrationComponents,
): OwnAddress {
  const { publicUrl, region, myceliumNodeName } = settings;
  return {
    publicUrl,
    listening: listening.url,
    region,
    name: myceliumNodeName ?? (region === 'unspecified' ? identity.peerId.slice(-8) : region),
    multiaddrs: host.libp2p.getMultiaddrs().map(String),
    tlsFingerprint: tls.face.fingerprint(),
  };
}

/** Counts the public trades, and for the operator the trades of this node's users with that node. */
async function peerStatusOf(
  peer: PeerId,
  sees: Visibility,
  { replicationStatus, market }: RegistrationComponents,
): Promise<PeerStatus> {
  const [ratings, contracts] = [market.ratings.face, market.contracts.face];
  const trades = new Set(await ratings.tradesOf(peer));
  if (sees === 'whole') for (const contract of contracts.agreedWith(peer)) trades.add(contract);
  const transactions = trades.size + (await contracts.openRequestsOf(peer));
  return { ...replicationStatus.peer(peer, sees), transactions };
}

function auditedSourceKeys(
  keys: SourceKeys,
  audit: Pick<Audited['audit'], 'record'>,
): RegistrationParts['sourceKeys'] {
  const note = (subject: string, what: string): void =>
    audit.record({ kind: 'operator', actor: 'operator', subject, note: what });
  return {
    async set(id, key) {
      await keys.set(id, key);
      note(id, 'a key is kept for this source');
    },
    async remove(id) {
      if (keys.get(id) === undefined) return;
      await keys.remove(id);
      note(id, 'the key for this source is gone');
    },
  };
}
