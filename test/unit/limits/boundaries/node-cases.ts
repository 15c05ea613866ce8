import { Hono } from 'hono';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SseStreams } from '../../../../api/sse.ts';
import { KeyRing } from '../../../../daemon/access/key-ring.ts';
import { makeRoom } from '../../../../daemon/access/key-rules.ts';
import { EVENT_LIMITS, EventLog } from '../../../../daemon/events/event-log.ts';
import { EventWindow } from '../../../../daemon/events/event-window.ts';
import { JobRows } from '../../../../daemon/jobs/job-rows.ts';
import { JOB_LIMITS } from '../../../../daemon/jobs/job-store.ts';
import { createDiskFigures } from '../../../../daemon/metrics/disk-figures.ts';
import { createExposition } from '../../../../daemon/metrics/exposition.ts';
import { countReplication } from '../../../../daemon/metrics/replication-counters.ts';
import { systemEnv } from '../../../../daemon/system-env.ts';
import { errorCode } from '../../../../protocols/errors.ts';
import type { PullEvent } from '../../../../protocols/mycelium/pull-event.ts';
import { HttpNodes } from '../../../../protocols/registry/http-nodes.ts';
import { Registry } from '../../../../protocols/registry/registry.ts';
import { RELEASED_AT } from '../../../../protocols/wire/release-date.ts';
import type { StoredKey } from '../../../../storage/key-table.ts';
import { HandClock } from '../../../support/hand-clock.ts';
import { nodeOf } from '../../../support/vectors/signatures.ts';
import { tempDir } from '../../../support/temp-dir.ts';
import type { BoundaryCase, CasesOf } from './case.ts';

const codeOf = (work: Promise<unknown>): Promise<string> => work.then(() => 'taken', errorCode);

export const SSE_HEARTBEAT: BoundaryCase = {
  over: 'clock',
  async send(_, ms) {
    const clock = new HandClock();
    const closing = new AbortController();
    const streams = new SseStreams(clock.env, closing.signal);
    const app = new Hono().get('/', (c) => streams.open(c, 'k', () => ({ close: () => undefined })));
    const { body } = await app.request('/');
    let text = '';
    const reading = (async () => {
      for await (const chunk of body ?? []) text += Buffer.from(chunk).toString();
    })();
    await clock.pass(ms);
    const pings = text.split('event: ping').length - 1;
    closing.abort();
    await reading;
    return pings;
  },
  gives: [0, 1, 1],
};

/** A ring of keys in memory, and its clock. */
function ring() {
  const clock = { now: RELEASED_AT };
  const keys = new KeyRing(
    {
      table: { load: async () => [], write: async () => undefined },
      pepper: 'p'.repeat(40),
      env: systemEnv,
      now: () => clock.now,
      refusal: () => undefined,
      onError: (error) => {
        throw error;
      },
    },
    [],
  );
  return { clock, keys };
}
const endedKey = (i: number): StoredKey => ({
  id: String(i),
  hash: '',
  userId: 'amina',
  scopes: [],
  issuedAt: 0,
  expiresAt: i,
  usageCount: 0,
});

export const KEY_CASES = {
  endedPerUser: {
    over: 'in process',
    why: 'fifty keys, made and revoked, each with two writes to the disk',
    // Which have to go when one more is made.
    send: async (_, n) =>
      makeRoom(
        Array.from({ length: n }, (_each, i) => endedKey(i)),
        'amina',
        RELEASED_AT,
      ),
    gives: [[], [], ['0']],
  },
  lifetimeMs: {
    over: 'clock',
    async send(_, ms) {
      const { clock, keys } = ring();
      const { key } = await keys.issue({ userId: 'amina' });
      clock.now += ms;
      return keys.validate('amina', key);
    },
    gives: [true, false, false],
  },
  graceMs: {
    over: 'clock',
    async send(_, ms) {
      const { clock, keys } = ring();
      const { key, id } = await keys.issue({ userId: 'amina' });
      await keys.rotate(id);
      clock.now += ms;
      return keys.validate('amina', key);
    },
    gives: [true, false, false],
  },
} as const satisfies Partial<CasesOf<'daemon/access/key-rules.ts'>>;

/** A log of events whose disk can be away; how often it wrote, and up to which number it told. */
async function eventLog({
  away = () => false,
  reserve = async () => undefined,
}: { away?: () => boolean; reserve?: () => Promise<void> } = {}) {
  const clock = new HandClock();
  let writes = 0;
  let told = 0;
  const log = await EventLog.open({
    env: clock.env,
    table: {
      reservedTo: 1,
      kept: undefined,
      reserve,
      rows: () => [],
      write: async () => (writes++, 0),
      read: async () => ({ events: [], through: 0 }),
      unavailable: away,
    },
    warn: () => undefined,
  });
  log.subscribe({ wants: () => true }, ({ id }) => void (told = Number(id)));
  return { clock, log, writes: () => writes, told: () => told };
}

/** A window into which so many events were put, of so many characters each. */
function windowOf(chars: readonly number[]): EventWindow {
  const window = new EventWindow(EVENT_LIMITS, 0);
  for (const [i, each] of chars.entries()) {
    const data = { t: 'x'.repeat(each - '{"t":""}'.length) };
    window.measure(data);
    window.push({ id: i + 1, type: 'a', time: 0, data });
  }
  return window;
}

