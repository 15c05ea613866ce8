import type { AddressBook } from '../../protocols/discovery/address-book.ts';
import type { DialRule } from '../../protocols/discovery/dial-rule.ts';
import { Discovery } from '../../protocols/discovery/discovery.ts';
import type { Registry } from '../../protocols/registry/registry.ts';
import type { GuardedFetch } from '../federation/guarded-fetch.ts';
import type { Host } from '../libp2p-host.ts';
import { definePart, type Face } from '../parts.ts';
import { startPeerUrls } from '../peer-urls.ts';
import { isLoopbackHost } from '../settings.ts';
import type { Base } from './base.ts';
import { activePeers } from './registry.ts';

/** An entry signed within this time shows that its author is online, whoever delivered it. */
const HEARD_MS = 5 * 60_000;

/** Finds peers, and keeps those that are registered connected. */
export function defineDiscovery({
  settings,
  env,
  hooks,
  logger,
  ...parts
}: Pick<Base, 'settings' | 'env' | 'hooks' | 'logger'> & {
  readonly registry: Face<Pick<Registry, 'list'>>;
  readonly book: Face<AddressBook>;
  readonly host: Face<Pick<Host, 'libp2p' | 'dht' | 'ping' | 'readmit'>>;
}) {
  return definePart<Discovery>('discovery', async () => {
    const [registry, host] = [parts.registry.face, parts.host.face];
    const discovery = new Discovery(
      {
        env,
        libp2p: host.libp2p,
        dht: host.dht,
        book: parts.book.face,
        ping: host.ping,
        onDebug: (message, fields) => logger.debug(fields, message),
      },
      {
        network: settings.myceliumNetwork,
        region: settings.region,
        bootstrap: settings.myceliumPeers,
        targetDegree: settings.myceliumTargetDegree,
        peerExchange: settings.myceliumPeerExchange,
      },
    );
    // Nothing has been heard of these yet: they are dialled like absent peers.
    for (const { peerId, status, multiaddrs } of registry.list())
      if (status === 'active') parts.book.face.add(peerId, multiaddrs, 'registered');
    discovery.setRegistered(activePeers(registry));
    hooks.registered.on('discovery', ({ peerId, status, multiaddrs }) => {
      if (status === 'active') discovery.addPeer(peerId, multiaddrs, 'registered');
      discovery.setRegistered(activePeers(registry));
      host.readmit(peerId);
      if (status === 'active') discovery.dialNow(peerId);
    });
    hooks.committed.on('discovery', ({ local, entries }) => {
      if (local) return;
      const since = env.now() - HEARD_MS;
      const heard = new Set(entries.flatMap(({ author, header }) => (header.time[0] > since ? author : [])));
      // Whoever brought it, the author has signed that it is there.
      for (const author of heard) discovery.heardOf(author, author);
    });
    await discovery.start();
    return { face: discovery, stop: () => discovery.stop() };
  });
}

/** Asks the nodes at `MYCELIUM_PEER_URLS` where they are. */
export function definePeerUrls({
  settings,
  env,
  logger,
  fetch,
  rule,
  discovery,
}: Pick<Base, 'settings' | 'env' | 'logger'> & {
  readonly fetch: GuardedFetch;
  readonly rule: Pick<DialRule, 'name'>;
  readonly discovery: Face<Pick<Discovery, 'addPeer'>>;
}) {
  return definePart('peer URLs', () => {
    const stop = startPeerUrls({
      urls: settings.myceliumPeerUrls,
      env,
      fetch,
      logger,
      onFound(peerId, addresses, url) {
        // A node that answers at a local URL given by the operator is on this machine.
        if (isLoopbackHost(new URL(url).hostname)) rule.name(addresses);
        discovery.face.addPeer(peerId, addresses, 'exchange');
      },
    });
    return { face: undefined, stop };
  });
}
