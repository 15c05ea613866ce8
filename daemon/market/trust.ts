import type { TrendsPort } from '../../api/ports/trends.ts';
import type { TrustPort } from '../../api/ports/trust.ts';
import { nodeOf } from '../../protocols/market/party.ts';
import type { Ratings } from '../../protocols/market/ratings.ts';
import { percentKept } from '../../protocols/market/reputation.ts';
import type { Registry } from '../../protocols/registry/registry.ts';
import { isOfOneRecord } from '../../protocols/unread.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { ReliabilityCounts } from './reliability.ts';

export interface TrustParts {
  readonly self: PeerId;
  readonly registry: Pick<Registry, 'actives'>;
  readonly ratings: Pick<Ratings, 'proof' | 'keptContracts' | 'rated'>;
  readonly reliability: Pick<ReliabilityCounts, 'of'>;
  readonly now: () => number;
}

/** Reputations as seen from this node and its active registrations. */
export function createTrust({ self, registry, ratings, reliability, now }: TrustParts): TrustPort {
  let seen: { readonly actives: readonly PeerId[]; readonly jury: OwnJury } | undefined;
  /** The same object as long as the same nodes are active, so that results for it stay cached. */
  function jury(): OwnJury {
    const actives = registry.actives();
    if (seen?.actives !== actives)
      seen = { actives, jury: { roots: [self, ...actives].sort(), adjudicators: [self] } };
    return seen.jury;
  }
  return {
    roots: () => jury().roots,
    proof: (subject, view = {}) => ratings.proof(subject, { ...jury(), asOf: now(), ...view }),
    kept: (subject) => ratings.keptContracts(subject, jury()),
    reliability: (id) => reliability.of(id),
    rated: () => ratings.rated(),
  };
}

interface OwnJury {
  readonly roots: readonly PeerId[];
  readonly adjudicators: readonly PeerId[];
}

/** Everybody who has been rated publicly, for the trends, with the region of their node. */
export function ratedProducers(
  trust: Pick<TrustPort, 'rated' | 'kept'>,
  regionOf: (node: PeerId) => string,
): TrendsPort['rated'] {
  return async () => {
    const found: Awaited<ReturnType<TrendsPort['rated']>>[number][] = [];
    for (const { subject } of await trust.rated()) {
      const node = nodeOf(subject);
      // Nothing is known of a party whose ratings cannot be read; their reader has reported it.
      const kept = await trust.kept(subject).catch((error: unknown) => {
        if (!isOfOneRecord(error)) throw error;
      });
      if (kept === undefined || node === undefined) continue;
      const percent = percentKept(kept);
      const { counterparties } = kept;
      if (percent !== null) found.push({ subject, percent, counterparties, region: regionOf(node) });
    }
    return found;
  };
}
