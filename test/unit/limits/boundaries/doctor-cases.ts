import { probeClock, probeClocks } from '../../../../daemon/doctor/clock-probe.ts';
import { checkClock, checkDht, checkGaps } from '../../../../daemon/doctor/checks/federation.ts';
import { checkDisk } from '../../../../daemon/doctor/checks/machine.ts';
import { checkTls } from '../../../../daemon/doctor/checks/settings.ts';
import { checkJobs, checkMirror, checkQuarantine } from '../../../../daemon/doctor/checks/work.ts';
import { DiffAsker } from '../../../../daemon/doctor/diff-asker.ts';
import { DIFF_LIMITS } from '../../../../daemon/doctor/diff-limits.ts';
import { type DiskSample, startDiskTrend, TREND_LIMITS } from '../../../../daemon/doctor/disk-trend.ts';
import type { OnlineFacts } from '../../../../daemon/doctor/facts.ts';
import type { Finding } from '../../../../daemon/doctor/finding.ts';
import { openSession } from '../../../../daemon/federation/connection-session.ts';
import { branchAt, type PrefixRow } from '../../../../protocols/digest/prefix.ts';
import { PrefixTree } from '../../../../protocols/digest/prefix-tree.ts';
import { findDifferences } from '../../../../protocols/digest/search.ts';
import { errorCode } from '../../../../protocols/errors.ts';
import { CpuTurn } from '../../../../protocols/wire/cpu-turn.ts';
import { systemEnv } from '../../../../daemon/system-env.ts';
import { factsOf } from '../../../support/examined.ts';
import { HandClock, settle } from '../../../support/hand-clock.ts';
import { nodeOf } from '../../../support/vectors/signatures.ts';
import type { BoundaryCase, CasesOf } from './case.ts';
import { SourceBench } from './source-bench.ts';

const NOW = 1_800_000_000_000;
const DAY_MS = 86_400_000;
const { peerId: peer } = nodeOf(2);

/** What the doctor finds where one fact is so much, and nothing else is out of order: its findings, by their ids. */
function tells(
  over: 'clock' | 'in process',
  check: (facts: OnlineFacts) => readonly Finding[],
  facts: (n: number) => object,
  gives: readonly [below: readonly string[], at: readonly string[], above: readonly string[]],
): BoundaryCase {
  const send = async (_: unknown, n: number): Promise<string[]> =>
    check({ now: NOW, ...facts(n) } as OnlineFacts).map(({ id }) => id); // a check reads these facts alone
  const why = 'a fact of this very node, which its doctor reads and compares';
  return over === 'clock' ? { over, send, gives } : { over, why, send, gives };
}

const rightClock = { wall: NOW, credible: true, doubtedMs: 0, newestOwn: undefined };
const clockOf = (offsetMs: number) => ({
  ownClock: rightClock,
  clocks: [{ id: peer, label: 'a', offsetMs, uncertaintyMs: 0 }],
});
/** Free space that shrinks by a GiB a day, over so long, so many days away from its reserve. */
const shrinking = (days: number, overMs: number) => {
  const gib = 2 ** 30;
  const at = (ago: number): DiskSample => ({ at: NOW - ago, freeBytes: gib * (days + ago / DAY_MS) });
  return {
    disk: { freeBytes: gib * days, samples: [at(overMs), at(overMs / 2), at(0)] },
    settings: { dataDir: '/d', diskReserveMb: 0 },
    database: {},
  };
};

/** Nodes whose clock is asked for, and which never answer: how many questions there were, and at most at once. */
async function probesOf(n: number): Promise<{ all: number; atOnce: number }> {
  let [all, now, atOnce] = [0, 0, 0];
  const fetch = async (): Promise<never> => {
    all++;
    atOnce = Math.max(atOnce, ++now);
    await settle();
    now--;
    throw new Error('no answer');
  };
  const nodes = Array.from({ length: n }, () => ({
    id: peer,
    label: 'a',
    url: 'http://a',
    tlsFingerprint: '',
  }));
  const parts = { fetch, network: 'test', env: new HandClock().env };
  await probeClocks(parts, nodes, new AbortController().signal);
  return { all, atOnce };
}

