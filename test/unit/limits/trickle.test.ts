import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { multiaddr } from '@multiformats/multiaddr';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { createHttpServer } from '../../../daemon/http-server.ts';
import { bareHost } from '../../support/bare-host.ts';
import type { Host } from '../../../daemon/libp2p-host.ts';
import { FRONTIER_LIMITS } from '../../../protocols/mycelium/frontier-exchange.ts';
import { encodePage } from '../../../protocols/mycelium/frontier-page.ts';
import { framed } from '../../../protocols/wire/framed-stream.ts';
import type * as steadyModule from '../../../protocols/wire/steady.ts';
import { NET, randomFrom, someIdentity } from '../../support/forge.ts';
import { registerHere, startNode, TEST_KEY, type TestNode } from '../../support/in-process-node.ts';
import { tempDir } from '../../support/temp-dir.ts';
import { waitFor } from '../../support/wait.ts';

/*
 * Peers that trickle: a byte now and then, so that no silence is ever too long. They give way within the bound, here a small one, and meanwhile the
 * others are served.
 */
vi.mock('../../../protocols/wire/steady.ts', async (original) => {
  const module = await original<typeof steadyModule>();
  const limits = { graceMs: 400, bytesPerSecond: 1024 };
  return {
    ...module,
    steady: (body: AsyncIterable<Uint8Array>, options: steadyModule.SteadyOptions) =>
      module.steady(body, { ...options, limits }),
  };
});

const random = randomFrom(31);
const dir = tempDir('trickle');
const hosts: Host[] = [];
let node: TestNode;
let server: ReturnType<typeof createHttpServer>['server'];
let port: number;
beforeAll(async () => {
  node = await startNode(dir.path, { RATE_LIMIT: 'off' });
  ({ server } = createHttpServer({ fetch: node.app.fetch }));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ({ port } = server.address() as AddressInfo); // it listens on TCP
});
afterEach(() => vi.restoreAllMocks());
afterAll(async () => {
  for (const host of hosts) await host.stop();
  server.closeAllConnections();
  server.close();
  await node.stop();
  dir.remove();
});

/** Sends a chunk of one byte at a time, for as long as it is let; what came back when the connection was closed, and after how many bytes. */
async function trickle(path: string, type: string, body: string): Promise<{ answer: string; sent: number }> {
  const socket = connect(port, '127.0.0.1');
  let [answer, sent] = ['', 0];
  socket.setEncoding('latin1').on('data', (chunk: string) => (answer += chunk));
  socket.on('error', () => undefined); // cut off while it still sends
  socket.write(
    `POST ${path} HTTP/1.1\r\nHost: localhost\r\nx-api-key: ${TEST_KEY}\r\ncontent-type: ${type}\r\ntransfer-encoding: chunked\r\n\r\n`,
  );
  const timer = setInterval(() => {
    const byte = body.charCodeAt(sent++ % body.length);
    socket.write(`1\r\n${String.fromCharCode(byte)}\r\n`, 'latin1');
  }, 20);
  try {
    await once(socket, 'close', { signal: AbortSignal.timeout(20_000) });
  } finally {
    clearInterval(timer);
    socket.destroy();
  }
  return { answer, sent };
}

/** The head of an item, or a page, that says there is much to come. */
const LONG = `\u0082\u0000\u005a\u0000\u000f\u0000\u0000`;
const SEQUENCE = 'application/cbor-seq';

describe('bodies of requests that trickle', () => {
  it('are ended with 408, or a line that says so, and meanwhile everybody else is served', async () => {
    const peer = someIdentity(random).peerId;
    await registerHere(node, peer, { nodeUrl: 'http://127.0.0.1:1' });
    const long = LONG + '\u0000'.repeat(100_000);
    const routes: readonly (readonly [path: string, type: string, body: string])[] = [
      [`/federation/plan?source=${peer}`, SEQUENCE, `\u0059\u00ff\u0000${'\u0000'.repeat(100_000)}`],
      [`/federation/entries?source=${peer}&author=${peer}&channel=public`, SEQUENCE, long],
      ['/federation/feed-file', SEQUENCE, long],
      [`/federation/feeds/${peer}`, 'application/cbor', long],
      ['/import', 'application/x-ndjson', ' '],
      ['/prices', 'application/x-ndjson', ' '],
    ];
    let done = false;
    const all = Promise.all(routes.map((route) => trickle(...route))).finally(() => (done = true));
    let served = 0;
    while (!done) {
      const answer = await node.request('POST', '/listings', { type: 'offer', title: 'Maize' });
      expect(answer.status).toBe(201);
      served++;
    }
    for (const [i, { answer, sent }] of (await all).entries()) {
      expect(answer, routes[i]?.[0]).toContain('"code":"body-slow"');
      // A byte each 20 ms: the grace and what a machine under load adds.
      expect(sent, routes[i]?.[0]).toBeGreaterThan(3);
    }
    expect(served).toBeGreaterThan(10);
  }, 40_000);
});

