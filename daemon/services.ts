import type { ApiContext } from '../api/context.ts';
import { createHttpNodes } from '../protocols/registry/http-nodes.ts';
import { createNonces } from '../protocols/registry/nonces.ts';
import { openIdempotencyTable } from '../storage/idempotency-table.ts';
import type { MirrorLimits } from '../storage/mirror/limits.ts';
import { openJobTable } from '../storage/job-table.ts';
import { LegacyTable } from '../storage/legacy-table.ts';
import { openNotificationTable } from '../storage/notification-table.ts';
import { Reader } from '../storage/reader.ts';
import { httpNodeStore, nonceStore } from '../storage/tables.ts';
import { openAccess } from './access/access.ts';
import { startAudit } from './audit/start-audit.ts';
import { conversationAccess } from './events/conversation-access.ts';
import { createDigestTrees } from './doctor/digest-trees.ts';
import { startDoctor } from './doctor/start-doctor.ts';
import { createWebhookHandler, startWebhooks } from './events/webhooks.ts';
import { createBackups } from './backup/backups.ts';
import { createExchange } from './federation/exchange.ts';
import { followOutcomes } from './federation/sync-outcomes.ts';
import { createFeedFiles } from './federation/feed-files.ts';
import { openForget } from './forget/forget.ts';
import { createQuotas } from './quotas.ts';
import { createRegistration } from './federation/registration.ts';
import { openSourceKeys } from './federation/source-keys.ts';
import type { TlsCertificate } from './federation/tls-certificate.ts';
import { createJobs } from './jobs/create-jobs.ts';
import type { JobRow } from './jobs/job-store.ts';
import { notificationHandler } from './jobs/notify-handlers.ts';
import { createNotifications } from './jobs/notifications.ts';
import { startSchedule } from './jobs/schedule.ts';
import { smsEnabled, smsHandler } from './jobs/sms.ts';
import { syncHandler } from './jobs/sync-handler.ts';
import { mirrorPort } from './mirror/mirror-port.ts';
import type { RunningMirror } from './mirror/start-mirror.ts';
import { startMarket } from './market/start-market.ts';
import { startMetrics } from './metrics/start-metrics.ts';
import type { Node } from './node.ts';
import { PartList } from './parts.ts';
import { isLoopbackHost } from './settings.ts';
import { rejoinLine } from './rejoin.ts';
import { startReachWatch } from './reach/reach-watch.ts';
import { createScrub } from './scrub/scrub.ts';
import { clockLine } from './clock-line.ts';
import { createStandings } from './standings.ts';
import { VERSION } from './version.ts';
import { createLeftOut } from './left-out.ts';

/** What a node offers over HTTP, and the jobs that keep it going. */
export interface Services {
  readonly context: ApiContext;
  /** The DynamoDB mirror; undefined when it is off. */
  readonly mirror: Pick<RunningMirror, 'snapshot'> | undefined;
  /** Before the server is closed: streams end, and no job begins. */
  close(): void;
  /** After the server was closed. */
  stop(): Promise<void>;
}

export interface ServiceOptions {
  readonly apiKey: string;
  /** Where the API listens; known once it does. */
  readonly url: () => string;
  readonly tls: Pick<TlsCertificate, 'fingerprint'>;
  /** Other times than the mirror's own; for tests. */
  readonly mirrorLimits?: Partial<MirrorLimits>;
}

/** Composes keys, registration, exchange, jobs and events on a running node. */
export async function createServices(node: Node, options: ServiceOptions): Promise<Services> {
  const parts = new PartList(node.env, node.logger);
  try {
    return await compose(node, options, parts);
  } catch (error) {
    await parts.stop();
    throw error;
  }
}

