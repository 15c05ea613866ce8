/**
 * A process that has only a libp2p host and discovery, without peer exchange: what it finds it finds through the DHT. It prints one JSON line per thing that happens, and obeys lines on
 * its standard input: `register <peer id>`, `publish <text>`. It ends when its input ends.
 */
import { createInterface } from 'node:readline';
import { multiaddr } from '@multiformats/multiaddr';
import { systemEnv } from '../../daemon/system-env.ts';
import { createHost } from '../../daemon/libp2p-host.ts';
import { createLogger } from '../../daemon/logger.ts';
import { AddressBook } from '../../protocols/discovery/address-book.ts';
import { createDialRule } from '../../protocols/discovery/dial-rule.ts';
import { Discovery } from '../../protocols/discovery/discovery.ts';
import { identityFromSeed } from '../../protocols/wire/identity.ts';

const { seed, network, bootstrap } = JSON.parse(process.argv[2] ?? '{}') as {
  seed: number;
  network: string;
  bootstrap: string[];
};

const say = (line: Record<string, unknown>): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
const registered = new Set<string>();
const isRegistered = (peerId: string): boolean => registered.has(peerId);
const rule = createDialRule({ allowLoopback: true, allowPrivate: true }, isRegistered, bootstrap);

const host = await createHost({
  env: systemEnv,
  identity: identityFromSeed(new Uint8Array(32).fill(seed)),
  network,
  listen: ['/ip4/127.0.0.1/tcp/0'],
  isRegistered,
  strangerSlots: 32,
  rule,
  logger: createLogger({ logLevel: 'silent' }),
});
const book = new AddressBook(
  {
    store: { load: () => Promise.resolve([]), save: () => Promise.resolve() },
    env: systemEnv,
    isRegistered,
    onSaveFailure: (error) => say({ error: String(error) }),
  },
  rule,
);
const discovery = new Discovery(
  {
    libp2p: host.libp2p,
    dht: host.dht,
    book,
    ping: host.ping,
    env: systemEnv,
    onDebug: (message, fields) =>
      process.env.DEBUG_DISCOVERY === undefined
        ? undefined
        : say({ debug: message, ...fields, err: String(fields.err) }),
  },
  { network, region: 'test', bootstrap, targetDegree: 8, peerExchange: false },
);

const tellPeers = (): void => say({ peers: host.libp2p.getPeers().map(String) });
host.libp2p.addEventListener('peer:connect', tellPeers);
host.libp2p.addEventListener('peer:disconnect', tellPeers);
host.gossip.addEventListener('subscription-change', ({ detail }) => {
  say({ subscriber: detail.peerId.toString() });
});
host.gossip.addEventListener('gossipsub:message', ({ detail }) => {
  say({ message: new TextDecoder().decode(detail.msg.data), from: detail.propagationSource.toString() });
});
host.gossip.subscribe(host.topic);
await discovery.start();
say({
  ready: host.peerId,
  addresses: host.libp2p.getMultiaddrs().map((address) => multiaddr(address.toString()).toString()),
});

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const [command, argument = ''] = line.split(' ', 2);
  if (command === 'register') {
    registered.add(argument);
    discovery.setRegistered([...registered]);
    host.readmit(argument);
    discovery.dialNow(argument);
  } else if (command === 'publish') {
    host.gossip
      .publish(host.topic, new TextEncoder().encode(argument))
      .then(({ recipients }) => say({ published: argument, recipients: recipients.length }))
      .catch((error: unknown) => say({ error: String(error) }));
  }
});
lines.once('close', () => {
  discovery
    .stop()
    .then(() => host.stop())
    .then(() => say({ stopped: true }))
    .catch((error: unknown) => say({ error: String(error) }));
});
