import type { Audited } from '../audit/node-audit.ts';
import { createExchange, type Exchange } from '../federation/exchange.ts';
import type { Registration } from '../federation/registration.ts';
import { followOutcomes } from '../federation/sync-outcomes.ts';
import { Forget } from '../forget/forget.ts';
import type { Jobs } from '../jobs/create-jobs.ts';
import type { ReliabilityCounts } from '../market/reliability.ts';
import { definePart, type Face } from '../parts.ts';
import type { ReachWatch } from '../reach/reach-watch.ts';
import type { Scrub } from '../scrub/scrub.ts';
import type { Reader } from '../../storage/reader.ts';
import type { ReplicationStatus } from '../replication-status.ts';
import type { Node } from './running.ts';
import type { Search } from './search.ts';
import type { Sources } from './sources.ts';

type ExchangeNode = Pick<
  Node,
  | 'identity'
  | 'settings'
  | 'clock'
  | 'env'
  | 'db'
  | 'store'
  | 'ledger'
  | 'registry'
  | 'events'
  | 'rejoin'
  | 'mycelium'
  | 'offences'
  | 'alarms'
  | 'mayHold'
  | 'digestOf'
  | 'logger'
>;

export interface ExchangeComponents {
  readonly reader: Face<Reader>;
  readonly sources: Face<Sources>;
  readonly jobs: Face<Pick<Jobs, 'queue'>>;
  readonly registration: Face<Registration>;
  readonly reach: Face<ReachWatch>;
  readonly reliability: Face<ReliabilityCounts>;
  readonly scrub: Face<Scrub>;
  readonly replicationStatus: Pick<ReplicationStatus, 'totalDigest'>;
}

/** Export, import and pulls over HTTP. */
export function defineExchange(node: ExchangeNode, components: ExchangeComponents) {
  return definePart<Exchange>('exchange', () => {
    const { identity, settings, clock, env, db, store, registry, rejoin, mycelium, offences } = node;
    const { list, keys, table } = components.sources.face;
    const { jobs, registration, scrub, replicationStatus } = components;
    const exchange = createExchange({
      env,
      identity,
      net: settings.myceliumNetwork,
      db,
      reader: components.reader.face,
      feeds: store,
      ledger: node.ledger,
      registry,
      sources: list,
      isReached: (id) => components.reach.face.isReached(id),
      table,
      sourceKey: (id) => keys.get(id),
      mayHold: node.mayHold,
      offences,
      digestOf: node.digestOf,
      totalDigest: (covers) => replicationStatus.totalDigest(covers),
      scrubAuthor: (author) => scrub.face.author(author),
      addJob: (data, key) => jobs.face.queue.add('federation-sync', data, { key }),
      renewCertificate: (peer) => registration.face.renewCertificate(peer),
      onOutcome: onOutcome(node, components),
      onOwnHeld: (id) => {
        if (registry.isActive(id)) rejoin.answered(id);
      },
      syncNow: () => void mycelium.syncNow(),
      now: clock.now,
      steady: clock.steady,
    });
    return { face: exchange };
  });
}

function onOutcome(
  { offences, alarms, events, clock, logger }: ExchangeNode,
  { reliability, reach, registration }: ExchangeComponents,
): ReturnType<typeof followOutcomes> {
  return followOutcomes({
    reliability: reliability.face,
    reach: reach.face,
    offences,
    alarm: (alarm) => alarms.raise(alarm),
    events,
    registration: registration.face,
    onFailure: (id, failed) =>
      logger.warn({ node: id, err: failed }, 'the outcome of a sync could not be recorded'),
    now: clock.now,
  });
}

/** Drops what revoked nodes left. */
export function defineForget(
  node: Pick<
    Node,
    | 'identity'
    | 'outside'
    | 'settings'
    | 'clock'
    | 'db'
    | 'store'
    | 'ledger'
    | 'registry'
    | 'events'
    | 'logger'
  >,
  {
    sources,
    reader,
    search,
    audited,
  }: Pick<ExchangeComponents, 'sources' | 'reader'> & {
    readonly search: Face<Search>;
    readonly audited: Face<{ readonly audit: Pick<Audited['audit'], 'record'> }>;
  },
) {
  return definePart<Forget>('forget', async () => {
    const { identity, outside, settings, clock, db, store, ledger, registry, logger } = node;
    const { httpNodes, legacy, table } = sources.face;
    const { audit } = audited.face;
    const forget = new Forget({
      self: identity.peerId,
      net: settings.myceliumNetwork,
      db,
      store,
      reader: reader.face,
      ledger,
      registry,
      httpNodes,
      legacy,
      events: node.events,
      search: search.face.index,
      folderBytes: () => outside.folderBytes(db.folder),
      async onForgotten({ id, freedBytes, ...figures }) {
        await table.remove(id);
        audit.record({
          kind: 'operator',
          actor: 'operator',
          subject: id,
          note: 'forgotten',
          detail: figures,
        });
        logger.warn({ node: id, freedBytes, ...figures }, 'the data of a revoked node was forgotten');
      },
      log: (message, fields) => logger.error(fields, message),
      now: clock.now,
      cautious: clock.cautious,
    });
    return { face: forget, stop: () => forget.stop() };
  });
}
