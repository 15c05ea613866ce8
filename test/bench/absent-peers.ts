/**
 * What a node pays at rest for registered peers that are absent: `PEERS=1000 MINUTES=5 node test/bench/absent-peers.ts`. Three daemons in
 * one run: one alone, and two that are connected, of which one has registered so many others, at loopback addresses where nobody listens or,
 * every hundredth, where somebody accepts and says nothing.
 */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { systemEnv } from '../../daemon/system-env.ts';
import type { RegisteredNode } from '../../protocols/registry/registry.ts';
import { identityFromSeed, type PeerId } from '../../protocols/wire/identity.ts';
import { Database } from '../../storage/database.ts';
import { registryStore } from '../../storage/tables.ts';
import { type DaemonProcess, startDaemon } from './daemon-process.ts';
import { freePort, mainThreadCpu, processCpu, progress, report, temporaryFolder } from './measure.ts';

const PEERS = Number(process.env['PEERS'] ?? 1000);
/** Until the first dials are over, and then so long by the clock. */
const SETTLE_MINUTES = Number(process.env['SETTLE'] ?? 5);
const MINUTES = Number(process.env['MINUTES'] ?? 5);

function registered(peerId: PeerId, port: number, url: string): RegisteredNode {
  const multiaddrs = port === 0 ? [] : [`/ip4/127.0.0.1/tcp/${port}`];
  const [region, name, tlsFingerprint] = ['bench', 'absent', ''];
  const times = { registeredAt: Date.now(), lastSyncAt: 0 };
  return {
    peerId,
    url,
    region,
    name,
    multiaddrs,
    status: 'active',
    schemaVersion: 1,
    tlsFingerprint,
    ...times,
  };
}

function peerOf(n: number): PeerId {
  const seed = new Uint8Array(32);
  new DataView(seed.buffer).setUint32(0, n + 1);
  return identityFromSeed(seed).peerId;
}

async function register({ dataDir }: DaemonProcess, nodes: Iterable<RegisteredNode>): Promise<void> {
  const db = await Database.open(dataDir, systemEnv);
  const store = registryStore(db, (key) => progress(`damaged: ${key}`));
  for (const node of nodes) await store.save(node);
  await db.close();
}

const folder = temporaryFolder('absent');
const silent = new Set<Socket>();
let reached = 0;
const tarpit = createServer((socket) => {
  reached++;
  silent.add(socket.on('error', () => undefined).on('close', () => silent.delete(socket)));
}).listen(0, '127.0.0.1');
await once(tarpit, 'listening');
const [address, nowhere] = [tarpit.address(), await freePort()];
const tarpitPort = address === null || typeof address === 'string' ? 0 : address.port;

const running: DaemonProcess[] = [];
async function start(name: string): Promise<DaemonProcess> {
  const daemon = await startDaemon(folder.path, name);
  running.push(daemon);
  return daemon;
}
try {
  const [first, second] = [await start('friend'), await start('absent')];
  await Promise.all([first.stop(), second.stop()]);
  await register(first, [registered(second.peerId as PeerId, 0, '')]);
  const friend = await start('friend');
  const absent = Array.from({ length: PEERS - 1 }, (_, n) => {
    const port = n % 100 === 0 ? tarpitPort : nowhere;
    return registered(peerOf(n), port, `http://127.0.0.1:${port}`);
  });
  await register(second, [...absent, registered(friend.peerId as PeerId, friend.proxy.port, friend.url)]);
  const alone = await start('alone');
  const burdened = await start('absent');
  progress(`absent peers: ${PEERS} registered, settling`);
  const cpu = (): readonly number[] =>
    [alone, friend, burdened].flatMap(({ pid }) => [processCpu(pid) * 1e6, mainThreadCpu(pid)]);
  const began = cpu();
  await delay(SETTLE_MINUTES * 60_000);
  const before = cpu();
  const reachedBefore = reached;
  await delay(MINUTES * 60_000);
  const after = cpu();
  const share = (at: number, from: readonly number[], to: readonly number[], minutes: number): number =>
    ((to[at] ?? 0) - (from[at] ?? 0)) / (minutes * 600_000);
  const percent = (at: number): number => share(at, before, after, MINUTES);
  report({
    name: 'absent peers',
    metrics: {
      peers: PEERS,
      firstMinutesPercent: share(4, began, before, SETTLE_MINUTES),
      restPercent: percent(4),
      restMainThreadPercent: percent(5),
      friendPercent: percent(2),
      alonePercent: percent(0),
      aloneMainThreadPercent: percent(1),
      toAlone: percent(4) / percent(0),
      connectionsPerMinuteToOneInAHundred: (reached - reachedBefore) / MINUTES,
    },
    notes: [],
  });
} finally {
  await Promise.all(running.map((daemon) => daemon.stop().catch(() => undefined)));
  for (const socket of silent) socket.destroy();
  tarpit.close();
  folder.close();
}
