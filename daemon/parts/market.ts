import { createConversations } from '../../protocols/market/conversations.ts';
import type { Conversations } from '../../protocols/market/conversation-types.ts';
import type { ContractBook } from '../../protocols/market/contract-book/types.ts';
import type { RatingsPort } from '../../api/ports/trust.ts';
import { errorCode } from '../../protocols/errors.ts';
import { createRatingAnnotation } from '../../protocols/market/rating-annotation.ts';
import type { Actor } from '../../protocols/market/contract-book/types.ts';
import { LBTAS } from '../../protocols/market/lbtas.ts';
import type { Rating } from '../../protocols/market/rating.ts';
import { RatingReasons } from '../../protocols/market/rating-reasons.ts';
import { createRatingSubmission } from '../../protocols/market/rating-submission.ts';
import { Ratings } from '../../protocols/market/ratings.ts';
import type { RecordKey } from '../../protocols/wire/ids.ts';
import { fenceTable } from '../../storage/node-tables.ts';
import type { Reader } from '../../storage/reader.ts';
import type { Audited } from '../audit/node-audit.ts';
import { Erasures } from '../erasure.ts';
import { type ContractsNode, startContracts } from '../market/contracts.ts';
import { openFence } from '../market/fence.ts';
import { fieldHistory } from '../market/field-history.ts';
import { definePart, type Face, type PartList } from '../parts.ts';
import type { Directory } from '../users/directory.ts';
import { forRequests } from './requests.ts';
import type { Node } from './running.ts';
import type { Search } from './search.ts';
import { defineScores, type ScoresComponents } from './scores.ts';

type MarketNode = Pick<
  Node,
  | 'identity'
  | 'settings'
  | 'clock'
  | 'env'
  | 'hooks'
  | 'db'
  | 'store'
  | 'registry'
  | 'alarms'
  | 'events'
  | 'logger'
  | 'outside'
> &
  ContractsNode;

export interface MarketComponents extends Pick<ScoresComponents, 'replicationStatus' | 'sources'> {
  readonly reader: Face<Reader>;
  readonly search: Face<Search>;
  readonly users: Face<Pick<Directory, 'isUser'>>;
  readonly audited: Face<Pick<Audited, 'ledger' | 'committed'>>;
}

/** The market's rules on a running node: ratings, contracts and stock, conversations, erasures, fence, scores and trends. */
export function defineMarket(parts: PartList, node: MarketNode, components: MarketComponents) {
  const ratings = parts.add(defineRatings(node, components));
  const contracts = parts.add(defineContracts(node, components, ratings));
  const submission = parts.add(defineSubmission(node, components, ratings, contracts));
  const conversations = parts.add(defineConversations(node, components));
  const erasures = parts.add(defineErasures(node, components));
  const fence = parts.add(
    definePart('fence', async () => {
      const { identity, settings, db, logger } = node;
      const warn = (message: string, fields: Record<string, unknown>): void => logger.warn(fields, message);
      const table = fenceTable(db);
      return { face: await openFence({ self: identity.peerId, geofence: settings.geofence, table, warn }) };
    }),
  );
  const scores = defineScores(parts, node, { ...components, ratings, contracts });
  return { ratings, contracts, submission, conversations, erasures, fence, ...scores };
}

/** Ratings by users of this node, and notes on ratings. */
type OwnRatings = Pick<RatingsPort, 'submit' | 'annotate' | 'reasonOf'>;

export type Market = ReturnType<typeof defineMarket>;

/** Reads ratings. */
function defineRatings(node: MarketNode, { reader, audited }: MarketComponents) {
  return definePart<Ratings>('ratings', () => {
    const { settings, env, hooks } = forRequests(node, audited);
    const ratings = new Ratings(settings.myceliumNetwork, reader.face, env);
    hooks.committed.on('ratings', ({ changes }) => ratings.note(changes));
    hooks.reopened.on('ratings', () => ratings.forget());
    return { face: ratings };
  });
}

function defineContracts(
  node: MarketNode,
  { reader, users, audited }: MarketComponents,
  ratings: Face<Pick<Ratings, 'current' | 'contractOf'>>,
) {
  return definePart<ContractBook>('contracts', () =>
    startContracts(forRequests(node, audited), reader.face, ratings.face, users.face),
  );
}

function defineSubmission(
  node: MarketNode,
  { audited, reader }: MarketComponents,
  ratings: Face<Ratings>,
  contracts: Face<Pick<ContractBook, 'get'>>,
) {
  return definePart<OwnRatings>('own ratings', () => {
    const { ledger } = audited.face;
    const { now } = node.clock;
    const self = node.identity.peerId;
    const reasons = new RatingReasons({ reader: reader.face, ledger, now });
    return {
      face: {
        ...createRatingSubmission({
          self,
          ledger,
          ratings: ratings.face,
          reasons,
          contract: (key) => contracts.face.get(key, { operator: true }),
          now,
        }),
        ...createRatingAnnotation({ self, ledger, ratings: ratings.face, now }),
        reasonOf,
      },
    };

    /** The reason of a -1. A caller who may not read a contract learns nothing of it. */
    async function reasonOf(
      { contract, from, score, problem }: Rating,
      actor: Actor,
    ): Promise<string | undefined> {
      if (score !== LBTAS.min || problem !== null) return undefined;
      const key = contract as RecordKey; // a statement of it was signed under that key
      try {
        await contracts.face.get(key, actor);
      } catch (error) {
        if (errorCode(error) === 'not-found') return undefined;
        throw error;
      }
      return reasons.of(key, from);
    }
  });
}

function defineConversations(lower: MarketNode, { reader, audited }: MarketComponents) {
  return definePart<Conversations>('conversations', () => {
    const { identity, clock, env, ledger, store, registry, hooks } = forRequests(lower, audited);
    const conversations = createConversations({
      self: identity.peerId,
      ledger,
      reader: reader.face,
      history: fieldHistory(store),
      isActive: (peer) => registry.isActive(peer),
      now: clock.now,
      bytes: env.bytes,
    });
    hooks.committed.on('conversations', ({ changes }) => conversations.note(changes));
    hooks.reopened.on('conversations', () => conversations.forget());
    return { face: conversations };
  });
}

function defineErasures(lower: MarketNode, { audited, search }: MarketComponents) {
  return definePart<Erasures>('erasures', () => {
    const { identity, clock, db, store, ledger, events, hooks, logger } = forRequests(lower, audited);
    const warn = (message: string, fields: Record<string, unknown>): void => logger.warn(fields, message);
    const erasures = new Erasures({
      identity,
      db,
      store,
      ledger,
      events,
      search: search.face.index,
      now: clock.now,
      cautious: clock.cautious,
      warn,
    });
    hooks.committed.on('erasures', ({ erased }) => erasures.committed(erased ?? []));
    // What a full disk kept from being cleared.
    hooks.recovered.on('erasures', () => erasures.cleared());
    void erasures.cleared();
    return { face: erasures, stop: () => erasures.stop() };
  });
}
