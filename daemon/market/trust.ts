import type { TrendsPort } from '../../api/ports/trends.ts';
import type { TrustPort } from '../../api/ports/trust.ts';
import { nodeOf } from '../../protocols/market/party.ts';
import type { Ratings } from '../../protocols/market/ratings.ts';
import type { Registry } from '../../protocols/registry/registry.ts';
import { isOfOneRecord } from '../../protocols/unread.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { ReliabilityCounts } from './reliability.ts';

/** Scores as seen from this node and its active registrations. */
export function createTrust(
  self: PeerId,
  registry: Pick<Registry, 'list'>,
  ratings: Pick<Ratings, 'proof' | 'rated'>,
  reliability: Pick<ReliabilityCounts, 'of'>,
): TrustPort {
  const roots = (): PeerId[] =>
    [self, ...registry.list().flatMap(({ peerId, status }) => (status === 'active' ? [peerId] : []))].sort();
  return {
    roots,
    async score(subject) {
      const { score, counterparties } = await ratings.proof(subject, roots());
      return { subject, score, counterparties };
    },
    proof: (subject, others) => ratings.proof(subject, others ?? roots()),
    reliability: (id) => reliability.of(id),
    rated: () => ratings.rated(),
  };
}

/** Everybody whose score is known, for the trends; in points, and with the region of their node. */
export function producerScores(
  trust: Pick<TrustPort, 'rated' | 'proof'>,
  regionOf: (node: PeerId) => string,
): TrendsPort['scores'] {
  return async () => {
    const found: Awaited<ReturnType<TrendsPort['scores']>>[number][] = [];
    for (const { subject } of await trust.rated()) {
      const node = nodeOf(subject);
      // Of whom a rating cannot be read no score is known; what reads it has told of it.
      const proof = await trust.proof(subject).catch((error: unknown) => {
        if (!isOfOneRecord(error)) throw error;
      });
      if (proof === undefined || node === undefined) continue;
      const { score, scale, counterparties } = proof;
      if (score !== null)
        found.push({ subject, score: score / scale, counterparties, region: regionOf(node) });
    }
    return found;
  };
}
