import { DigestTrees } from '../../../../daemon/doctor/digest-trees.ts';
import { PREFIX_LIMITS, type PrefixRow, branchAt } from '../../../../protocols/digest/prefix.ts';
import { RENDEZVOUS_LIMITS, Rendezvous } from '../../../../protocols/discovery/rendezvous.ts';
import { CATCH_UP_LIMITS, CatchUpPlan } from '../../../../protocols/mycelium/catch-up.ts';
import { Exchanges } from '../../../../protocols/mycelium/exchanges.ts';
import type { FrontierGroup } from '../../../../protocols/mycelium/frontier-page.ts';
import { GossipIntake } from '../../../../protocols/mycelium/gossip-intake.ts';
import { encodeMessage } from '../../../../protocols/mycelium/message.ts';
import { Offences } from '../../../../protocols/mycelium/offences.ts';
import { pullFeed, SLICE_LIMITS } from '../../../../protocols/mycelium/pull.ts';
import { ShownFrontiers } from '../../../../protocols/mycelium/shown-frontiers.ts';
import { errorCode } from '../../../../protocols/errors.ts';
import { recordKey } from '../../../../protocols/wire/ids.ts';
import { HandClock, settle, watchEnd } from '../../../support/hand-clock.ts';
import { nodeOf } from '../../../support/vectors/signatures.ts';
import type { BoundaryCase, CasesOf } from './case.ts';

const { peerId: peer } = nodeOf(2);
const connection = { remotePeer: { toString: () => peer }, status: 'open', timeline: { open: 0 } } as never;

/** Yields nothing, and ends as this does. */
async function* generated<T>(end: Promise<T>): AsyncGenerator<never, T> {
  yield* [];
  return await end;
}

/** Exchanges with one connected peer, each of which fails while `fails` says so; how many were begun. */
function exchangesWith(clock: HandClock, fails: (nth: number) => boolean) {
  let begun = 0;
  const exchanges = new Exchanges({
    env: { ...clock.env, random: () => 0.5 },
    libp2p: { getConnections: () => [connection] },
    access: { mayReplicate: () => true },
    transportTo: () => ({
      frontier: () => {
        const outcome = fails(++begun) ? Promise.reject(new Error('busy')) : Promise.resolve('');
        return generated(outcome);
      },
    }),
    onFrontier: async () => undefined,
    offences: new Offences(),
    now: clock.env.monotonic,
    onEvent: () => undefined,
  });
  return { exchanges, begun: () => begun };
}

export const EXCHANGES_CASES: CasesOf<'protocols/mycelium/exchanges.ts'> = {
  everyMs: {
    over: 'clock',
    async send(_, ms) {
      const clock = new HandClock();
      const { exchanges, begun } = exchangesWith(clock, () => false);
      exchanges.start();
      await clock.pass(ms);
      await exchanges.stop();
      return begun();
    },
    gives: [0, 1, 1],
  },
  greetings: {
    over: 'clock',
    // The nth is the first that does not fail.
    async send(_, n) {
      const clock = new HandClock();
      const { exchanges, begun } = exchangesWith(clock, (nth) => nth < n);
      const greeted = watchEnd(exchanges.greet(connection));
      await clock.pass(60_000);
      return [greeted(), begun()];
    },
    gives: [
      ['done', 2],
      ['done', 3],
      ['done', 3],
    ],
  },
  greetAgainMs: {
    over: 'clock',
    async send(_, ms) {
      const clock = new HandClock();
      const { exchanges, begun } = exchangesWith(clock, () => true);
      void exchanges.greet(connection);
      await clock.pass(ms);
      await exchanges.stop();
      return begun();
    },
    gives: [1, 2, 2],
  },
  missedMs: {
    over: 'clock',
    // Of two that failed at once there is one.
    async send(_, ms) {
      const clock = new HandClock();
      const { exchanges, begun } = exchangesWith(clock, () => false);
      exchanges.missed(peer);
      exchanges.missed(peer);
      await clock.pass(ms);
      await exchanges.stop();
      return begun();
    },
    gives: [0, 1, 1],
  },
};