/** A registered peer with an open connection. */
async function peerHost(): Promise<Host> {
  const identity = someIdentity(random);
  await registerHere(node, identity.peerId);
  const host = await bareHost(identity);
  hosts.push(host);
  return host;
}

/** What a peer sends instead of its frontier: the bytes of a round, 20 ms apart. */
const WAYS: Readonly<Record<string, (round: number) => Uint8Array>> = {
  nothing: () => new Uint8Array(0),
  'a head and then nothing': (round) => (round === 0 ? Uint8Array.of(0xff, 0xff, 0x03) : new Uint8Array(0)),
  'one byte at a time of a long page': (round) =>
    round === 0 ? Uint8Array.of(0xff, 0xff, 0x03) : Uint8Array.of(0),
  'whole pages without an end': (round) =>
    round % 5 === 0 ? Uint8Array.of(encodePage([]).length, ...encodePage([])) : new Uint8Array(0),
};

/** Opens a stream and sends so until the node ends it. */
async function mud(host: Host, way: (round: number) => Uint8Array): Promise<string> {
  const connection = await host.libp2p.dial(node.addresses.map(multiaddr));
  const stream = await connection.newStream(`/agrinet/${NET}/frontier/1`);
  const ended = framed(stream, { maxFrame: 65_536 }).read(AbortSignal.timeout(60_000));
  let round = 0;
  const timer = setInterval(() => {
    const bytes = way(round++);
    try {
      if (bytes.length > 0) stream.send(bytes);
    } catch {
      clearInterval(timer); // it was ended between two bytes
    }
  }, 20);
  return ended
    .then(
      () => 'answered',
      () => 'ended',
    )
    .finally(() => clearInterval(timer));
}

/** One exchange as it should be; false when the one before is not over yet on the other side. */
async function exchange(host: Host, soon: () => AbortSignal): Promise<boolean> {
  try {
    const connection = await host.libp2p.dial(node.addresses.map(multiaddr));
    const stream = await connection.newStream(`/agrinet/${NET}/frontier/1`, { signal: soon() });
    const frames = framed(stream, { maxFrame: 65_536 });
    await frames.write(encodePage([]), soon());
    await frames.close(soon());
    while ((await frames.read(soon())) !== null);
    return true;
  } catch {
    return false; // tried again
  }
}

it('frontiers that trickle, of four peers at once, are ended, and a fifth exchanges its own meanwhile', async () => {
  // All deadlines of streams a fifth as long: a second for a page, twelve for an exchange.
  const SCALE = 5;
  const timeout = AbortSignal.timeout.bind(AbortSignal);
  const honest = await peerHost();
  const peers = [await peerHost(), await peerHost(), await peerHost(), await peerHost()];
  vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => timeout(Math.max(1, ms / SCALE)));
  let left = 0;
  const ways = Object.values(WAYS);
  const ends = peers.flatMap((host, i) =>
    Array.from({ length: FRONTIER_LIMITS.answeringPerPeer }, () => {
      left++;
      return mud(host, ways[i] ?? (() => new Uint8Array(0))).finally(() => left--);
    }),
  );
  let exchanged = 0;
  await waitFor(
    'all of them to be ended',
    async () => {
      const ok = await exchange(honest, () => timeout(10_000));
      if (ok && left > 0) exchanged++;
      return left === 0;
    },
    30_000,
  );
  expect(await Promise.all(ends)).toEqual(ends.map(() => 'ended'));
  expect(exchanged, 'while they trickled').toBeGreaterThan(5);
}, 60_000);
