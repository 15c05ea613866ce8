import { PeerExchange } from '../../../../protocols/discovery/peer-exchange.ts';
import { createAnnounceProtocol } from '../../../../protocols/mycelium/announce.ts';
import { FRONTIER_LIMITS, FrontierProtocol } from '../../../../protocols/mycelium/frontier-exchange.ts';
import { encodePage } from '../../../../protocols/mycelium/frontier-page.ts';
import { encodeMessage } from '../../../../protocols/mycelium/message.ts';
import { RangeProtocol } from '../../../../protocols/mycelium/range-protocol.ts';
import { encodeRangeRequest } from '../../../../protocols/mycelium/range.ts';
import { encodeCbor } from '../../../../protocols/wire/cbor.ts';
import type { Env } from '../../../../protocols/env.ts';
import type { PeerId } from '../../../../protocols/wire/identity.ts';
import type { StreamHost } from '../../../../protocols/wire/stream.ts';
import { bareHost } from '../../../support/bare-host.ts';
import { NET, randomFrom, someIdentity } from '../../../support/forge.ts';
import { HandClock, settle, watchEnd } from '../../../support/hand-clock.ts';
import { FrontierView } from '../../../../protocols/mycelium/frontier-view.ts';
import { nodeOf } from '../../../support/vectors/signatures.ts';
import { waitFor } from '../../../support/wait.ts';
import type { Bench } from './bench.ts';
import type { BoundaryCase, CasesOf } from './case.ts';
import { StreamBench } from './stream-bench.ts';
import { inlineReader } from '../../../support/inline-reader.ts';

const everybody = { mayReplicate: () => true, mayHold: () => true };
const UNTIL = ['goes on', 'stream-timeout', 'stream-timeout'] as const;
const UNTIL_SLOW = ['goes on', 'answer-slow', 'answer-slow'] as const;
const forever = new AbortController().signal;
/** What became of the only stream that a bench has answered. */
const ended = (bench: StreamBench): string => bench.failures[0] ?? 'goes on';

function frontierOf(env: Env, bench: { libp2p: StreamHost; onFailure: StreamBench['onFailure'] }) {
  return new FrontierProtocol(
    {
      env,
      libp2p: bench.libp2p,
      access: everybody,
      frontierFor: () => [],
      viewFor: async () => new FrontierView([]),
      onFrontier: async () => undefined,
      onFailure: bench.onFailure,
    },
    NET,
  );
}

/** What a peer has for a range that asks for everything: nothing, after `ready`. */
function rangeOf(
  env: Env,
  bench: { libp2p: StreamHost; onFailure: StreamBench['onFailure'] },
  ready: Promise<void> = Promise.resolve(),
) {
  const feed = { no: 1, epoch: '00'.repeat(8), head: { seq: 1, hash: '11'.repeat(32) } };
  const source = {
    feeds: () => [feed],
    erasures: async () => [],
    async *entriesFrom() {
      await ready;
      yield new Uint8Array(100);
    },
  };
  return new RangeProtocol(
    {
      env,
      libp2p: bench.libp2p,
      source: source as never,
      reader: inlineReader(env),
      access: everybody,
      onFailure: bench.onFailure,
    },
    NET,
  );
}

function announceOf(env: Env, bench: { libp2p: StreamHost; onFailure: StreamBench['onFailure'] }) {
  const { libp2p, onFailure } = bench;
  return createAnnounceProtocol(
    { env, libp2p, access: everybody, onAnnouncement: () => undefined, onFailure },
    NET,
  );
}

function peersOf(env: Env, bench: { libp2p: StreamHost; onFailure: StreamBench['onFailure'] }) {
  const libp2p = Object.assign(bench.libp2p, { getPeers: () => [] });
  return new PeerExchange({ env, libp2p: libp2p as never, onFailure: bench.onFailure }, { network: NET });
}

/** An answer to whoever opens a stream and says nothing: how it stands after so long. */
function silence(make: (env: Env, bench: StreamBench) => { start(): Promise<void> }): BoundaryCase {
  return {
    over: 'clock',
    async send(_, ms) {
      const [clock, bench] = [new HandClock(), new StreamBench()];
      await make(clock.env, bench).start();
      bench.open();
      await clock.pass(ms);
      return ended(bench);
    },
    gives: UNTIL,
  };
}

