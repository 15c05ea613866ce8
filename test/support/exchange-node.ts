import { once } from 'node:events';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { randomBytes } from 'node:crypto';
import { getRequestListener } from '@hono/node-server';
import type { Principal, Scope } from '../../api/access.ts';
import { errorAnswer } from '../../api/errors.ts';
import type { SyncOutcome } from '../../api/ports/sync-target.ts';
import { router } from '../../api/route.ts';
import { digestRoutes } from '../../api/routes/digest.ts';
import { exportRoutes } from '../../api/routes/export.ts';
import { feedRoutes } from '../../api/routes/feeds.ts';
import { pullRoutes } from '../../api/routes/pull.ts';
import { syncWorkerRoutes } from '../../api/routes/sync-worker.ts';
import { DigestTrees } from '../../daemon/doctor/digest-trees.ts';
import { systemEnv } from '../../daemon/system-env.ts';
import { createExchange, type Exchange } from '../../daemon/federation/exchange.ts';
import { createGuardedFetch } from '../../daemon/federation/guarded-fetch.ts';
import { syncSources } from '../../daemon/federation/sources.ts';
import { syncSource } from '../../daemon/federation/sync.ts';
import type { Reporter } from '../../daemon/federation/sync-outcomes.ts';
import type { SyncTarget } from '../../api/ports/sync-target.ts';
import { createParticipants } from '../../daemon/participants.ts';
import { OWN_COVERAGE } from '../../protocols/digest/coverage.ts';
import { Offences } from '../../protocols/mycelium/offences.ts';
import type { RegisteredNode } from '../../protocols/registry/registry.ts';
import { identityFromSeed, type Identity, type PeerId } from '../../protocols/wire/identity.ts';
import { Reader } from '../../storage/reader.ts';
import { sourceTable, type SourceTable } from '../../storage/source-table.ts';
import type { Certificate } from './certificates.ts';
import { type LedgerNode, openLedgerNode } from './ledger-node.ts';
import { tempDir } from './temp-dir.ts';
import { threadedMerger } from './merger.ts';

/** A node without libp2p: the real store, ledger and exchange, and its routes on a socket. So whatever it gets, it gets over HTTP. */
export interface ExchangeNode {
  readonly identity: Identity;
  readonly ledgerNode: LedgerNode;
  readonly exchange: Exchange;
  /** How far it has come with each source. */
  readonly table: SourceTable;
  readonly url: string;
  readonly outcomes: { id: string; outcome: SyncOutcome; reporter: Reporter }[];
  /** Sources that owe nothing of this node's own feeds, after each sync that showed so. */
  readonly ownHeld: string[];
  readonly jobs: { source: string; force: boolean }[];
  readonly httpNodes: { id: `legacy:${string}`; origin: string; status: 'active' }[];
  /** What was asked for. */
  /** What sources are asked with, by id. */
  readonly sourceKeys: Map<string, string>;
  readonly served: { path: string; status: number }[];
  /** Bytes written to all connections so far: heads of answers and TLS included. */
  sent(): number;
  /** Connections taken so far. */
  connections(): number;
  /** Resolves when no connection is open; rejects after a second, which is shorter than either side keeps an idle one. */
  allClosed(): Promise<void>;
  now: number | undefined;
  /** Scopes of every caller that names none. */
  trustEveryone: Scope[];
  /** A request to the routes without the socket. */
  request(path: string, headers: Record<string, string>): Promise<Response>;
  renewCertificate: (peer: PeerId) => Promise<string>;
  befriend(other: Pick<ExchangeNode, 'identity' | 'url'>, tlsFingerprint?: string): void;
  /** Serves another certificate from now on. */
  present(certificate: Certificate): void;
  /** What the node knows of who takes part where, read again. */
  refreshParticipants(): Promise<void>;
  sync(source: string, options?: { force?: boolean; target?: SyncTarget }): Promise<SyncOutcome>;
  digest(): string;
  fetch(
    path: string,
    init?: { method?: string; headers?: Record<string, string>; body?: string; scopes?: Scope[] },
  ): Promise<Response>;
  stop(): Promise<void>;
}

