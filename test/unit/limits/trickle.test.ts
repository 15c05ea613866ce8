import { once } from 'node:events';
import { connect } from 'node:net';
import type { Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { bareHost } from '../../support/bare-host.ts';
import type { Host } from '../../../daemon/libp2p-host.ts';
import type { Entry } from '../../../protocols/feed/entry.ts';
import { CATCH_UP_LIMITS } from '../../../protocols/mycelium/catch-up.ts';
import { decodeRangeRequest, encodeRangeRequest, RANGE_LIMITS } from '../../../protocols/mycelium/range.ts';
import { FRAME_LIMITS } from '../../../protocols/mycelium/range-frame.ts';
import { encodeItem } from '../../../protocols/mycelium/range-item.ts';
import { concat } from '../../../protocols/wire/bytes.ts';
import { FRONTIER_LIMITS } from '../../../protocols/mycelium/frontier-exchange.ts';
import { encodePage } from '../../../protocols/mycelium/frontier-page.ts';
import { encodeFrontier } from '../../support/frontier-pages.ts';
import { pause } from '../../../protocols/env.ts';
import { FramedStream } from '../../../protocols/wire/framed-stream.ts';
import type * as steadyModule from '../../../protocols/wire/steady.ts';
import { Hand, listingOps, NET, randomFrom, someIdentity } from '../../support/forge.ts';
import { registerHere, startNode, TEST_KEY, type TestNode } from '../../support/in-process-node.ts';
import { type Served, serveNode } from '../../support/served-node.ts';
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

/** By how much the node's own deadlines are shorter than they are; those of libp2p and of the test are left. */
let haste = 1;
const env = { ...systemEnv, deadline: (ms: number) => systemEnv.deadline(ms / haste) };

const random = randomFrom(31);
const dir = tempDir('trickle');
const hosts: Host[] = [];
let node: TestNode;
let served: Served;
beforeAll(async () => {
  node = await startNode(dir.path, { RATE_LIMIT: 'off' }, undefined, { env });
  served = await serveNode(node);
});
afterEach(() => {
  haste = 1;
});
afterAll(async () => {
  for (const host of hosts) await host.stop();
  served.close();
  await node.stop();
  dir.remove();
});

/** Sends a chunk of one byte at a time, for as long as it is let; what came back when the connection was closed, and after how many bytes. */
async function trickle(path: string, type: string, body: string): Promise<{ answer: string; sent: number }> {
  const socket = connect(served.port, '127.0.0.1');
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
      ['/attachments', 'image/png', 'x'],
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
  const ended = new FramedStream(stream, { maxFrame: 65_536 }).read(AbortSignal.timeout(60_000));
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
    const frames = new FramedStream(stream, { maxFrame: 65_536 });
    await frames.write(encodePage([]), soon());
    await frames.close(soon());
    while ((await frames.read(soon())) !== null);
    return true;
  } catch {
    return false; // tried again
  }
}

it('frontiers that trickle, of four peers at once, are ended, and a fifth exchanges its own meanwhile', async () => {
  // All deadlines of streams a third as long: long enough that the fifth has its turns on a busy machine too.
  const honest = await peerHost();
  const peers = [await peerHost(), await peerHost(), await peerHost(), await peerHost()];
  haste = 3;
  let left = 0;
  const ways = Object.values(WAYS);
  const ends = peers.flatMap((host, i) =>
    Array.from({ length: FRONTIER_LIMITS.answeringPerPeer }, () => {
      left++;
      return mud(host, ways[i] ?? (() => new Uint8Array(0))).finally(() => left--);
    }),
  );
  let exchanged = 0;
  const bound = AbortSignal.timeout(60_000);
  while (left > 0) {
    const ok = await exchange(honest, () => AbortSignal.timeout(10_000));
    if (ok && left > 0) exchanged++;
    bound.throwIfAborted();
    await pause(systemEnv, 20);
  }
  expect(await Promise.all(ends)).toEqual(ends.map(() => 'ended'));
  expect(exchanged, 'while they trickled').toBeGreaterThan(5);
}, 90_000);

/** Answers a request for a range, and is told of the stream. */
type Answer = (write: (frame: Uint8Array) => Promise<void>, over: AbortSignal) => Promise<void>;