/** Rounds that a node with so many peers in its table has looked, each round at its one key of a network without regions twice. */
function rendezvousOf(
  clock: HandClock,
  {
    tableSize = () => 1,
    ...dht
  }: {
    tableSize?: () => number;
    provide?: (key: unknown, options: { signal: AbortSignal }) => AsyncIterable<never>;
    providers?: number;
  } = {},
) {
  let provided = 0;
  let found = 0;
  const failures: string[] = [];
  const rendezvous = new Rendezvous(
    {
      env: { ...clock.env, random: () => 1 },
      dht: {
        async *provide(key: unknown, options: { signal: AbortSignal }) {
          provided++;
          if (dht.provide !== undefined) yield* dht.provide(key, options);
        },
        async *findProviders() {
          yield { name: 'PROVIDER', providers: Array.from({ length: dht.providers ?? 0 }, () => ({})) };
        },
      } as never,
      tableSize,
      onFound: () => void found++,
      onFailure: (error) => failures.push(error instanceof Error ? error.name : 'none'),
    },
    { network: 'test', region: 'a' },
  );
  // Each round provides two keys, and looks at both.
  return { rendezvous, rounds: () => provided / 2, found: () => found / 2, failures };
}

/** How many rounds were begun in so long after `before`. */
function roundsAfter(before: number, gives: readonly [number, number, number]): BoundaryCase {
  return {
    over: 'clock',
    async send(_, ms) {
      const clock = new HandClock();
      const { rendezvous, rounds } = rendezvousOf(clock);
      rendezvous.start();
      await clock.pass(before);
      const first = rounds();
      await clock.pass(ms);
      await rendezvous.stop();
      return rounds() - first;
    },
    gives,
  };
}

/** The times of the rounds, from the first: each wait is longer than the one before, up to the longest. */
function roundTimes(): number[] {
  const { firstMs, growth, lastMs } = RENDEZVOUS_LIMITS;
  const times = [0];
  for (let wait: number = firstMs, at = 0; wait < lastMs; wait = Math.min(wait * growth, lastMs))
    times.push((at += wait));
  return times;
}

export const RENDEZVOUS_CASES: CasesOf<'protocols/discovery/rendezvous.ts'> = {
  found: {
    over: 'in process',
    why: 'sixty-four nodes of one network',
    async send(_, n) {
      const clock = new HandClock();
      const { rendezvous, found } = rendezvousOf(clock, { providers: n });
      rendezvous.start();
      await settle();
      await rendezvous.stop();
      return found();
    },
    gives: [63, 64, 64],
  },
  operationMs: {
    over: 'clock',
    async send(_, ms) {
      const clock = new HandClock();
      const { rendezvous, failures } = rendezvousOf(clock, {
        provide: (_key, { signal }) =>
          generated(
            new Promise((_resolve, reject) =>
              signal.addEventListener('abort', () => reject(signal.reason as Error)),
            ),
          ),
      });
      rendezvous.start();
      await clock.pass(ms);
      const came = [...failures];
      await rendezvous.stop();
      return came;
    },
    gives: [[], ['TimeoutError', 'TimeoutError'], ['TimeoutError', 'TimeoutError']],
  },
  emptyMs: {
    over: 'clock',
    async send(_, ms) {
      const clock = new HandClock();
      let asked = 0;
      const { rendezvous, rounds } = rendezvousOf(clock, { tableSize: () => asked++ });
      rendezvous.start();
      await clock.pass(ms);
      await rendezvous.stop();
      return rounds();
    },
    gives: [0, 1, 1],
  },
  firstMs: roundsAfter(0, [0, 1, 1]),
  // The last of these times is the first that the longest wait follows.
  lastMs: roundsAfter(roundTimes().at(-1) ?? 0, [0, 1, 1]),
  growth: {
    ...roundsAfter(RENDEZVOUS_LIMITS.firstMs, [0, 1, 1]),
    sizes: [1599, RENDEZVOUS_LIMITS.firstMs * RENDEZVOUS_LIMITS.growth, 1601],
  },
};

