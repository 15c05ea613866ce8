import { AddressBook } from '../../protocols/discovery/address-book.ts';
import type { DialRule } from '../../protocols/discovery/dial-rule.ts';
import type { Registry } from '../../protocols/registry/registry.ts';
import type { Database } from '../../storage/database.ts';
import { addressStore } from '../../storage/tables.ts';
import { readNetworkKey } from '../network-key.ts';
import { definePart, type Face } from '../parts.ts';
import type { Settings } from '../settings.ts';
import type { Base } from './base.ts';

/** Where peers were last. */
export function defineAddressBook({
  env,
  logger,
  database,
  registry,
  rule,
}: Pick<Base, 'env' | 'logger'> & {
  readonly database: Face<Database>;
  readonly registry: Face<Pick<Registry, 'isActive'>>;
  readonly rule: DialRule;
}) {
  return definePart<AddressBook>('address book', async () => {
    const book = new AddressBook(
      {
        env,
        store: addressStore(database.face),
        isRegistered: (peer) => registry.face.isActive(peer),
        onSaveFailure: (error) => logger.warn({ err: error }, 'address book not saved'),
      },
      rule,
    );
    await book.load();
    return { face: book, stop: () => book.stop() };
  });
}

/** This node on the network of libp2p. */
export function defineHost({
  settings,
  identity,
  outside,
  logger,
  registry,
  rule,
}: Pick<Base, 'settings' | 'identity' | 'outside' | 'logger'> & {
  readonly registry: Face<Pick<Registry, 'isActive'>>;
  readonly rule: DialRule;
}) {
  return definePart('libp2p', async () => {
    const host = await outside.createHost({
      env: outside.env,
      identity,
      network: settings.myceliumNetwork,
      listen: [listenAddress(settings)],
      announce: settings.myceliumAnnounce,
      ...(settings.myceliumPskFile === undefined
        ? {}
        : { psk: await readNetworkKey(settings.myceliumPskFile) }),
      mdns: settings.myceliumMdns,
      relay: settings.myceliumRelay,
      isRegistered: (peer) => registry.face.isActive(peer),
      strangerSlots: settings.myceliumStrangerSlots,
      rule,
      resolve: outside.lookup,
      logger,
    });
    return { face: host, stop: () => host.stop() };
  });
}

function listenAddress({
  myceliumHost,
  myceliumPort,
}: Pick<Settings, 'myceliumHost' | 'myceliumPort'>): string {
  return `/ip${myceliumHost.includes(':') ? '6' : '4'}/${myceliumHost}/tcp/${myceliumPort}`;
}
