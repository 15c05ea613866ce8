import { once } from 'node:events';
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { multiaddr } from '@multiformats/multiaddr';
import { afterEach, describe, expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { createHost, type Host, type HostOptions } from '../../../daemon/libp2p-host.ts';
import { PENDING_LIMITS } from '../../../daemon/pending-inbound.ts';
import { createLogger } from '../../../daemon/logger.ts';
import { AddressBook } from '../../../protocols/discovery/address-book.ts';
import { createDialRule } from '../../../protocols/discovery/dial-rule.ts';
import { Discovery } from '../../../protocols/discovery/discovery.ts';
import { PeerExchange } from '../../../protocols/discovery/peer-exchange.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';

const started: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const part of started.splice(0).toReversed()) await part.stop();
});

const soon = (): AbortSignal => AbortSignal.timeout(5000);
let seeds = 0;

async function host(
  options: { registered?: Set<string>; slots?: number; graceMs?: number } & Partial<HostOptions> = {},
): Promise<Host> {
  const made = await createHost({
    env: systemEnv,
    identity: identityFromSeed(new Uint8Array(32).fill(++seeds)),
    network: options.network ?? 'host-test',
    listen: ['/ip4/127.0.0.1/tcp/0'],
    isRegistered: (peerId) => options.registered?.has(peerId) ?? false,
    strangerSlots: options.slots ?? 16,
    logger: createLogger({ logLevel: 'silent' }),
    ...(options.graceMs === undefined ? {} : { strangerGraceMs: options.graceMs }),
    ...(options.psk === undefined ? {} : { psk: options.psk }),
    ...(options.relay === undefined ? {} : { relay: options.relay }),
    ...(options.mdns === undefined ? {} : { mdns: options.mdns }),
  });
  started.push(made);
  return made;
}

/** Resolves when `pick` first holds, looked at whenever the host's connections change. */
async function until(on: Host, what: string, ms: number, pick: () => boolean): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const look = (): void => {
      if (!pick()) return;
      clearTimeout(timer);
      for (const type of ['connection:open', 'connection:close'] as const)
        on.libp2p.removeEventListener(type, look);
      resolve();
    };
    const timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms);
    for (const type of ['connection:open', 'connection:close'] as const)
      on.libp2p.addEventListener(type, look);
    look();
  });
}

const dial = (from: Host, to: Host): Promise<unknown> =>
  from.libp2p.dial(to.libp2p.getMultiaddrs(), { signal: soon() });