export async function startExchangeNode(certificate?: Certificate): Promise<ExchangeNode> {
  const dir = tempDir('exchange');
  const identity = identityFromSeed(new Uint8Array(randomBytes(32)));
  const merger = threadedMerger();
  const ledgerNode = await openLedgerNode(dir.path, identity, merger);
  const { db, store, ledger, self } = ledgerNode;
  const participants = createParticipants(self);
  const registered: RegisteredNode[] = [];
  const outcomes: ExchangeNode['outcomes'] = [];
  const ownHeld: string[] = [];
  const jobs: ExchangeNode['jobs'] = [];
  const httpNodes: ExchangeNode['httpNodes'] = [];
  const sourceKeys: ExchangeNode['sourceKeys'] = new Map();
  const served: ExchangeNode['served'] = [];
  const reader = new Reader(db);
  const trees = new DigestTrees({
    env: systemEnv,
    reader,
    stamp: (owner, collection) => store.digests.one('public', owner, collection)?.digest ?? '',
  });
  const digest = (): string => store.digests.total();
  const table = sourceTable(db);
  const exchange = createExchange({
    env: systemEnv,
    identity,
    net: 'test',
    db,
    reader,
    feeds: store,
    ledger,
    registry: {
      isActive: (peer) => registered.some(({ peerId, status }) => peerId === peer && status === 'active'),
      followState: (author) => (registered.some(({ peerId }) => peerId === author) ? 'followed' : 'no'),
    },
    sources: () => syncSources(registered, httpNodes),
    table,
    sourceKey: (id) => sourceKeys.get(id),
    mayHold: (peer, channel) => participants.mayHold(peer, channel),
    offences: new Offences(),
    digestOf: (author, covers) => store.digests.ownerDigest(author, covers),
    totalDigest: (covers) => store.digests.total(covers),
    scrubAuthor: () => Promise.resolve(),
    isReached: () => true,
    addJob: async (data, key) => {
      jobs.push(data);
      return { id: `job-of-${key}`, state: 'waiting' };
    },
    renewCertificate: (peer) => node.renewCertificate(peer),
    onOutcome: (id, outcome, reporter) => outcomes.push({ id, outcome, reporter }),
    onOwnHeld: (id) => ownHeld.push(id),
    syncNow: () => undefined,
    now: () => node.now ?? Date.now(),
  });

  const context = {
    env: systemEnv,
    self,
    exchange: exchange.port,
    reader,
    digest: () => ({ digest: digest(), covers: OWN_COVERAGE, owners: {} }),
    peers: () => [],
    digestBranch: (owner: PeerId, collection: string, prefix: string) =>
      trees.branch(owner, collection, prefix),
    fence: { reason: () => undefined },
    trust: {
      roots: () => [self],
      rated: () => Promise.resolve([]),
      kept: () => Promise.resolve({ contracts: 0, kept: 0, counterparties: 0 }),
    },
    limits: {},
    log: () => undefined,
    leftOut: () => undefined,
  };
  const app = router();
  app.onError((error, c) => {
    const { status, body } = errorAnswer(error);
    return c.json(body, status);
  });
  app.use(async (c, next) => {
    const scopes = (c.req.header('x-test-scopes')?.split(' ') as Scope[] | undefined) ?? node.trustEveryone;
    const principal: Principal = { id: scopes.length === 1 ? 'anonymous' : 'key', scopes: new Set(scopes) };
    c.set('principal', principal);
    await next();
    const { pathname, search } = new URL(c.req.url);
    served.push({ path: pathname + search, status: c.res.status });
  });
  app.route('/federation', exportRoutes(context));
  app.route('/federation', feedRoutes(context));
  app.route('/federation', pullRoutes(context));
  app.route('/federation', syncWorkerRoutes(context));
  app.route('/federation', digestRoutes(context));
  const listener = getRequestListener(app.fetch);
  const tls =
    certificate === undefined
      ? undefined
      : createTlsServer({ cert: certificate.cert, key: certificate.key }, (i, o) => void listener(i, o));
  const server = tls ?? createServer((i, o) => void listener(i, o));
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const url = `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${port}`;
  const guarded = createGuardedFetch({ env: systemEnv, allowPrivate: true });

  const node: ExchangeNode = {
    identity,
    ledgerNode,
    exchange,
    url,
    outcomes,
    ownHeld,
    jobs,
    httpNodes,
    table,
    sourceKeys,
    served,
    sent: () => [...sockets].reduce((sum, { bytesWritten }) => sum + bytesWritten, 0),
    connections: () => sockets.size,
    async allClosed() {
      const signal = AbortSignal.timeout(1000);
      const left = [...sockets].filter(({ closed }) => !closed);
      await Promise.all(left.map((socket) => once(socket, 'close', { signal })));
    },
    now: undefined,
    trustEveryone: ['read'],
    request: async (path, headers) => app.request(path, { headers }),
    renewCertificate: async () => {
      throw new Error('not expected in this test');
    },
    befriend(other, tlsFingerprint = '') {
      registered.push({
        peerId: other.identity.peerId,
        url: other.url,
        region: '',
        name: '',
        multiaddrs: [],
        status: 'active',
        schemaVersion: 1,
        registeredAt: 0,
        lastSyncAt: 0,
        tlsFingerprint,
      });
    },
    present: (next) => tls?.setSecureContext({ cert: next.cert, key: next.key }),
    refreshParticipants: () => participants.load(store),
    sync: (source, { force = false, target = exchange.target } = {}) =>
      syncSource(
        { target, env: systemEnv, fetch: guarded },
        { source, force },
        { signal: new AbortController().signal, progress: async () => undefined },
      ),
    digest,
    fetch: (path, { scopes = ['read'], headers = {}, method = 'GET', body } = {}) =>
      fetch(`${url}${path}`, {
        method,
        headers: { 'x-test-scopes': scopes.join(' '), ...headers },
        ...(body === undefined ? {} : { body }),
      }),
    async stop() {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
      await ledgerNode.close();
      await merger.stop();
      dir.remove();
    },
  };
  return node;
}
