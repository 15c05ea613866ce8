import type { AddressInfo } from 'node:net';
import { serve, type ServerType } from '@hono/node-server';
import { createApp } from '../api/app.ts';
import type { ApiContext, NodeStanding } from '../api/context.ts';
import { AgrinetError } from '../protocols/errors.ts';
import { totalDigest } from '../protocols/digest/state-digest.ts';
import { frontierOf } from '../protocols/feed/frontier.ts';
import { createCatalogue } from '../protocols/market/catalogue.ts';
import { rangeItems } from '../protocols/mycelium/range.ts';
import { SCHEMA_VERSION } from '../protocols/open-dialog/schema.ts';
import type { PeerId } from '../protocols/wire/identity.ts';
import { Reader } from '../storage/reader.ts';
import { createJoining } from './joining.ts';
import type { Node } from './node.ts';
import { isLoopbackHost } from './settings.ts';

export interface HttpServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** Longer than the minute that proxies keep an idle connection: the one who closes first must not be us. */
const KEEP_ALIVE_MS = 65_000;
/** Requests under way may take this long after a stop was asked for. */
const DRAIN_MS = 2000;

/** The HTTP API of a node on its HOST and PORT. Throws `port-busy`. */
export async function startHttp(node: Node, apiKey: string): Promise<HttpServer> {
  const { settings, logger } = node;
  let url = '';
  const app = createApp(apiContext(node, apiKey, () => url));
  const server = await new Promise<ServerType>((resolve, reject) => {
    const listening = serve(
      {
        fetch: app.fetch,
        hostname: settings.host,
        port: settings.port,
        serverOptions: { requestTimeout: 0, keepAliveTimeout: KEEP_ALIVE_MS },
      },
      () => resolve(listening),
    );
    listening.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? new AgrinetError(
              'port-busy',
              `port ${settings.port} of ${settings.host} is in use; stop what listens there or set PORT`,
            )
          : error,
      ),
    );
  });
  const address = server.address() as AddressInfo;
  url = `http://${settings.host.includes(':') ? `[${settings.host}]` : settings.host}:${address.port}`;
  logger.info({ url }, 'listening');
  return {
    url,
    stop: () =>
      new Promise<void>((resolve) => {
        const late = setTimeout(
          () => 'closeAllConnections' in server && server.closeAllConnections(),
          DRAIN_MS,
        );
        server.close(() => {
          clearTimeout(late);
          resolve();
        });
        if ('closeIdleConnections' in server) server.closeIdleConnections();
      }),
  };
}

/** What the API sees of the node. */
export function apiContext(node: Node, apiKey: string, url: () => string): ApiContext {
  const { settings, identity, store, registry, mycelium, discovery, host, ledger, guard, alarms } = node;
  const self = identity.peerId;
  const catalogue = createCatalogue(ledger, self);
  const name =
    settings.myceliumNodeName ?? (settings.region === 'unspecified' ? self.slice(-8) : settings.region);
  const multiaddrs = (): string[] => host.libp2p.getMultiaddrs().map(String);
  const nodeUrl = (): string => settings.publicUrl ?? url();
  const joining = createJoining({
    identity,
    network: settings.myceliumNetwork,
    registry,
    allowPrivate: settings.allowPrivatePeers || isLoopbackHost(settings.host),
    self: () => ({
      nodeUrl: nodeUrl(),
      region: settings.region,
      name,
      multiaddrs: multiaddrs().slice(0, 16),
    }),
    contactEmail: settings.contactEmail,
    now: Date.now,
  });

  function lagOf(peer: string): number {
    let lag = 0;
    for (const { author, channel, items } of mycelium.frontiers().get(peer) ?? []) {
      const held = new Map(store.feeds(author, channel).map((feed) => [feed.epoch, feed.seq]));
      if (author !== self && registry.standing(author) !== 'followed') continue;
      for (const { epoch, seq } of items) lag += Math.max(0, seq - (held.get(epoch) ?? 0));
    }
    return lag;
  }

  function standings(): NodeStanding[] {
    const peers = new Map(discovery.snapshot().map((peer) => [peer.subject, peer]));
    const counts = store.digests.of('public');
    return registry.list().map((each) => ({
      ...each,
      connected:
        peers.get(each.peerId)?.connected ??
        host.libp2p.getPeers().some((peer) => peer.toString() === each.peerId),
      nextRetryAt: peers.get(each.peerId)?.nextRetryAt,
      lag: lagOf(each.peerId),
      listings: counts.get(each.peerId)?.get('listings')?.count ?? 0,
    }));
  }

  /** Everybody this node knows of: connected, discovered or registered. */
  function knownPeers(): ReturnType<ApiContext['peers']> {
    const connected = new Set(host.libp2p.getPeers().map(String));
    const waiting = new Map(
      discovery
        .snapshot()
        .flatMap((p) => (p.kind === 'bootstrap' ? [] : [[p.subject, p.nextRetryAt] as const])),
    );
    return [...new Set([...connected, ...waiting.keys()])].map((peerId) => {
      const nextRetryAt = waiting.get(peerId);
      const base = { peerId, registered: registry.isActive(peerId), connected: connected.has(peerId) };
      return nextRetryAt === undefined ? base : { ...base, nextRetryAt };
    });
  }

  function ownersDigest(): ReturnType<ApiContext['digest']> {
    const byOwner = store.digests.of('public');
    const owners = Object.create(null) as Record<string, ReturnType<ApiContext['digest']>['owners'][string]>;
    const authors = new Set<string>([
      ...byOwner.keys(),
      ...store.feedGroups().flatMap((g) => (g.channel === 'public' ? [g.author] : [])),
    ]);
    const totals = new Map<string, string>();
    for (const owner of [...authors].sort()) {
      const digest = node.digestOf(owner as PeerId);
      const collections = Object.fromEntries(
        [...(byOwner.get(owner) ?? [])].sort(([a], [b]) => (a < b ? -1 : 1)),
      );
      owners[owner] = { frontier: frontierOf(store.feeds(owner as PeerId, 'public')), digest, collections };
      if (byOwner.has(owner)) totals.set(owner, digest);
    }
    return { digest: totalDigest(totals), owners };
  }

  return {
    self,
    apiKey,
    publicReads: settings.publicReads,
    catalogue,
    reader: new Reader(node.db),
    identity: () => ({
      peerId: self,
      name,
      network: settings.myceliumNetwork,
      schemaVersion: SCHEMA_VERSION,
      multiaddrs: multiaddrs(),
      region: settings.region,
      nodeUrl: nodeUrl(),
    }),
    trouble: () => {
      const refusal = guard.refusal();
      return refusal && { code: refusal.code, message: refusal.message };
    },
    alarms: () => alarms.list(),
    nodes: standings,
    peers: knownPeers,
    digest: ownersDigest,
    feeds: () =>
      store.feedGroups().map(({ author, channel, feeds }) => ({ author, channel, items: frontierOf(feeds) })),
    async *feedRange(author, have) {
      for await (const item of rangeItems(store, { author, channel: 'public', have }))
        if (item.kind === 'entry') yield item.bytes;
    },
    join: (target, key) => joining.join(target, key),
    register: (statement, contactEmail) => joining.accept(statement, contactEmail),
    setStatus: (peerId, status) => registry.setStatus(peerId, status),
    sync: () => mycelium.syncNow(),
    log: (message, fields) => node.logger.error(fields, message),
  };
}
