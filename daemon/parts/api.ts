import type { ApiContext } from '../../api/context.ts';
import type { AttachmentsPort } from '../../api/ports/attachments.ts';
import type { SnapshotsPort } from '../../api/ports/checkpoints.ts';
import type { SmsPort } from '../../api/ports/sms.ts';
import { openIdempotencyTable } from '../../storage/idempotency-table.ts';
import type { AccessControl } from '../access/access.ts';
import type { Audited } from '../audit/node-audit.ts';
import { createBackups } from '../backup/backups.ts';
import { clockLine } from '../clock-line.ts';
import { conversationAccess } from '../events/conversation-access.ts';
import { createFeedFiles } from '../federation/feed-files.ts';
import { mirrorPort } from '../mirror/mirror-port.ts';
import { definePart, type Face } from '../parts.ts';
import { createQuotas } from '../quotas.ts';
import { rejoinLine } from '../rejoin.ts';
import { isLoopbackHost } from '../settings.ts';
import { VERSION } from '../version.ts';
import type { ReplicationStatus } from '../replication-status.ts';
import type { Exchange } from '../federation/exchange.ts';
import type { Notices } from '../notices/start-notices.ts';
import type { Registration } from '../federation/registration.ts';
import type { Forget } from '../forget/forget.ts';
import type { Jobs } from '../jobs/create-jobs.ts';
import type { Directory } from '../users/directory.ts';
import type { Notifications } from '../jobs/notifications.ts';
import type { RunningMirror } from '../mirror/start-mirror.ts';
import type { Scrub } from '../scrub/scrub.ts';
import type { Reader } from '../../storage/reader.ts';
import type { defineExamination } from './examination.ts';
import type { Market } from './market.ts';
import type { RunningCheckpoints } from './watch.ts';
import type { Node } from './running.ts';
import type { Search } from './search.ts';

type ApiNode = Pick<
  Node,
  | 'settings'
  | 'identity'
  | 'clock'
  | 'env'
  | 'db'
  | 'store'
  | 'ledger'
  | 'registry'
  | 'events'
  | 'rejoin'
  | 'mycelium'
  | 'alarms'
  | 'refusal'
  | 'mayHold'
  | 'logger'
>;

export interface ApiComponents {
  readonly leftOut: ApiContext['leftOut'];
  readonly reader: Face<Reader>;
  readonly search: Face<Search>;
  readonly audited: Face<Audited>;
  readonly keys: Face<Pick<AccessControl, 'sessions'>>;
  readonly users: Face<Directory>;
  readonly notices: Face<Pick<Notices, 'languages'>>;
  readonly wants: Face<ApiContext['wants']>;
  readonly notifications: Face<Notifications>;
  readonly incoming: Face<SmsPort>;
  readonly attachments: Face<AttachmentsPort>;
  readonly snapshots: Face<SnapshotsPort>;
  readonly jobs: Face<Jobs>;
  readonly market: Market;
  readonly checkpoints: Face<RunningCheckpoints>;
  readonly scrub: Face<Scrub>;
  readonly registration: Face<Registration>;
  readonly exchange: Face<Exchange>;
  readonly forget: Face<Forget>;
  readonly mirror: Face<RunningMirror | undefined>;
  readonly examination: ReturnType<typeof defineExamination>;
  readonly replicationStatus: ReplicationStatus;
  /** Aborted when long requests have to end. */
  readonly closing: AbortSignal;
}

/** All that the routes of the HTTP API use. */
export function defineApi(node: ApiNode, components: ApiComponents) {
  return definePart<ApiContext>('API', async () => {
    const { identity, clock, env, db, logger } = node;
    return {
      face: {
        env,
        self: identity.peerId,
        version: VERSION,
        ...callerPorts(node, components),
        idempotency: await openIdempotencyTable(db, clock.cautious),
        ...marketPorts(components),
        ...federationPorts(node, components),
        ...operatorPorts(node, components),
        events: eventsPort(node, components),
        ...statusPorts(node, components),
        log: (message, fields) => logger.error(fields, message),
      },
    };
  });
}

/** Access control and rate limits. */
function callerPorts(
  { settings, rejoin }: ApiNode,
  { audited, keys: { face: control } }: ApiComponents,
): Pick<ApiContext, 'limits' | 'access' | 'keys' | 'sessions'> {
  const { access, keys } = audited.face;
  return {
    sessions: () => control.sessions(),
    limits: {
      loopback: isLoopbackHost(settings.host),
      publicUrl: settings.publicUrl,
      corsOrigins: settings.corsOrigins,
      perSecond: settings.rateLimit,
      trustProxy: settings.trustProxy,
    },
    access,
    keys: {
      ...keys,
      async rotate(id, graceSeconds) {
        await rejoin.awaitFence();
        return keys.rotate(id, graceSeconds);
      },
    },
  };
}

type MarketPorts =
  | 'leftOut'
  | 'reader'
  | 'search'
  | 'catalogue'
  | 'contracts'
  | 'conversations'
  | 'erasure'
  | 'trends'
  | 'ratings'
  | 'trust'
  | 'fence'
  | 'users'
  | 'wants'
  | 'notifications'
  | 'sms'
  | 'attachments';

