import type { TrendsPort } from '../../api/ports/trends.ts';
import type { TrustPort } from '../../api/ports/trust.ts';
import { nodeOf } from '../../protocols/market/party.ts';
import type { Ratings } from '../../protocols/market/ratings.ts';
import { percentKept, type ReputationView } from '../../protocols/market/reputation.ts';
import type { Registry } from '../../protocols/registry/registry.ts';
import { isOfOneRecord } from '../../protocols/unread.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { ReliabilityCounts } from './reliability.ts';

export interface TrustParts {
  readonly self: PeerId;
  readonly registry: Pick<Registry, 'list'>;
  readonly ratings: Pick<Ratings, 'proof' | 'rated'>;
  readonly reliability: Pick<ReliabilityCounts, 'of'>;
  readonly now: () => number;
}

/** Reputations as seen from this node and its active registrations. */
export function createTrust({ self, registry, ratings, reliability, now }: TrustParts): TrustPort {
  const roots = (): PeerId[] =>
    [self, ...registry.list().flatMap(({ peerId, status }) => (status === 'active' ? [peerId] : []))].sort();
  const proof: TrustPort['proof'] = (subject, view = {}) => {
    const own: ReputationView = { roots: roots(), adjudicators: [self], asOf: now() };
    return ratings.proof(subject, { ...own, ...view });
  };
  return {
    roots,
    proof,
    percentKept: async (subject) => percentKept(await proof(subject)),
    reliability: (id) => reliability.of(id),
    rated: () => ratings.rated(),
  };
}

/** Everybody who has been rated publicly, for the trends, with the region of their node. */
export function ratedProducers(
  trust: Pick<TrustPort, 'rated' | 'proof'>,
  regionOf: (node: PeerId) => string,
): TrendsPort['rated'] {
  return async () => {
    const found: Awaited<ReturnType<TrendsPort['rated']>>[number][] = [];
    for (const { subject } of await trust.rated()) {
      const node = nodeOf(subject);
      // Of whom a rating cannot be read nothing is known; what reads it has told of it.
      const proof = await trust.proof(subject).catch((error: unknown) => {
        if (!isOfOneRecord(error)) throw error;
      });
      if (proof === undefined || node === undefined) continue;
      const percent = percentKept(proof);
      const counterparties = Math.max(0, ...proof.roles.map(({ active }) => active.nodes));
      if (percent !== null) found.push({ subject, percent, counterparties, region: regionOf(node) });
    }
    return found;
  };
}