export const OFFENCE_CASES: CasesOf<'protocols/mycelium/offences.ts'> = {
  firstMs: {
    over: 'clock',
    async send(_, ms) {
      const offences = new Offences();
      offences.note(peer, 'range-malformed', 0);
      return offences.isOut(peer, ms);
    },
    gives: [true, false, false],
  },
  mostMs: {
    over: 'clock',
    async send(_, ms) {
      const offences = new Offences();
      let now = 0;
      for (let i = 0; i < 9; i++) now += offences.note(peer, 'range-malformed', now) ?? 0;
      offences.note(peer, 'range-malformed', now);
      return offences.isOut(peer, now + ms);
    },
    gives: [true, false, false],
  },
  forgottenMs: {
    over: 'clock',
    async send(_, ms) {
      const offences = new Offences();
      offences.note(peer, 'range-malformed', 0);
      return offences.note(peer, 'range-malformed', ms);
    },
    gives: [120_000, 60_000, 60_000],
  },
  remembered: {
    over: 'in process',
    why: 'two thousand peers, each with an offence of its own',
    async send(_, n) {
      const offences = new Offences();
      for (let i = 0; i < n; i++) offences.note(`peer ${i}`, 'range-malformed', 0);
      return [offences.isOut('peer 0', 1), offences.isOut('peer 1', 1)];
    },
    gives: [
      [true, true],
      [true, true],
      [false, true],
    ],
  },
};

export const GOSSIP_CASES: CasesOf<'protocols/mycelium/gossip-intake.ts'> = {
  admitting: {
    over: 'in process',
    why: 'gossipsub hands messages over one after the other, and an entry is admitted in less time than five hundred arrive',
    async send(_, n) {
      const intake = new GossipIntake({
        ledger: {
          receive: () => new Promise(() => undefined),
          receiveProof: () => new Promise(() => undefined),
        },
        access: { mayReplicate: () => true },
        follows: () => true,
        onAnnouncement: () => undefined,
        onEvent: () => undefined,
      });
      const data = encodeMessage({ kind: 'entry', bytes: new Uint8Array(1) });
      let ignored = 0;
      for (let i = 0; i < n; i++)
        void intake.take(data, peer).then((verdict) => verdict === 'ignore' && ignored++);
      await settle();
      return ignored;
    },
    gives: [0, 0, 1],
  },
};

function groupNo(i: number): FrontierGroup {
  return {
    author: peer,
    channel: recordKey('conversations', peer, String(i)),
    digest: '',
    items: [{ epoch: '00'.repeat(8), seq: 1, hash: '11'.repeat(32) }],
  };
}

export const SHOWN_CASES: CasesOf<'protocols/mycelium/shown-frontiers.ts'> = {
  groups: {
    over: 'in process',
    why: 'ten thousand notices of one peer',
    async send(_, n) {
      const shown = new ShownFrontiers({} as never);
      const groups = Array.from({ length: n - 1 }, (_each, i) => groupNo(i));
      shown.replace(connection, { groups, knows: new Map(), covers: new Map() });
      shown.announced(peer, groupNo(n));
      return shown.all().get(peer)?.length;
    },
    gives: [9999, 10_000, 10_000],
  },
};

export const SLICE_CASES: CasesOf<'protocols/mycelium/pull.ts'> = {
  sliceMs: {
    over: 'clock',
    send: (_, ms) => pullThat([ms, 1]),
    gives: ['goes on', 'goes on', 'pull-slow'],
  },
  sliceBytes: {
    over: 'clock',
    send: (_, bytes) => pullThat([SLICE_LIMITS.sliceMs + 1, bytes]),
    gives: ['pull-slow', 'goes on', 'goes on'],
  },
};

/** A pull whose second frame, of entries that are known here, comes after so long and brings it to so many bytes. */
async function pullThat([ms, bytes]: readonly [ms: number, bytes: number]): Promise<unknown> {
  const clock = new HandClock();
  const pulled = watchEnd(
    pullFeed(
      {
        transport: {
          async *range() {
            await new Promise<void>((resolve) => clock.env.after(ms, resolve));
            yield [{ kind: 'entry', bytes: new Uint8Array(bytes) }];
            await new Promise(() => undefined);
          },
        },
        target: {
          rangeRequest: async () => ({ request: undefined, next: undefined }),
          receive: async () => ({ accepted: 0, known: 1, ignored: 0, reasons: {} }),
        },
        now: clock.env.monotonic,
      },
      { author: peer, channel: 'public' },
      { signal: new AbortController().signal, hasOthers: () => false },
    ),
  );
  await clock.pass(ms);
  return pulled();
}