function marketPorts({
  leftOut,
  reader,
  search,
  users,
  wants,
  notices,
  notifications,
  incoming,
  attachments,
  market,
}: ApiComponents): Pick<ApiContext, MarketPorts> {
  const contracts = market.contracts.face;
  const [ratings, submission] = [market.ratings.face, market.submission.face];
  return {
    leftOut,
    reader: reader.face,
    search: search.face.searches,
    catalogue: contracts.catalogue,
    contracts,
    conversations: market.conversations.face,
    erasure: market.erasures.face,
    trends: market.trends.face.port,
    ratings: {
      ...submission,
      list: (...query) => ratings.list(...query),
      current: (...of) => ratings.current(...of),
      get: (key) => ratings.get(key),
      by: (subject) => ratings.by(subject),
      notesOf: (rating) => ratings.notesOf(rating),
    },
    trust: market.trust.face,
    fence: market.fence.face,
    users: users.face,
    wants: wants.face,
    notifications: { ...notifications.face, languages: () => notices.face.languages },
    sms: incoming.face,
    attachments: attachments.face,
  };
}

type FederationPorts =
  | 'snapshots'
  | 'registration'
  | 'quotas'
  | 'exchange'
  | 'feedFiles'
  | 'isActive'
  | 'peers'
  | 'digest';

function federationPorts(
  { identity, settings, store, ledger, registry, mycelium, mayHold }: ApiNode,
  { audited, registration, exchange, snapshots, replicationStatus }: ApiComponents,
): Pick<ApiContext, FederationPorts> {
  const { audit } = audited.face;
  return {
    registration: registration.face.port,
    quotas: createQuotas({
      settings,
      registry,
      usage: store.usage,
      onSet({ id, quotaMb, own }) {
        const note = own ? `quota set to ${quotaMb} MiB` : 'quota as for everybody';
        audit.record({ kind: 'operator', actor: 'operator', subject: id, note });
        // The author's deferred entries may be fetched now.
        void mycelium.syncNow();
      },
    }),
    exchange: exchange.face.port,
    snapshots: snapshots.face,
    feedFiles: createFeedFiles({ self: identity.peerId, feeds: store, ledger, mayHold }),
    isActive: (peer) => registry.isActive(peer),
    peers: () => replicationStatus.known(),
    digest: () => replicationStatus.digest(),
  };
}

type OperatorPorts =
  | 'jobs'
  | 'audit'
  | 'backups'
  | 'checkpoints'
  | 'scrub'
  | 'forget'
  | 'rejoin'
  | 'mirror'
  | 'clearAlarms';

function operatorPorts(
  { identity, settings, env, db, rejoin, alarms }: ApiNode,
  { audited, jobs, checkpoints, scrub, forget, mirror }: ApiComponents,
): Pick<ApiContext, OperatorPorts> {
  const { audit } = audited.face;
  return {
    jobs: jobs.face.port,
    audit,
    backups: createBackups({
      db,
      identity,
      network: settings.myceliumNetwork,
      env,
      onTaken: () => audit.record({ kind: 'operator', actor: 'node', note: 'a backup was taken' }),
    }),
    checkpoints: checkpoints.face,
    scrub: scrub.face,
    forget: forget.face,
    rejoin: {
      status: () => rejoin.status(),
      force() {
        rejoin.force();
        audit.record({ kind: 'operator', actor: 'operator', note: 'rejoin forced' });
      },
    },
    mirror: mirrorPort(mirror.face, env),
    clearAlarms() {
      const cleared = alarms.clear();
      if (cleared > 0) audit.record({ kind: 'operator', actor: 'operator', note: 'alarms cleared' });
      return cleared;
    },
  };
}

function eventsPort(
  { events }: ApiNode,
  { market, closing }: Pick<ApiComponents, 'market' | 'closing'>,
): ApiContext['events'] {
  return {
    subscribe: (wish, push) => events.subscribe(wish, push),
    newest: () => events.newest(),
    encryptPlace: (place) => events.encryptPlace(place),
    decryptPlace: (text) => events.decryptPlace(text),
    relayToken: (conversation, token) => events.relay('token', { ...token }, { conversation }),
    mayHear: conversationAccess(market.conversations.face),
    closing,
  };
}

type StatusPorts = 'metrics' | 'doctor' | 'trouble' | 'degraded' | 'alarms' | 'digestBranch';

/** How the node does. */
function statusPorts(
  { clock, rejoin, alarms, refusal }: ApiNode,
  { jobs, mirror, examination: { metrics, doctor, trees } }: ApiComponents,
): Pick<ApiContext, StatusPorts> {
  return {
    metrics: metrics.face,
    doctor: doctor.face,
    trouble: () => {
      const refused = refusal.get();
      return refused && { code: refused.code, message: refused.message };
    },
    degraded: (sees) => {
      const { ok, detail } = jobs.face.port.health();
      return [
        ...clockLine(clock),
        ...(ok ? [] : [detail]),
        ...rejoinLine(rejoin.status()),
        ...(mirror.face?.degraded(sees) ?? []),
      ];
    },
    alarms: (sees) => alarms.list(sees),
    digestBranch: (owner, collection, prefix) => trees.face.branch(owner, collection, prefix),
  };
}