/** A registered peer that shows one entry of each of these authors and answers for them so; how many answers are under way. */
async function holderOf(
  hands: readonly Hand[],
  answer: (hand: Hand) => Answer,
  over: AbortSignal,
  newest: { readonly seq: number; readonly hash: string } = { seq: 1_000_000, hash: 'ab'.repeat(32) },
): Promise<{ peer: string; host: Host; under: () => number; show: () => Promise<void> }> {
  const identity = someIdentity(random);
  await registerHere(node, identity.peerId);
  const host = await bareHost(identity);
  hosts.push(host);
  for (const hand of hands) await registerHere(node, hand.identity.peerId);
  let under = 0;
  await host.libp2p.handle(
    `/agrinet/${NET}/range/1`,
    async (stream) => {
      under++;
      const frames = new FramedStream(stream, { maxFrame: 4 * 1024 * 1024 });
      stream.addEventListener('close', () => under--, { once: true });
      try {
        const request = decodeRangeRequest((await frames.read(over)) ?? new Uint8Array());
        const hand = hands.find(({ identity: { peerId } }) => peerId === request.author);
        if (hand === undefined) throw new Error('not asked for here');
        await answer(hand)((frame) => frames.write(frame, over), over);
        await frames.close(over);
      } catch (error) {
        frames.abort(error instanceof Error ? error : new Error('ended'));
      }
    },
    { maxInboundStreams: 64, maxOutboundStreams: 64 },
  );
  const groups = hands.map((hand) => ({
    author: hand.identity.peerId,
    channel: 'public' as const,
    digest: '00'.repeat(32),
    items: [{ epoch: hand.epoch, ...newest }],
  }));
  return {
    peer: identity.peerId,
    host,
    under: () => under,
    show: async () => {
      const connection = await host.libp2p.dial(node.addresses.map(multiaddr));
      const stream = await connection.newStream(`/agrinet/${NET}/frontier/1`);
      const frames = new FramedStream(stream, { maxFrame: 65_536 });
      const soon = AbortSignal.timeout(20_000);
      for (const page of encodeFrontier(groups)) await frames.write(page, soon);
      await frames.close(soon);
      while ((await frames.read(soon)) !== null);
    },
  };
}
const someHand = (): Hand => new Hand(someIdentity(random), random.hex(8));
const nextListing = (hand: Hand): Entry =>
  hand.next(listingOps(hand.pen, random.hex(6), undefined, { title: 'Maize' }));
const entryFrame = (hand: Hand): Uint8Array => {
  const { bytes } = nextListing(hand);
  return concat([Uint8Array.of(0), encodeItem({ kind: 'entry', bytes })]);
};
/** The codes with which exchanges with a peer failed. */
function failures(): { of: (peer: string) => string[] } {
  const seen: { peer: string; code: string }[] = [];
  node.node.hooks.pulled.on(`trickle ${random.hex(4)}`, (event) => {
    if (event.kind === 'pull-failed') seen.push(event);
  });
  return { of: (peer) => seen.filter((each) => each.peer === peer).map(({ code }) => code) };
}