const BUSY = 'thirty-three hosts and their handshakes are seconds of work; the count is over all of them';

/** So many streams at one moment, each of another peer, that say nothing yet: how many are refused. */
function atOnce(make: (env: Env, bench: StreamBench) => { start(): Promise<void> }): BoundaryCase {
  return {
    over: 'in process',
    why: BUSY,
    async send({ random }, n) {
      const [clock, bench] = [new HandClock(), new StreamBench()];
      await make(clock.env, bench).start();
      const streams = Array.from({ length: n }, () => bench.open(someIdentity(random).peerId).stream);
      await settle();
      return streams.filter(({ status }) => status === 'reset').length;
    },
    gives: [0, 0, 1],
  };
}

const AFTER = '/agrinet/after/1';

/**
 * Over one connection so many exchanges that this side begins, with a peer that never answers: how many libp2p refuses. It counts those of the
 * other side by the same number.
 */
function begun(
  name: 'frontier' | 'range' | 'peers',
  begin: (env: Env, host: StreamBench['libp2p']) => Promise<(to: never) => Promise<unknown>>,
): BoundaryCase {
  return {
    over: 'libp2p',
    async send(_, n) {
      const random = randomFrom(n);
      const [here, there] = await Promise.all([
        bareHost(someIdentity(random)),
        bareHost(someIdentity(random)),
      ]);
      let opened = 0;
      let refused = 0;
      try {
        await there.libp2p.handle(`/agrinet/${NET}/${name}/1`, () => void opened++, {
          maxInboundStreams: 64,
        });
        await there.libp2p.handle(AFTER, () => undefined);
        const connection = await here.libp2p.dial(there.libp2p.getMultiaddrs());
        const work = await begin(new HandClock().env, here.libp2p);
        for (let i = 1; i <= n; i++) {
          work(connection as never).catch((error: unknown) => {
            if (String(error).includes('TooManyOutbound')) refused++;
          });
          await waitFor('it to be there', () => opened >= i);
        }
        // What comes of them is known here before what comes of a later one.
        await connection.newStream(AFTER, { signal: AbortSignal.timeout(5000) });
        await settle();
        return refused;
      } finally {
        await Promise.all([here.stop(), there.stop()]);
      }
    },
    gives: [0, 0, 1],
  };
}

export const FRONTIER_CASES = {
  pageMs: { ...silence(frontierOf), gives: UNTIL_SLOW },
  exchangeMs: {
    over: 'clock',
    async send(_, ms) {
      const [clock, bench] = [new HandClock(), new StreamBench()];
      await frontierOf(clock.env, bench).start();
      const { frames } = bench.open();
      let left = ms;
      for (; left > FRONTIER_LIMITS.pageMs; left -= FRONTIER_LIMITS.pageMs - 1) {
        await frames.write(encodePage([]), forever);
        await clock.pass(FRONTIER_LIMITS.pageMs - 1);
      }
      await frames.write(encodePage([]), forever);
      await clock.pass(left);
      return ended(bench);
    },
    gives: UNTIL_SLOW,
  },
  streams: begun('frontier', async (env, libp2p) => {
    const protocol = frontierOf(env, { libp2p, onFailure: () => undefined });
    await protocol.start();
    return (to) => protocol.ask(to, forever).next();
  }),
  answering: atOnce(frontierOf),
} as const satisfies Record<string, BoundaryCase>;

export const RANGE_CASES = {
  answerMs: {
    over: 'clock',
    async send(_, ms) {
      const [clock, bench] = [new HandClock(), new StreamBench()];
      const { promise, resolve } = Promise.withResolvers<void>();
      await rangeOf(clock.env, bench, promise).start();
      const { frames } = bench.open();
      await frames.write(
        encodeRangeRequest({ author: nodeOf(1).peerId, channel: 'public', have: [] }),
        forever,
      );
      await clock.pass(ms);
      // The disk has needed all that time for the first entry.
      resolve();
      await settle();
      return ended(bench);
    },
    gives: UNTIL_SLOW,
  },
  streams: begun('range', async (env, libp2p) => {
    const protocol = rangeOf(env, { libp2p, onFailure: () => undefined });
    await protocol.start();
    const request = { author: nodeOf(1).peerId, channel: 'public', have: [] } as const;
    return (to) => protocol.pull(to, request, forever).next();
  }),
} as const satisfies Record<string, BoundaryCase>;

