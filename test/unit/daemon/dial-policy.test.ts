import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { multiaddr } from '@multiformats/multiaddr';
import { peerIdFromString } from '@libp2p/peer-id';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import type { Resolve } from '../../../daemon/checked-lookup.ts';
import { createHost, type Host } from '../../../daemon/libp2p-host.ts';
import { createLogger } from '../../../daemon/logger.ts';
import { AddressBook } from '../../../protocols/discovery/address-book.ts';
import { createDialRule } from '../../../protocols/discovery/dial-rule.ts';
import { Discovery } from '../../../protocols/discovery/discovery.ts';
import type { AddressPolicy } from '../../../protocols/wire/address-policy.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';

const started: { stop(): Promise<void> }[] = [];
/** A service of this machine that no peer has any business with. */
let canary: Server;
let port = 0;
let touched = 0;

beforeEach(async () => {
  touched = 0;
  canary = createServer((socket) => {
    touched++;
    socket.destroy();
  });
  canary.listen(0, '127.0.0.1');
  await once(canary, 'listening');
  ({ port } = canary.address() as AddressInfo);
});
afterEach(async () => {
  for (const part of started.splice(0).toReversed()) await part.stop();
  canary.close();
  await once(canary, 'close');
});

let seeds = 100;
const identity = (): ReturnType<typeof identityFromSeed> =>
  identityFromSeed(new Uint8Array(32).fill(++seeds));
const resolve: Resolve = (_, __, done) => done(null, [{ address: '127.0.0.1', family: 4 }]);

/** A whole host with discovery, under a policy. */
async function node(
  policy: AddressPolicy,
  registered: ReadonlySet<string>,
  bootstrap: string[] = [],
): Promise<Host> {
  const isRegistered = (peerId: string): boolean => registered.has(peerId);
  const rule = createDialRule(policy, isRegistered, bootstrap);
  const host = await createHost({
    env: systemEnv,
    identity: identity(),
    network: 'dial-policy',
    listen: ['/ip4/127.0.0.1/tcp/0'],
    isRegistered,
    strangerSlots: 16,
    rule,
    resolve,
    logger: createLogger({ logLevel: 'silent' }),
  });
  started.push(host);
  const store = { load: () => Promise.resolve([]), save: () => Promise.resolve() };
  const book = new AddressBook({ env: systemEnv, store, isRegistered, onSaveFailure: () => undefined }, rule);
  const discovery = new Discovery(
    {
      libp2p: host.libp2p,
      dht: host.dht,
      book,
      ping: host.ping,
      env: systemEnv,
      onDebug: () => undefined,
    },
    { network: 'dial-policy', region: 'r', bootstrap, targetDegree: 8 },
  );
  await discovery.start();
  started.push(discovery);
  return host;
}

/** Comes in, and says that it is to be found at these addresses. */
async function visitor(at: Host, announce: string[], registered?: Set<string>): Promise<Host> {
  const host = await createHost({
    env: systemEnv,
    identity: identity(),
    network: 'dial-policy',
    listen: ['/ip4/127.0.0.1/tcp/0'],
    announce,
    isRegistered: () => true,
    strangerSlots: 16,
    logger: createLogger({ logLevel: 'silent' }),
  });
  started.push(host);
  registered?.add(host.peerId);
  const said = new Promise<readonly string[]>((done) => {
    at.libp2p.addEventListener('peer:identify', ({ detail }) => {
      if (detail.peerId.toString() === host.peerId) done(detail.listenAddrs.map(String));
    });
  });
  await host.libp2p.dial(at.libp2p.getMultiaddrs(), { signal: AbortSignal.timeout(5000) });
  // What is tried below was really said.
  const bare = (text: string): string =>
    multiaddr(text)
      .toString()
      .replace(/\/p2p\/[^/]+$/, '');
  expect((await said).map(bare)).toEqual(expect.arrayContaining(announce.map(bare)));
  return host;
}

/** The node wants to reach the visitor again, by whatever it knows of it. */
async function redial(from: Host, peerId: string): Promise<unknown> {
  const id = peerIdFromString(peerId);
  for (const connection of from.libp2p.getConnections(id)) await connection.close();
  return from.libp2p
    .dial(id, { signal: AbortSignal.timeout(5000), force: true })
    .catch((error: unknown) => error);
}

describe('what a peer says of itself', () => {
  const announced = (): string[] => [
    `/ip4/127.0.0.1/tcp/${port}`,
    `/ip6/::ffff:127.0.0.1/tcp/${port}`,
    `/dns4/rebind.example.org/tcp/${port}`,
    `/dns/rebind.example.org/tcp/${port}`,
  ];

  it('makes a node on loopback dial no port of its machine for a stranger', async () => {
    const here = await node({ allowPrivate: false, allowLoopback: true }, new Set());
    const stranger = await visitor(here, announced());
    expect(await redial(here, stranger.peerId)).toBeInstanceOf(Error);
    for (const address of announced()) {
      const whole = multiaddr(`${address}/p2p/${stranger.peerId}`);
      await expect(here.libp2p.dial(whole, { signal: AbortSignal.timeout(5000) }), address).rejects.toThrow();
    }
    expect(touched).toBe(0);
  });

  it('is followed for a registered peer on the same machine; elsewhere not even by a name of its', async () => {
    const registered = new Set<string>();
    const here = await node({ allowPrivate: false, allowLoopback: true }, registered);
    const member = await visitor(here, [`/ip4/127.0.0.1/tcp/${port}`], registered);
    await redial(here, member.peerId);
    expect(touched).toBeGreaterThan(0);

    const elsewhere = await node({ allowPrivate: false }, registered);
    const other = await visitor(elsewhere, announced(), registered);
    touched = 0;
    expect(await redial(elsewhere, other.peerId)).toBeInstanceOf(Error);
    expect(touched).toBe(0);
  });

  it('does not forbid what the operator wrote down, by name or by number', async () => {
    const bootstrap = [`/ip4/127.0.0.1/tcp/${port}`, `/dns4/boot.example.org/tcp/${port}`];
    const here = await node({ allowPrivate: false }, new Set(), bootstrap);
    for (const address of bootstrap) {
      touched = 0;
      await here.libp2p
        .dial(multiaddr(address), { signal: AbortSignal.timeout(5000), force: true })
        .catch(() => undefined); // nobody there speaks libp2p
      expect(touched, address).toBeGreaterThan(0);
    }
  });
});