it('answers that trickle, of four peers at once, leave places to a fifth, and are ended by their pace although each frame is new', async () => {
  const over = new AbortController();
  onTestFinished(() => over.abort());
  const failed = failures();
  const drip: (ms: number) => (hand: Hand) => Answer = (ms) => (hand) => async (write, end) => {
    while (!end.aborted) {
      await write(entryFrame(hand));
      await pause(systemEnv, ms, end);
    }
  };
  const mud = await Promise.all(
    Array.from({ length: 4 }, () =>
      holderOf([someHand(), someHand(), someHand(), someHand()], drip(1000), over.signal),
    ),
  );
  const good = someHand();
  const theirs = Array.from({ length: 20 }, () => nextListing(good));
  const whole = concat([
    Uint8Array.of(0),
    ...theirs.map(({ bytes }) => encodeItem({ kind: 'entry', bytes })),
  ]);
  // It shows what it has: who shows more is asked for the rest until it counts as slow.
  const honest = await holderOf([good], () => (write) => write(whole), over.signal, {
    seq: 20,
    hash: theirs.at(-1)?.hash ?? '',
  });
  for (const each of mud) await each.show();
  // Counted where the places are: a holder hears of an end only after the place is free, and may have been given, again.
  const held = (): number =>
    node.node.host.libp2p
      .getConnections()
      .filter(({ remotePeer }) => mud.some(({ peer }) => peer === remotePeer.toString()))
      .flatMap(({ streams }) => streams)
      .filter(({ protocol }) => protocol === `/agrinet/${NET}/range/1`).length;
  let most = 0;
  await waitFor(
    'all four to be asked',
    () => {
      most = Math.max(most, held());
      return mud.every(({ under }) => under() > 0);
    },
    40_000,
  );
  await honest.show();
  await waitFor(
    'the feed of the fifth',
    () => {
      most = Math.max(most, held());
      return node.node.store.feeds(good.identity.peerId, 'public')[0]?.seq === 20;
    },
    40_000,
  );
  expect(most).toBeLessThan(CATCH_UP_LIMITS.pulls);
  await waitFor(
    'each of them to be named',
    async () => {
      const left = mud.filter(({ peer }) => !failed.of(peer).includes('pull-slow'));
      // A connection that a busy machine was too slow for is made again.
      for (const each of left) await each.show().catch(() => undefined);
      if (left.length > 0) await pause(systemEnv, 1000, over.signal);
      return left.length === 0;
    },
    90_000,
  );
  expect(failed.of(honest.peer).filter((code) => code === 'pull-slow')).toEqual([]);
}, 180_000);

it('peers that do not take their answers, four at once, leave places to a fifth, are ended and are named', async () => {
  const author = node.node.identity.peerId;
  const failed = failures();
  // More than the windows of a stream take: incompressible.
  for (let n = 0; n < 300; n++) {
    const description = random.hex(4000);
    const made = await node.request('POST', '/listings', { type: 'offer', title: 'Maize', description });
    expect(made.status).toBe(201);
  }
  const request = encodeRangeRequest({ author, channel: 'public', have: [] });
  expect(request.length).toBeLessThan(128); // a prefix of one byte
  const ask = async (host: Host): Promise<Stream> => {
    const connection = await host.libp2p.dial(node.addresses.map(multiaddr));
    return connection.newStream(`/agrinet/${NET}/range/1`, { signal: AbortSignal.timeout(30_000) });
  };
  const peers = [await peerHost(), await peerHost(), await peerHost(), await peerHost()];
  const honest = await peerHost();
  for (const host of [...peers, honest]) await host.libp2p.dial(node.addresses.map(multiaddr));
  haste = 3;
  /** Asks and takes nothing; resolves when the node has ended it, or has had no place for it. */
  const deaf = async (host: Host): Promise<void> => {
    const stream = await ask(host).catch(() => undefined);
    if (stream === undefined || stream.status !== 'open') return;
    const closed = new Promise<void>((resolve) =>
      stream.addEventListener('close', () => resolve(), { once: true }),
    );
    stream.pause();
    stream.send(concat([Uint8Array.of(request.length), request]));
    await closed;
  };
  const ends = peers.flatMap((host) =>
    Array.from({ length: RANGE_LIMITS.answeringPerPeer }, () => deaf(host)),
  );
  const whole = async (): Promise<number> => {
    const frames = new FramedStream(await ask(honest), { maxFrame: FRAME_LIMITS.frameBytes });
    await frames.write(request, AbortSignal.timeout(20_000));
    await frames.close(AbortSignal.timeout(20_000));
    let bytes = 0;
    for (;;) {
      const frame = await frames.read(AbortSignal.timeout(20_000));
      if (frame === null) return bytes;
      bytes += frame.length;
    }
  };
  expect(await whole()).toBeGreaterThan(1_000_000);
  await Promise.all(ends);
  const isNamed = (host: Host): boolean => failed.of(host.libp2p.peerId.toString()).includes('answer-slow');
  // On a busy machine a stream may have come to nothing before it was answered.
  await Promise.all(
    peers.map((host) =>
      waitFor(
        'a peer to be named',
        async () => {
          if (!isNamed(host)) await deaf(host);
          return isNamed(host);
        },
        60_000,
      ),
    ),
  );
  expect(peers.map(isNamed)).toEqual(peers.map(() => true));
  expect(failed.of(honest.libp2p.peerId.toString())).not.toContain('answer-slow');
}, 180_000);