/** A notice to a node that nobody here follows. */
export const notice = (bench: Bench): Uint8Array =>
  encodeMessage({
    kind: 'announcement',
    announcement: {
      author: bench.peer.peerId,
      channel: 'public',
      epoch: '00'.repeat(8),
      seq: 1,
      hash: '11'.repeat(32),
    },
  });

export const ANNOUNCE_CASES = {
  frameBytes: {
    over: 'in process',
    why: 'a notice has at most 330 bytes, and whoever sends another is told nothing: the code is the answering side’s',
    async send(_, n) {
      const [clock, bench] = [new HandClock(), new StreamBench()];
      await announceOf(clock.env, bench).start();
      await bench.open().frames.write(new Uint8Array(n), forever);
      await settle();
      return ended(bench);
    },
    gives: ['not-canonical', 'not-canonical', 'frame-too-long'],
  },
  ms: silence(announceOf),
  streams: {
    over: 'libp2p',
    async send(bench, n) {
      const streams = [];
      for (let i = 0; i < n; i++) streams.push(await bench.open('announce'));
      const ends = await Promise.all(streams.map((stream) => stream.finish([notice(bench)])));
      return ends.filter((end) => end === 'reset').length;
    },
    gives: [0, 0, 1],
  },
} as const satisfies CasesOf<'protocols/mycelium/announce.ts'>;

export const PEER_EXCHANGE_CASES = {
  requestBytes: {
    over: 'in process',
    why: 'whoever asks is told nothing: the code is the answering side’s',
    async send(_, n) {
      const [clock, bench] = [new HandClock(), new StreamBench()];
      await peersOf(clock.env, bench).start();
      await bench.open().frames.write(new Uint8Array(n), forever);
      await settle();
      return ended(bench);
    },
    gives: ['not-canonical', 'not-canonical', 'frame-too-long'],
  },
  timeoutMs: silence(peersOf),
  everyMs: {
    over: 'clock',
    async send(_, ms) {
      const [clock, bench] = [new HandClock(), new StreamBench()];
      await peersOf(clock.env, bench).start();
      const ask = async (): Promise<() => unknown> => {
        const { frames } = bench.open();
        await frames.write(encodeCbor(1), forever).catch(() => undefined); // refused at once
        await frames.close(forever).catch(() => undefined);
        return watchEnd(frames.read(forever).then((frame) => frame && 'answered'));
      };
      await ask();
      await clock.pass(ms);
      const end = await ask();
      await settle();
      return end();
    },
    gives: ['stream-closed', 'answered', 'answered'],
  },
  streams: begun('peers', async (env, libp2p) => {
    const protocol = new PeerExchange(
      { env, libp2p: libp2p as never, onFailure: () => undefined },
      { network: NET },
    );
    await protocol.start();
    return (to) => protocol.ask(to, forever);
  }),
  answering: atOnce(peersOf),
  remembered: {
    over: 'in process',
    why: 'a thousand peers, each with a handshake of its own',
    // So many peers ask, and then the first one again, too soon: whether that is still known.
    async send(_, n) {
      const [clock, bench] = [new HandClock(), new StreamBench()];
      await peersOf(clock.env, bench).start();
      for (let i = 0; i < n; i++) {
        bench.open(`peer ${i}` as PeerId).frames.abort(new Error('that was all'));
        await settle();
      }
      const { stream } = bench.open('peer 0' as PeerId);
      await settle();
      return stream.status;
    },
    gives: ['reset', 'reset', 'open'],
  },
} as const satisfies Partial<CasesOf<'protocols/discovery/peer-exchange.ts'>>;