export const DOCTOR_CASES: CasesOf<'daemon/doctor/facts.ts'> = {
  totalMs: { shownBy: ['test/unit/doctor/examination.test.ts', 'DOCTOR_LIMITS.totalMs'] },
  probeMs: {
    over: 'clock',
    send: (_, ms) =>
      SourceBench.with(
        () => undefined,
        ({ clock, url, fetch, after }) => {
          const asked = probeClock(
            { fetch, network: 'test', env: clock.env },
            { id: peer, label: 'a', url, tlsFingerprint: '' },
            new AbortController().signal,
          );
          return after(ms, asked);
        },
      ),
    // A node that does not answer has no clock to compare.
    gives: ['goes on', 'done', 'done'],
  },
  probes: {
    over: 'in process',
    why: 'more nodes than are asked, none of which answers',
    send: async (_, n) => (await probesOf(n)).all,
    gives: [31, 32, 32],
  },
  probesAtOnce: {
    over: 'in process',
    why: 'more nodes than are asked at a time, none of which answers',
    send: async (_, n) => (await probesOf(n)).atOnce,
    gives: [7, 8, 8],
  },
  skewMs: tells('clock', checkClock, clockOf, [[], ['peer-clock-off'], ['peer-clock-off']]),
  skewMostMs: tells('clock', checkClock, clockOf, [
    ['peer-clock-off'],
    ['peer-clock-refused'],
    ['peer-clock-refused'],
  ]),
  graceMs: tells('clock', checkDht, (ms) => ({ dht: { tablePeers: 0, connected: 1, since: NOW - ms } }), [
    [],
    ['dht-empty'],
    ['dht-empty'],
  ]),
  gapMs: tells(
    'clock',
    checkGaps,
    (ms) => ({ gaps: [{ subject: peer, kind: 'shown', entries: 1, since: NOW - ms }] }),
    [[], ['entries-lacking'], ['entries-lacking']],
  ),
  tlsDays: tells(
    'clock',
    checkTls,
    (days) => ({
      certificate: { path: '/c', notBefore: 0, notAfter: NOW + days * DAY_MS, names: true, host: 'a' },
      settings: {},
    }),
    [['certificate-expiring'], [], []],
  ),
  diskDays: tells('clock', checkDisk, (days) => shrinking(days, DAY_MS), [['disk-filling'], [], []]),
  backlog: tells(
    'in process',
    checkJobs,
    (waiting) => ({ jobs: { waiting, dead: 0, queue: { ok: true } } }),
    [[], [], ['jobs-behind']],
  ),
  backlogMs: tells(
    'clock',
    checkJobs,
    (ms) => ({ jobs: { waiting: 1, dead: 0, oldestWaiting: NOW - ms, queue: { ok: true } } }),
    [[], [], ['jobs-behind']],
  ),
  rows: {
    over: 'in process',
    why: 'ten thousand ops without effect',
    async send({ self }, n) {
      const ref = { author: peer, channel: 'public', epoch: '00'.repeat(8), seq: 1, index: 0 };
      const row = { ref, verdict: { state: 'pending', code: 'a' } };
      const rows = (most: number) => Array.from({ length: Math.min(most, n) }, () => row);
      const { quarantine } = await factsOf(self, 0, {
        verdicts: async (most: number) => ({ ops: rows(most) }),
        conflicts: async () => [],
      } as never);
      return quarantine.reduce((sum, { count }) => sum + count, 0);
    },
    gives: [9999, 10_000, 10_000],
  },
  mirrorLagSeconds: tells(
    'clock',
    checkMirror,
    (lagSeconds) => ({ mirror: { state: 'running', pending: 1, lagSeconds, refused: 0 } }),
    [[], [], ['mirror-behind']],
  ),
  waitingMs: tells(
    'clock',
    checkQuarantine,
    (ms) => ({ quarantine: [{ state: 'pending', code: 'a', count: 1, own: false, oldest: NOW - ms }] }),
    [['ops-pending'], ['ops-pending'], ['ops-pending-long']],
  ),
};

/** Samples of a disk that are kept after so long. */
async function samplesAfter(ms: number): Promise<number> {
  const clock = new HandClock();
  const trend = startDiskTrend(async () => 0, clock.env, clock.env.monotonic);
  await clock.pass(ms);
  trend.stop();
  return trend.samples().length;
}

export const TREND_CASES: CasesOf<'daemon/doctor/disk-trend.ts'> = {
  everyMs: { over: 'clock', send: (_, ms) => samplesAfter(ms), gives: [1, 2, 2] },
  samples: {
    over: 'clock',
    send: (_, n) => samplesAfter((n - 1) * TREND_LIMITS.everyMs),
    gives: [143, 144, 144],
  },
  leastMs: tells('clock', checkDisk, (ms) => shrinking(1, ms), [[], ['disk-filling'], ['disk-filling']]),
};

/** An empty branch as JSON of so many bytes. */
const emptyBranch = (bytes = 0): string => JSON.stringify(branchAt([], '')).padEnd(bytes);

const askerOf = ({
  fetch,
  url = 'http://a',
  clock = new HandClock(),
}: Pick<SourceBench, 'fetch'> & Partial<SourceBench>) =>
  new DiffAsker(
    { fetch, identity: nodeOf(1), settings: { myceliumNetwork: 'test' } as never, env: clock.env },
    { url, tlsFingerprint: '', peerId: peer } as never,
    openSession(clock.env),
  );