async function compose(node: Node, options: ServiceOptions, parts: PartList): Promise<Services> {
  const { apiKey, url, tls } = options;
  const {
    settings,
    identity,
    db,
    store,
    registry,
    mycelium,
    host,
    ledger,
    refusal,
    alarms,
    events,
    rejoin,
    logger,
  } = node;
  const self = identity.peerId;
  const { clock, env } = node;
  const { now } = clock;
  const leftOut = createLeftOut(
    (alarm) => alarms.raise(alarm),
    (message, fields) => logger.error(fields, message),
  );
  const reader = new Reader(db, leftOut);
  const standings = createStandings(node);
  const closing = new AbortController();
  const log = (message: string, fields: Record<string, unknown>): void => logger.info(fields, message);

  // -- who may do what
  const control = await openAccess({
    db,
    settings,
    apiKey,
    logger,
    refusal: () => refusal.get(),
    env,
    clock,
  });
  parts.started('keys', () => control.stop());
  node.hooks.reopened.on('access', () => control.reload());

  // -- jobs
  const notifications = createNotifications({
    table: openNotificationTable(db),
    env,
    emit: (type, data, audience) => events.emit(type, data, audience),
  });
  const jobs = await createJobs({
    settings,
    table: openJobTable<JobRow>(db),
    env,
    logger,
    tell: (job, what) => {
      if (job.state === 'dead')
        logger.warn({ job: job.id, key: job.key, error: job.error }, 'a job is dead: agrinet jobs');
      return notifications.tellSync(job, what);
    },
    knowsSource: (id) => exchange.port.sources().some((source) => source.id === id),
  });
  parts.started('jobs', () => jobs.queue.stop());

  // -- other nodes
  const sourceKeys = await openSourceKeys(settings.dataDir);
  const onDamaged = (key: string): void =>
    logger.error({ key }, 'a registration is damaged and not in force; register that node again');
  const httpNodes = await createHttpNodes(httpNodeStore(db, onDamaged), ({ id, status }) => {
    logger.info({ node: id, status }, 'registration');
    events.emit('federation.node', { node: id, status });
  });
  const legacy = new LegacyTable(db);

  // -- what is written down
  const { audit, access, keys, ...audited } = await startAudit(node, reader, control, parts);

  // -- the market
  const forRequests = {
    ...node,
    ledger: audited.ledger,
    hooks: { ...node.hooks, committed: audited.committed },
  };
  const market = await startMarket(forRequests, reader, parts, {
    standings,
    isKnown: (id) => registry.get(id) !== undefined || httpNodes.get(id) !== undefined,
  });
  const { contracts, conversations, fence, ratings, trust, trends, reliability } = market;

  const reach = startReachWatch({
    network: settings.myceliumNetwork,
    fetch: node.fetch,
    registry,
    httpNodes,
    connected: () => new Set(host.libp2p.getPeers().map(String)),
    log: (message, fields) =>
      message === 'peer lost' ? logger.warn(fields, message) : logger.info(fields, message),
    env,
  });
  parts.started('reach watch', () => reach.stop());

  const scrub = createScrub({
    db,
    store,
    merges: node.merges,
    alone: (work) => ledger.alone(work),
    onMended: node.hooks.repaired.emit,
    onWrong: ({ table }, mended) => alarms.raise({ kind: mended ? 'rows-mended' : 'entries-damaged', table }),
    log: (message, fields) => logger.error(fields, message),
    env,
  });
  scrub.start();
  parts.started('scrub', () => scrub.stop());

  const registration = createRegistration({
    env,
    identity,
    network: settings.myceliumNetwork,
    registry,
    httpNodes,
    nonces: await createNonces(nonceStore(db), clock.cautious),
    fetch: node.fetch,
    policy: node.policy,
    own: () => ({
      publicUrl: settings.publicUrl,
      listening: url(),
      region: settings.region,
      name:
        settings.myceliumNodeName ?? (settings.region === 'unspecified' ? self.slice(-8) : settings.region),
      multiaddrs: host.libp2p.getMultiaddrs().map(String),
      tlsFingerprint: tls.fingerprint(),
    }),
    contactEmail: settings.contactEmail,
    peerStanding: async (peer, sees) => {
      // What the public record tells of, and for the operator the trades of this node's users with that node.
      const trades = new Set(await market.ratedTrades(peer));
      if (sees === 'whole') for (const contract of contracts.agreedWith(peer)) trades.add(contract);
      const transactions = trades.size + (await contracts.openRequestsOf(peer));
      return { ...standings.peer(peer, sees), transactions };
    },
    syncStanding: (id) => exchange.table.get(id),
    reach,
    legacyCounts: async (id) => {
      const { listings = 0, transactions = 0, users = 0 } = await legacy.counts(id);
      return { listings, transactions, users };
    },
    revokeKeys: async (ids) => void (await keys.revokeAll(ids)),
    sourceKeys: {
      async set(id, key) {
        await sourceKeys.set(id, key);
        audit.record({
          kind: 'operator',
          actor: 'operator',
          subject: id,
          note: 'a key is kept for this source',
        });
      },
      async remove(id) {
        if (sourceKeys.get(id) === undefined) return;
        await sourceKeys.remove(id);
        audit.record({
          kind: 'operator',
          actor: 'operator',
          subject: id,
          note: 'the key for this source is gone',
        });
      },
    },
    alarm: (alarm) => alarms.raise(alarm),
    log,
    now,
  });
  const exchange = createExchange({
    env,
    identity,
    net: settings.myceliumNetwork,
    db,
    reader,
    feeds: store,
    ledger,
    registry,
    httpNodes: () => httpNodes.list(),
    sourceKey: (id) => sourceKeys.get(id),
    mayHold: (peer, channel) => node.mayHold(peer, channel),
    offences: node.offences,
    digestOf: (author, covers) => node.digestOf(author, covers),
    totalDigest: (covers) => standings.totalDigest(covers),
    scrubAuthor: (author) => scrub.author(author),
    addJob: (data, key) => jobs.queue.add('federation-sync', data, { key }),
    renewCertificate: (peer) => registration.renewCertificate(peer),
    onOutcome: followOutcomes({
      reliability,
      reach,
      offences: node.offences,
      alarm: (alarm) => alarms.raise(alarm),
      events,
      registration,
      onFailure: (id, failed) =>
        logger.warn({ node: id, err: failed }, 'the end of a sync could not be noted'),
      now,
    }),
    onOwnHeld: (id) => {
      if (registry.isActive(id)) rejoin.answered(id);
    },
    syncNow: () => void mycelium.syncNow(),
    now,
    steady: clock.steady,
  });

  const forget = await openForget({
    self,
    net: settings.myceliumNetwork,
    db,
    store,
    reader,
    ledger,
    registry,
    httpNodes,
    legacy,
    async onForgotten({ id, freedBytes, ...figures }) {
      await exchange.table.remove(id);
      audit.record({ kind: 'operator', actor: 'operator', subject: id, note: 'forgotten', detail: figures });
      logger.warn({ node: id, freedBytes, ...figures }, 'what a revoked node left was forgotten');
    },
    log: (message, fields) => logger.error(fields, message),
    now,
  });
  parts.started('forget', () => forget.stop());

  // -- the mirror
  // The SDK of AWS is large; who does not mirror does not load it.
  const start = node.outbox && (await import('./mirror/start-mirror.ts')).startNodeMirror;
  const mirror = start?.(node, { reader, contracts, conversations, ratings }, options.mirrorLimits);
  if (mirror !== undefined) parts.started('mirror', () => mirror.stop());

  // -- events to others
  const webhook = {
    urls: settings.federationWebhookUrls,
    secret: settings.federationWebhookSecret,
    node: self,
    env,
    warn: (message: string, fields: Record<string, unknown>) => logger.warn(fields, message),
  };
  const webhooks = startWebhooks(webhook, events, (name, data, { key }) =>
    jobs.queue.add(name, data, { key }),
  );
  parts.started('webhooks', () => webhooks.close());

  const sms = smsHandler(settings);
  await jobs.queue.start({
    'federation-sync': syncHandler({ target: exchange.target, env, fetch: node.fetch }),
    'key-expiry': async () => ({ removed: await control.keys.purgeExpired(clock.cautious()) }),
    notification: notificationHandler(notifications, jobs.queue, smsEnabled(settings)),
    webhook: createWebhookHandler(webhook),
    ...(sms === undefined ? {} : { sms }),
  });
  const schedule = startSchedule({
    env,
    syncMinutes: settings.syncIntervalMinutes,
    syncAll: () => exchange.port.syncAll(),
    expireKeys: () => jobs.queue.add('key-expiry', {}, { key: 'key-expiry' }),
    signAudit: () => audit.sign(),
    // Not with a date that cannot be: the next look is in an hour.
    publishTrends: async () => (clock.credible() ? trends.publisher.publishIfDue() : undefined),
    onFailure: (error) => logger.warn({ err: error }, 'a regular job was not queued'),
  });
  parts.started('schedule', () => schedule.stop());

  // -- how it does
  const metrics = startMetrics(node, {
    standings,
    reach,
    jobs,
    scrub,
    mirror: mirror && (() => mirror.snapshot()),
  });
  const trees = createDigestTrees({
    env,
    reader,
    stamp: (owner, collection) => store.digests.one('public', owner, collection)?.digest ?? '',
  });
  parts.started('digest trees', () => trees.stop());
  const doctor = startDoctor(
    node,
    {
      standings,
      registration: registration.port,
      jobs: jobs.port,
      reader,
      trees,
      mirror: mirror && (() => mirror.snapshot()),
      scrub,
    },
    parts,
  );

  const context: ApiContext = {
    env,
    self,
    version: VERSION,
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
        await rejoin.mayPromise();
        return keys.rotate(id, graceSeconds);
      },
    },
    idempotency: await openIdempotencyTable(db, clock.cautious),
    leftOut,
    catalogue: contracts.catalogue,
    contracts,
    conversations,
    erasure: market.erasures,
    reader,
    registration: registration.port,
    quotas: createQuotas({
      settings,
      registry,
      usage: store.usage,
      onSet({ id, quotaMb, own }) {
        const note = own ? `quota set to ${quotaMb} MiB` : 'quota as for everybody';
        audit.record({ kind: 'operator', actor: 'operator', subject: id, note });
        // What it had too much of may come now.
        void mycelium.syncNow();
      },
    }),
    exchange: exchange.port,
    jobs: jobs.port,
    notifications,
    audit,
    backups: createBackups({
      db,
      identity,
      network: settings.myceliumNetwork,
      env,
      onTaken: () => audit.record({ kind: 'operator', actor: 'node', note: 'a backup was taken' }),
    }),
    feedFiles: createFeedFiles({
      self,
      feeds: store,
      ledger,
      mayHold: (peer, channel) => node.mayHold(peer, channel),
    }),
    trends: trends.port,
    ratings,
    trust,
    fence,
    metrics,
    doctor,
    mirror: mirrorPort(mirror, env),
    events: {
      subscribe: (wish, push) => events.subscribe(wish, push),
      newest: () => events.newest(),
      sealPlace: (place) => events.sealPlace(place),
      openPlace: (text) => events.openPlace(text),
      relayToken: (conversation, token) => events.relay('token', { ...token }, { conversation }),
      mayHear: conversationAccess(conversations),
      closing: closing.signal,
    },
    trouble: () => {
      const refused = refusal.get();
      return refused && { code: refused.code, message: refused.message };
    },
    degraded: (sees) => {
      const { ok, detail } = jobs.port.health();
      return [
        ...clockLine(clock),
        ...(ok ? [] : [detail]),
        ...rejoinLine(rejoin.standing()),
        ...(mirror?.degraded(sees) ?? []),
      ];
    },
    alarms: (sees) => alarms.list(sees),
    clearAlarms() {
      const cleared = alarms.clear();
      if (cleared > 0) audit.record({ kind: 'operator', actor: 'operator', note: 'alarms cleared' });
      return cleared;
    },
    scrub,
    forget,
    rejoin: {
      standing: () => rejoin.standing(),
      force() {
        rejoin.force();
        audit.record({ kind: 'operator', actor: 'operator', note: 'rejoin forced' });
      },
    },
    isActive: (peer) => registry.isActive(peer),
    peers: () => standings.known(),
    digest: () => standings.digest(),
    digestBranch: (owner, collection, prefix) => trees.branch(owner, collection, prefix),
    log: (message, fields) => logger.error(fields, message),
  };
  return {
    context,
    mirror,
    close() {
      closing.abort();
      rejoin.stop(); // who waits for a first answer is told, and not cut off at the end of the drain
    },
    stop: () => parts.stop(),
  };
}
