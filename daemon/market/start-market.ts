import type { RatingsService } from '../../protocols/market/ratings.ts';
import { createConversations } from '../../protocols/market/conversations.ts';
import { fenceTable } from '../../storage/node-tables.ts';
import type { Reader } from '../../storage/reader.ts';
import { createErasures } from '../erasure.ts';
import type { PartList } from '../parts.ts';
import type { Standings } from '../standings.ts';
import { type ContractsNode, startContracts } from './contracts.ts';
import { openFence } from './fence.ts';
import { fieldHistory } from './field-history.ts';
import { heldTransactions } from './transactions.ts';
import { createTrends } from './trends.ts';
import { producerScores, startTrust, type TrustNode } from './trust.ts';

/** The market's rules on a running node: contracts and stock, conversations, ratings and trust, fence, trends, erasures. */
export async function startMarket(
  node: ContractsNode & TrustNode,
  reader: Reader,
  parts: PartList,
  options: {
    readonly standings: Pick<Standings, 'priceDigest'>;
    /** Whether a node, by its id, is registered here in any way. */
    readonly isKnown: (id: string) => boolean;
  },
) {
  const { settings, identity, db, store, registry, ledger, events, logger } = node;
  const self = identity.peerId;
  const { now } = node.clock;
  const warn = (message: string, fields: Record<string, unknown>): void => logger.warn(fields, message);

  let rated: Pick<RatingsService, 'standing' | 'contractOf'> | undefined;
  const contracts = startContracts(node, reader, parts, {
    async ratedAt({ state, contract: { parties } }) {
      const [one, other] = parties;
      const given = await Promise.all([
        rated?.standing(state.key, one, other),
        rated?.standing(state.key, other, one),
      ]);
      return Math.max(0, ...given.map((rating) => rating?.ratedAt ?? 0));
    },
    ratedContract: (rating) => rated?.contractOf(rating),
  });
  const conversations = createConversations({
    self,
    ledger,
    reader,
    history: fieldHistory(store),
    isActive: (peer) => registry.isActive(peer),
    now,
    bytes: node.env.bytes,
  });
  node.hooks.committed.on('conversations', ({ changes }) => conversations.noted(changes));
  node.hooks.reopened.on('conversations', () => conversations.forget());

  const erasures = createErasures({ identity, db, store, ledger, events, now, warn });
  node.hooks.committed.on('erasures', ({ erased }) => erasures.committed(erased ?? []));
  void erasures.settled();
  parts.started('erasures', () => erasures.settled());

  const fence = await openFence({ self, geofence: settings.geofence, table: fenceTable(db), warn });
  const { ratings, trust, reliability, ratedTrades } = await startTrust(
    node,
    reader,
    contracts,
    parts,
    options.isKnown,
  );
  rated = ratings;
  const trends = createTrends({
    self,
    settings,
    ledger,
    reader,
    priceDigest: () => options.standings.priceDigest(),
    scores: producerScores(trust, (peer) =>
      peer === self ? settings.region : (registry.get(peer)?.region ?? ''),
    ),
    transactions: () => heldTransactions(contracts, { self, region: settings.region }),
    rated: () => ratedTrades(self),
    now,
  });
  return { contracts, conversations, erasures, fence, ratings, trust, reliability, ratedTrades, trends };
}