export const CATCH_UP_TRIES: BoundaryCase = {
  over: 'clock',
  // After so many failures whether it is asked again.
  async send(_, n) {
    const plan = new CatchUpPlan();
    plan.want(peer, { author: peer, channel: 'public' });
    let now = 0;
    for (let i = 0; i < n; i++, now += CATCH_UP_LIMITS.retryMs)
      for (const { need } of plan.next(now, () => true)) plan.ended(peer, need, false, true, now);
    return plan.next(now, () => true).length;
  },
  gives: [1, 0, 0],
};

/** Trees of owners with so many records each, made as they are asked for. */
function treesOf(
  clock: HandClock,
  records: number,
  { ready = Promise.resolve(), most = PREFIX_LIMITS.records }: { ready?: Promise<void>; most?: number } = {},
) {
  let made = 0;
  const trees = new DigestTrees({
    env: clock.env,
    reader: {
      async *elements() {
        made++;
        await ready;
        for (let i = 0; i < records; i++) yield { id: String(i), hash: '00' };
      },
    },
    stamp: () => 'unchanged',
    limits: { records: most },
  });
  return { trees, made: () => made };
}

const rowNo = (i: number): PrefixRow => ({
  place: i.toString(16).padStart(64, '0'),
  id: String(i),
  hash: '',
});

async function rowsOf(records: number, most?: number): Promise<number | string> {
  const { trees } = treesOf(new HandClock(), records, most === undefined ? {} : { most });
  try {
    return (await trees.tree(peer, 'listings')).size;
  } catch (error) {
    return errorCode(error);
  } finally {
    trees.stop();
  }
}

export const PREFIX_CASES = {
  leaf: {
    over: 'in process',
    why: 'an answer is this very object as JSON',
    async send(_, n) {
      const answer = branchAt(
        Array.from({ length: n }, (_each, i) => rowNo(i)),
        '',
      );
      return 'records' in answer ? 'records' : 'branches';
    },
    gives: ['records', 'records', 'branches'],
  },
  records: {
    over: 'in process',
    why: 'two hundred thousand records of one owner are a database of 200 MB: here a hundred stand for them, and the true limit is shown beyond it',
    async send(_, n) {
      const beyond = n - PREFIX_LIMITS.records;
      const few = await rowsOf(100 + beyond, 100);
      return beyond > 0 ? [few, await rowsOf(n)] : [few];
    },
    gives: [[99], [100], ['digest-too-large', 'digest-too-large']],
  },
  trees: {
    over: 'in process',
    why: 'one search asks about one tree at a time: they are several peers’',
    // So many trees one after the other, then the first once more: how often it was made anew.
    async send(_, n) {
      const { trees, made } = treesOf(new HandClock(), 1);
      for (let i = 0; i < n; i++) await trees.tree(peer, `of-${i}`);
      await trees.tree(peer, 'of-0');
      trees.stop();
      return made() - n;
    },
    gives: [0, 0, 1],
  },
  keptMs: {
    over: 'clock',
    async send(_, ms) {
      const clock = new HandClock();
      const { trees, made } = treesOf(clock, 1);
      await trees.tree(peer, 'listings');
      await clock.pass(ms);
      await trees.tree(peer, 'listings');
      trees.stop();
      return made();
    },
    gives: [1, 2, 2],
  },
  waiting: {
    over: 'in process',
    why: 'a tree of few records is made before the second question arrives',
    async send(_, n) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const { trees } = treesOf(new HandClock(), 1, { ready: promise });
      const asked = Array.from({ length: n }, (_each, i) => watchEnd(trees.tree(peer, `of-${i}`)));
      await settle();
      const busy = asked.filter((end) => end() === 'busy').length;
      resolve();
      trees.stop();
      return busy;
    },
    gives: [0, 0, 1],
  },
} as const satisfies Partial<CasesOf<'protocols/digest/prefix.ts'>>;