/** Asks a peer that answers at once with what this makes. */
const answered = (make: () => string): DiffAsker =>
  askerOf({ fetch: async () => ({ status: 200, bytes: async () => Buffer.from(make()) }) as never });
const QUESTIONS =
  'fifteen hundred questions over HTTP are seconds of work; they are counted before each of them';
const branch = async (asker: DiffAsker): Promise<string> => {
  try {
    return (await asker.branch(peer, 'listings', '')) === undefined ? 'asks no more' : 'answered';
  } catch (error) {
    return errorCode(error);
  }
};

/** A question that waits so long for its answer; those before it were answered after `before`. */
function asks(before: readonly number[]): BoundaryCase {
  return {
    over: 'clock',
    send: (_, ms) =>
      SourceBench.with(
        () => undefined,
        async (bench) => {
          const asker = askerOf(bench);
          await bench.clock.pass(before.reduce((sum, each) => sum + each, 0));
          return bench.after(ms - before.reduce((sum, each) => sum + each, 0), branch(asker));
        },
      ),
    gives:
      before.length === 0
        ? ['goes on', 'peer-timeout', 'peer-timeout']
        : ['goes on', 'asks no more', 'asks no more'],
  };
}

const rowOf = (place: string): PrefixRow => ({ place: place.padEnd(64, '0'), id: place, hash: '' });
const treeOf = (count: number): Promise<PrefixTree> =>
  PrefixTree.of(
    'listings',
    peer,
    Array.from({ length: count }, (_, i) => ({ id: String(i), hash: '' })),
    new CpuTurn(systemEnv),
  );

export const DIFF_CASES: CasesOf<'daemon/doctor/diff-limits.ts'> = {
  // The last question began within the time of one.
  totalMs: asks([DIFF_LIMITS.totalMs - DIFF_LIMITS.askMs + 10]),
  askMs: asks([]),
  requests: {
    over: 'in process',
    why: QUESTIONS,
    async send(_, n) {
      const asker = answered(emptyBranch);
      let last = '';
      for (let i = 0; i < n; i++) last = await branch(asker);
      return last;
    },
    gives: ['answered', 'answered', 'asks no more'],
  },
  bytes: {
    over: 'in process',
    why: QUESTIONS,
    // Answers of so many bytes in all, then one more question.
    async send(_, n) {
      let left = n;
      const asker = answered(() => {
        // The last two are halves: one of a few bytes would be no branch.
        const most = DIFF_LIMITS.answerBytes;
        const bytes = left <= most ? left : left < 2 * most ? Math.ceil(left / 2) : most;
        left -= bytes;
        return emptyBranch(bytes);
      });
      while (left > 0) await branch(asker);
      return [asker.bytes, await branch(asker)];
    },
    gives: [
      [DIFF_LIMITS.bytes - 1, 'answered'],
      [DIFF_LIMITS.bytes, 'asks no more'],
      [DIFF_LIMITS.bytes + 1, 'asks no more'],
    ],
  },
  answerBytes: {
    over: 'HTTP',
    send: (_, n) =>
      SourceBench.with(
        (response) => response.end(emptyBranch(n)),
        (bench) => branch(askerOf(bench)),
      ),
    gives: ['answered', 'answered', 'answer-too-large'],
  },
  parallel: {
    over: 'in process',
    why: 'the search is told what to ask by a function, here one that counts',
    async send(_, n) {
      const rows = Array.from({ length: n }, (_each, i) => rowOf(i.toString(16)));
      let [now, atOnce] = [0, 0];
      await findDifferences({
        tree: await treeOf(0),
        // So many branches below the root, each of which differs.
        ask: async (prefix) => {
          atOnce = Math.max(atOnce, ++now);
          await settle();
          now--;
          if (prefix !== '') return branchAt([rowOf(prefix)], prefix);
          const branches = rows.map((row, i) => ({ ...branchAt([row], ''), prefix: i.toString(16) }));
          return { prefix, count: rows.length, digest: 'other', branches };
        },
        parallel: DIFF_LIMITS.parallel,
        most: DIFF_LIMITS.named,
      });
      return atOnce;
    },
    gives: [3, 4, 4],
  },
  named: {
    over: 'in process',
    why: 'the search is told what to ask by a function, here one that answers with nothing',
    async send(_, n) {
      const { onlyHere, cut } = await findDifferences({
        tree: await treeOf(n),
        ask: async (prefix) => branchAt([], prefix),
        parallel: DIFF_LIMITS.parallel,
        most: DIFF_LIMITS.named,
      });
      return [onlyHere.length, cut];
    },
    gives: [
      [199, false],
      [200, false],
      [200, true],
    ],
  },
};