export const EVENT_CASES = {
  window: {
    over: 'in process',
    why: 'what is in memory is told no otherwise than what is on disk',
    async send(_, n) {
      const window = windowOf(Array.from({ length: n }, () => 10));
      window.markWritten(n);
      return window.after(0, Infinity).length;
    },
    gives: [511, 512, 512],
  },
  unwrittenChars: {
    over: 'in process',
    why: 'sixteen megabytes in events of 64 KiB, while the disk does not write',
    async send(_, n) {
      const window = windowOf([100, n - 100]);
      return [window.oldest, window.takeLost()];
    },
    gives: [
      [1, 0],
      [1, 0],
      [2, 1],
    ],
  },
  reserve: {
    over: 'in process',
    why: 'on a disk the next numbers are there before these are used up',
    async send(_, n) {
      let first = true;
      const { log, told } = await eventLog({
        reserve: () => {
          const done = first ? Promise.resolve() : new Promise<void>(() => undefined);
          first = false;
          return done;
        },
      });
      for (let i = 0; i < n; i++) log.emit('a', { i });
      return told();
    },
    gives: [1023, 1024, 1024],
  },
  flushMs: {
    over: 'clock',
    async send(_, ms) {
      const { clock, log, writes } = await eventLog();
      log.emit('a', {});
      await clock.pass(ms);
      return writes();
    },
    gives: [0, 1, 1],
  },
  retryMs: {
    over: 'clock',
    async send(_, ms) {
      let isAway = true;
      const { clock, log, writes } = await eventLog({ away: () => isAway });
      log.emit('a', {});
      await clock.pass(EVENT_LIMITS.flushMs);
      isAway = false;
      await clock.pass(ms);
      return writes();
    },
    gives: [0, 1, 1],
  },
} as const satisfies Partial<CasesOf<'daemon/events/event-log.ts'>>;

/** So many jobs that ended so: how many are kept, and whether the first of them is. */
function keptJobs(state: 'completed' | 'dead'): BoundaryCase {
  return {
    over: 'in process',
    why: 'a thousand jobs, each with four writes to the disk',
    async send(_, n) {
      const rows = new JobRows({ load: async () => [], save: async () => undefined }, JOB_LIMITS);
      for (let i = 0; i < n; i++)
        await rows.save({ id: `${i}`, key: `${i}`, state, endedAt: i } as never, false);
      return [rows.count(state), rows.get('0') !== undefined];
    },
    gives: [
      [999, true],
      [1000, true],
      [1000, false],
    ],
  };
}
export const ENDED_JOBS = { completed: keptJobs('completed'), dead: keptJobs('dead') };

export const METRICS_CASES = {
  codes: {
    over: 'in process',
    why: 'a code is one of a list that has no more, whoever sends what',
    async send(_, n) {
      const exposition = createExposition();
      let tell: (event: PullEvent) => void = () => undefined;
      const hook = { on: () => undefined };
      countReplication(
        {
          db: { counts: {}, onSynced: () => undefined },
          hooks: {
            committed: hook,
            gossiped: hook,
            merged: hook,
            pulled: { on: (_name: string, listener: typeof tell) => (tell = listener) },
          },
        } as never,
        exposition,
      );
      for (let i = 0; i < n; i++) tell({ kind: 'pull-failed', peer: 'a', code: `code-${i}` });
      const text = await exposition.text('whole');
      return text.split('agrinet_catch_up_failures_total{').length - 1;
    },
    // The last is `other`.
    gives: [95, 96, 97],
  },
  sizeKeptMs: {
    over: 'clock',
    async send(_, ms) {
      const dir = tempDir('size');
      const clock = new HandClock();
      const shown: unknown[] = [];
      try {
        writeFileSync(join(dir.path, 'a'), 'x');
        const figures = createDiskFigures(
          {
            db: { folder: dir.path, counts: {}, failed: true },
            settings: { dataDir: dir.path, diskReserveMb: 0 },
            env: clock.env,
          } as never,
          { show: (name: string, value: unknown) => name === 'size' && shown.push(value) } as never,
        );
        await figures.refresh();
        writeFileSync(join(dir.path, 'b'), 'xx');
        await clock.pass(ms);
        await figures.refresh();
        return shown;
      } finally {
        dir.remove();
      }
    },
    gives: [
      [1, 1],
      [1, 3],
      [1, 3],
    ],
  },
} as const satisfies Partial<CasesOf<'daemon/metrics/metrics-table.ts'>>;

const MANY = 'a thousand registrations, each with a key and a write to the disk';

export const REGISTRY_CASES = {
  nodes: {
    over: 'in process',
    why: MANY,
    async send({ peer }, n) {
      const held = Array.from({ length: n - 1 }, (_, i) => ({ peerId: `${i}`, status: 'active' }));
      const registry = await Registry.open(
        nodeOf(1).peerId,
        { load: async () => held as never, save: async () => undefined },
        () => undefined,
      );
      const statement = { caller: peer.peerId, nodeUrl: '', region: '', name: '', multiaddrs: [] };
      return codeOf(registry.register({ ...statement, schemaVersion: 1, tlsFingerprint: '' }, undefined, 0));
    },
    gives: ['taken', 'taken', 'registry-full'],
  },
  httpNodes: {
    over: 'in process',
    why: MANY,
    async send(_, n) {
      const held = Array.from({ length: n - 1 }, (_each, i) => ({ id: `legacy:${i}`, status: 'active' }));
      const nodes = await HttpNodes.open(
        { load: async () => held as never, save: async () => undefined, remove: async () => undefined },
        () => undefined,
      );
      return codeOf(nodes.request('https://one-more.example', '', undefined, 0));
    },
    gives: ['taken', 'taken', 'registry-full'],
  },
} as const satisfies Partial<CasesOf<'protocols/registry/registry.ts'>>;
