import type { TrustPort } from '../../api/ports/trust.ts';
import type { ContractBook } from '../../protocols/market/contract-book/types.ts';
import type { Ratings } from '../../protocols/market/ratings.ts';
import { reliabilityTable } from '../../storage/node-tables.ts';
import type { Reader } from '../../storage/reader.ts';
import { lostAt } from '../../storage/rejoin-note.ts';
import type { Audited } from '../audit/node-audit.ts';
import { ReliabilityCounts } from '../market/reliability.ts';
import { heldTransactions } from '../market/transactions.ts';
import type { CellPublisher } from '../market/cell-publisher.ts';
import { createTrends, type Trends } from '../market/trends.ts';
import { createTrust, ratedProducers } from '../market/trust.ts';
import { definePart, type Face, type PartList } from '../parts.ts';
import type { ReplicationStatus } from '../replication-status.ts';
import { forRequests } from './requests.ts';
import type { Node } from './running.ts';
import type { Sources } from './sources.ts';

type ScoresNode = Pick<
  Node,
  | 'identity'
  | 'settings'
  | 'clock'
  | 'env'
  | 'hooks'
  | 'db'
  | 'registry'
  | 'rejoin'
  | 'alarms'
  | 'logger'
  | 'outside'
>;

export interface ScoresComponents {
  readonly reader: Face<Pick<Reader, 'get' | 'readable' | 'list'>>;
  readonly audited: Face<Pick<Audited, 'ledger' | 'committed'>>;
  readonly sources: Face<Pick<Sources, 'httpNodes'>>;
  readonly replicationStatus: Pick<ReplicationStatus, 'prices'>;
  readonly ratings: Face<Ratings>;
  readonly contracts: Face<ContractBook>;
}

/** Figures derived from trade and ratings: reliability of nodes, scores, trends. */
export function defineScores(parts: PartList, node: ScoresNode, components: ScoresComponents) {
  const { ratings } = components;
  const reliability = parts.add(defineReliability(node, components));
  const trust = parts.add(
    definePart<TrustPort>('trust', () => ({
      face: createTrust({
        self: node.identity.peerId,
        registry: node.registry,
        ratings: ratings.face,
        reliability: reliability.face,
        now: node.clock.now,
      }),
    })),
  );
  const trends = parts.add(defineTrends(node, components, trust));
  const cells = parts.add(defineCells(node, components));
  return { reliability, trust, trends, cells };
}

/** Only of nodes that are registered here in any way: strangers must not fill the table. */
function defineReliability(lower: ScoresNode, { audited, sources }: ScoresComponents) {
  return definePart<ReliabilityCounts>('reliability', async () => {
    const { env, hooks, db, registry, logger } = forRequests(lower, audited);
    const { httpNodes } = sources.face;
    const reliability = await ReliabilityCounts.open({
      table: reliabilityTable(db),
      isKnown: (id) => registry.get(id) !== undefined || httpNodes.get(id) !== undefined,
      env,
      onFailure: (error) => logger.warn({ err: error }, 'the reliability of peers was not saved'),
    });
    hooks.pulled.on('reliability', (event) => reliability.pulled(event));
    hooks.committed.on('reliability', ({ proofs }) => reliability.forked(proofs));
    return { face: reliability, stop: () => reliability.stop() };
  });
}

function defineTrends(
  node: ScoresNode,
  { audited, reader, replicationStatus, contracts, ratings }: ScoresComponents,
  trust: Face<TrustPort>,
) {
  const { identity, settings, clock, env, outside, logger } = node;
  const self = identity.peerId;
  return definePart<Trends>('trends', () => {
    const trends = createTrends({
      self,
      settings,
      ledger: audited.face.ledger,
      db: node.db,
      reader: reader.face,
      env,
      startPriceWorker: outside.startPriceWorker,
      prices: () => replicationStatus.prices(),
      producers: ratedProducers(trust.face, (peer) =>
        peer === self ? settings.region : (node.registry.get(peer)?.region ?? ''),
      ),
      transactions: () => heldTransactions(contracts.face, { self, region: settings.region }),
      rated: () => ratings.face.tradesOf(self),
      now: clock.now,
      alarm: (alarm) => node.alarms.raise(alarm),
      warn: (message, fields) => logger.warn(fields, message),
    });
    return { face: trends, stop: () => trends.stop() };
  });
}

function defineCells(node: ScoresNode, { audited, reader, contracts }: ScoresComponents) {
  return definePart<CellPublisher>('price cells', () => {
    const { identity, settings, clock, env, db, rejoin } = node;
    const self = identity.peerId;
    // Loaded when it is first used, which is once a day.
    const publisher = async (): Promise<CellPublisher> => {
      const [{ createCellPublisher }, { askingPrices, settledTrades }] = await Promise.all([
        import('../market/cell-publisher.ts'),
        import('../market/cell-quotes.ts'),
      ]);
      return createCellPublisher({
        self,
        region: settings.region,
        leastTrades: settings.priceSignalMinTrades,
        ledger: audited.face.ledger,
        reader: reader.face,
        quotes: {
          traded: (since) => settledTrades(contracts.face, self, since),
          asking: (since) => askingPrices(reader.face, self, since),
        },
        awaitFence: () => rejoin.awaitFence(),
        lostAt: () => lostAt(db, clock.cautious()),
        env,
        now: clock.cautious, // a week that is closed too early loses its last trades
      });
    };
    let made: Promise<CellPublisher> | undefined;
    return { face: { look: async () => (await (made ??= publisher())).look() } };
  });
}
