import type { TrendsPort } from '../../api/ports/trends.ts';
import type { TrustPort } from '../../api/ports/trust.ts';
import type { ContractBook } from '../../protocols/market/contract-book/types.ts';
import { createRatings, type RatingsService } from '../../protocols/market/ratings.ts';
import { nodeOf } from '../../protocols/market/party.ts';
import type { PeerId } from '../../protocols/wire/identity.ts';
import type { Reader } from '../../storage/reader.ts';
import { reliabilityTable } from '../../storage/node-tables.ts';
import type { Listens } from '../hooks.ts';
import type { Node } from '../node.ts';
import type { PartList } from '../parts.ts';
import { countReliability, type ReliabilityCounts } from './reliability.ts';
import { isOfOneRecord } from '../../protocols/unread.ts';

export interface Trust {
  readonly ratings: RatingsService;
  readonly trust: TrustPort;
  readonly reliability: ReliabilityCounts;
  /** Contracts of which a public rating says that users of this node have settled them. */
  readonly ratedTrades: (node: PeerId) => Promise<ReadonlySet<string>>;
}

/** What ratings and reliability use of the node. */
export type TrustNode = Pick<
  Node,
  'identity' | 'settings' | 'clock' | 'env' | 'db' | 'registry' | 'ledger' | 'logger'
> &
  Listens<'committed' | 'reopened' | 'pulled'>;

/** Ratings, the scores that come of them, and how nodes do as peers, on a running node. */
export async function startTrust(
  node: TrustNode,
  reader: Reader,
  contracts: Pick<ContractBook, 'get'>,
  parts: PartList,
  isKnown: (node: string) => boolean,
): Promise<Trust> {
  const { identity, settings, ledger, registry, db, logger } = node;
  const self = identity.peerId;
  const ratings = createRatings({
    self,
    net: settings.myceliumNetwork,
    ledger,
    reader,
    contract: (key) => contracts.get(key, { operator: true }),
    now: node.clock.now,
  });
  node.hooks.committed.on('ratings', ({ changes }) => ratings.note(changes));
  node.hooks.reopened.on('ratings', () => ratings.forget());

  const reliability = await countReliability({
    table: reliabilityTable(db),
    isKnown,
    env: node.env,
    onFailure: (error) => logger.warn({ err: error }, 'the reliability of peers was not saved'),
  });
  parts.started('reliability', () => reliability.stop());
  node.hooks.pulled.on('reliability', (event) => reliability.pulled(event));
  node.hooks.committed.on('reliability', ({ proofs }) => reliability.forked(proofs));

  const roots = (): PeerId[] =>
    [self, ...registry.list().flatMap(({ peerId, status }) => (status === 'active' ? [peerId] : []))].sort();
  const trust: TrustPort = {
    roots,
    async score(subject) {
      const { score, counterparties } = await ratings.proof(subject, roots());
      return { subject, score, counterparties };
    },
    proof: (subject, others) => ratings.proof(subject, others ?? roots()),
    reliability: (id) => reliability.of(id),
    rated: () => ratings.rated(),
  };
  return { ratings, trust, reliability, ratedTrades: (node) => ratings.tradesOf(node) };
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