describe('slots for strangers', () => {
  it('strangers get three quarters of the slots, a registered peer always gets in, and nobody is put out before its grace is over', async () => {
    const registered = new Set<string>();
    const node = await host({ registered, slots: 4 });
    const crowd = await Promise.all(Array.from({ length: 6 }, () => host()));
    const member = await host();
    registered.add(member.peerId);
    await dial(member, node);
    for (const one of crowd) await dial(one, node).catch(() => undefined);
    await until(node, 'four connections', 3000, () => node.libp2p.getConnections().length === 4);
    expect(node.libp2p.getPeers().map(String)).toContain(member.peerId);
    expect(
      node.libp2p.getConnections().filter((one) => one.remotePeer.toString() !== member.peerId),
    ).toHaveLength(3);

    const late = await host();
    registered.add(late.peerId);
    await dial(late, node);
    await until(node, 'the late member', 3000, () =>
      node.libp2p.getPeers().map(String).includes(late.peerId),
    );
    expect(node.libp2p.getConnections()).toHaveLength(5);
    // there is still one slot to dial out with
    await dial(node, crowd[5] ?? late);
  });

  it('are not kept for good by twelve idle connections from one address: the oldest goes for the next', async () => {
    const node = await host({ slots: 16, graceMs: 0 });
    const idle: Host[] = [];
    for (let at = 0; at < 12; at++) {
      const one = await host();
      idle.push(one);
      await dial(one, node);
    }
    const late = await host();
    await dial(late, node);
    const peers = (): string[] => node.libp2p.getPeers().map(String);
    await until(node, 'the late one in, and twelve strangers', 3000, () => {
      return peers().includes(late.peerId) && peers().length === 12;
    });
    expect(peers()).not.toContain(idle[0]?.peerId);
    expect(peers()).toContain(idle[11]?.peerId);
  });

  it('and sockets that never say a word do not keep a registered peer out', async () => {
    const registered = new Set<string>();
    const node = await host({ registered, slots: 4 });
    const member = await host();
    registered.add(member.peerId);
    const [address] = node.libp2p.getMultiaddrs();
    const port = Number(address?.getComponents().find(({ name }) => name === 'tcp')?.value);
    const sockets = await Promise.all(
      Array.from({ length: PENDING_LIMITS.total + 40 }, async () => {
        const socket = connect(port, '127.0.0.1').on('error', () => undefined); // put out: that is the point
        await once(socket, 'connect');
        return socket;
      }),
    );
    try {
      await dial(member, node);
      await until(node, 'the member', 3000, () => node.libp2p.getPeers().map(String).includes(member.peerId));
      // The silent ones still stand: it did not get in by their timeout.
      expect(
        sockets.filter(({ destroyed, readyState }) => !destroyed && readyState === 'open').length,
      ).toBeGreaterThan(PENDING_LIMITS.total / 2);
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  });

  it('one peer holds at most so many connections, the newest', async () => {
    const registered = new Set<string>();
    const node = await host({ registered });
    const member = await host({ registered });
    registered.add(member.peerId).add(node.peerId);
    for (let at = 0; at < 8; at++) {
      await member.libp2p.dial(node.libp2p.getMultiaddrs(), { signal: soon(), force: true });
    }
    await until(node, 'four connections', 3000, () => node.libp2p.getConnections().length === 4);
  });
});

it('two networks do not understand one another', async () => {
  const one = await host({ network: 'red' });
  const other = await host({ network: 'blue' });
  const connection = await one.libp2p.dial(other.libp2p.getMultiaddrs(), { signal: soon() });
  await expect(connection.newStream('/agrinet/red/kad/1', { signal: soon() })).rejects.toThrow();
  await expect(one.libp2p.services.identify.identify(connection, { signal: soon() })).rejects.toThrow();
});

it('connects only with the same pre-shared key', async () => {
  const key = (fill: string): Uint8Array =>
    new TextEncoder().encode(`/key/swarm/psk/1.0.0/\n/base16/\n${fill.repeat(64)}`);
  const node = await host({ psk: key('a') });
  await dial(await host({ psk: key('a') }), node);
  await expect(dial(await host({ psk: key('b') }), node)).rejects.toThrow();
  await expect(dial(await host(), node)).rejects.toThrow();
}, 30_000);

it('starts with mDNS and circuit relay, and stops', async () => {
  const node = await host({ mdns: true, relay: true });
  expect(node.libp2p.getProtocols()).toContain('/libp2p/circuit/relay/0.2.0/hop');
});

it('says in one line when it cannot listen', async () => {
  const first = await host();
  const taken =
    first.libp2p
      .getMultiaddrs()[0]
      ?.toString()
      .replace(/\/p2p\/.*/, '') ?? '';
  const second = createHost({
    env: systemEnv,
    identity: identityFromSeed(new Uint8Array(32).fill(200)),
    network: 'host-test',
    listen: [taken],
    isRegistered: () => false,
    strangerSlots: 4,
    logger: createLogger({ logLevel: 'silent' }),
  });
  await expect(second).rejects.toMatchObject({ code: 'port-busy' });
});

describe('peer exchange', () => {
  it('hands a stranger the signed records of the peers connected, once per interval', async () => {
    const [hub, known, asker] = [await host(), await host(), await host()];
    const parts = [hub, known, asker].map(
      (one) =>
        new PeerExchange(
          { env: systemEnv, libp2p: one.libp2p, onFailure: () => undefined },
          { network: 'host-test' },
        ),
    );
    for (const part of parts) {
      await part.start();
      started.push(part);
    }
    await Promise.all([
      new Promise((resolve) => {
        hub.libp2p.addEventListener('peer:identify', resolve, { once: true });
      }),
      dial(known, hub),
    ]);
    const connection = await asker.libp2p.dial(hub.libp2p.getMultiaddrs(), { signal: soon() });
    const told = await parts[2]?.ask(connection, soon());
    expect(told?.map((peer) => peer.peerId)).toEqual([known.peerId]);
    expect(told?.[0]?.addresses.map((address) => multiaddr(address).toString())).toEqual(
      known.libp2p.getMultiaddrs().map((address) => address.toString().replace(/\/p2p\/.*/, '')),
    );
    await expect(parts[2]?.ask(connection, soon())).rejects.toMatchObject({ code: 'stream-closed' });
  });
});

/** A TCP relay whose cable can be cut: the sockets stay open and carry nothing. */
async function cuttable(
  port: number,
): Promise<{ port: number; cut(): void; heal(): void; stop(): Promise<void> }> {
  const sockets = new Set<Socket>();
  let whole = true;
  const server: Server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.on('data', (data) => {
        if (whole) to.write(data);
      });
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
      from.on('error', () => from.destroy());
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    cut: () => void (whole = false),
    heal: () => void (whole = true),
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

it('a blackholed connection is found within ten seconds, and the peer redialled soon after healing', async () => {
  const registered = new Set<string>();
  const target = await host({ registered });
  const node = await host({ registered });
  registered.add(target.peerId).add(node.peerId);
  const port = Number(
    target.libp2p
      .getMultiaddrs()[0]
      ?.getComponents()
      .find((part) => part.name === 'tcp')?.value,
  );
  const cable = await cuttable(port);
  started.push(cable);
  const rule = createDialRule({ allowLoopback: true, allowPrivate: true }, () => false, []);
  const store = { load: () => Promise.resolve([]), save: () => Promise.resolve() };
  const book = new AddressBook(
    {
      store,
      env: systemEnv,
      isRegistered: (peerId) => registered.has(peerId),
      onSaveFailure: () => undefined,
    },
    rule,
  );
  const discovery: Discovery = new Discovery(
    {
      libp2p: node.libp2p,
      dht: node.dht,
      book,
      ping: node.ping,
      env: systemEnv,
      onDebug: () => undefined,
    },
    { network: 'host-test', region: 'r', bootstrap: [], targetDegree: 2, peerExchange: false },
  );
  await discovery.start();
  started.push(discovery);
  discovery.setRegistered([target.peerId]);
  discovery.addPeer(target.peerId, [`/ip4/127.0.0.1/tcp/${cable.port}`], 'registered');
  const connected = (): boolean => node.libp2p.getConnections(target.libp2p.peerId).length > 0;
  await until(node, 'connected', 5000, connected);
  // only by the cable: the target's own address would lead round it
  await node.libp2p.peerStore.patch(target.libp2p.peerId, { addresses: [] });

  cable.cut();
  const cutAt = performance.now();
  await until(node, 'the blackhole found', 11_000, () => !connected());
  const foundAfter = performance.now() - cutAt;
  cable.heal();
  const healedAt = performance.now();
  await until(node, 'connected again', 10_000, connected);
  console.info(
    `blackhole found after ${(foundAfter / 1000).toFixed(1)} s, connected ${((performance.now() - healedAt) / 1000).toFixed(1)} s after healing`,
  );
  expect(discovery.snapshot()).toMatchObject([
    { kind: 'registered', subject: target.peerId, connected: true },
  ]);
}, 40_000);
