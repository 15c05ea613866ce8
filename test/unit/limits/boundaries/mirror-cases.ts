import type { Database } from '../../../../storage/database.ts';
import { Database as StoredDatabase } from '../../../../storage/database.ts';
import { fullKey } from '../../../../storage/keyspace.ts';
import { itemSize, liveItem } from '../../../../storage/mirror/attributes.ts';
import { createTables, type Tables } from '../../../../storage/mirror/client.ts';
import { type DrainParts, drainOnce } from '../../../../storage/mirror/drain.ts';
import { isAlive } from '../../../../storage/mirror/holder.ts';
import { MIRROR_LIMITS } from '../../../../storage/mirror/limits.ts';
import { Mirror } from '../../../../storage/mirror/mirror.ts';
import type { ProjectedItem, Projection, TableSpec } from '../../../../storage/mirror/types.ts';
import { verifyTables } from '../../../../storage/mirror/verify.ts';
import type { OutboxRow } from '../../../../storage/outbox.ts';
import { systemEnv } from '../../../../daemon/system-env.ts';
import { AgrinetError } from '../../../../protocols/errors.ts';
import { HandClock, settle, watchEnd } from '../../../support/hand-clock.ts';
import { serve } from '../../../support/loopback-server.ts';
import { tempDir } from '../../../support/temp-dir.ts';
import { waitFor } from '../../../support/wait.ts';
import type { CasesOf } from './case.ts';

const SPEC: TableSpec = { name: 'Listings', key: ['id'] };
const TARGET = { table: SPEC.name, key: ['a'] } as const;
const SOURCE = fullKey('records', 'listings/me/a');
const itemOf = (text: string): ProjectedItem => ({ source: SOURCE, fields: { text } });
const projectionOf = (item?: ProjectedItem): Projection => ({
  tables: [SPEC],
  targets: async () => [TARGET],
  item: async () => item,
});

async function* nothing(): AsyncGenerator<never> {
  yield* [];
}

/** Tables that take everything and hold nothing, but for what is said otherwise. */
const tablesOf = (other: Partial<Tables> = {}): Tables => ({
  prefix: '',
  get: async () => undefined,
  put: async () => true,
  removeTombstone: async () => true,
  removeForeign: async () => true,
  scan: nothing,
  find: async () => 'active',
  create: async () => undefined,
  close: () => undefined,
  ...other,
});

/** One pass over these rows. */
async function drained(
  rows: readonly OutboxRow[],
  { now = 0, ...other }: Partial<Omit<DrainParts, 'now'>> & { now?: number } = {},
) {
  const batches: number[] = [];
  const parts: DrainParts = {
    outbox: {
      async *rows() {
        for (const [i, row] of rows.entries()) {
          await settle();
          yield [fullKey('records', `listings/me/${i}`), row] as const;
        }
      },
      complete: async (outcomes: readonly unknown[]) => void batches.push(outcomes.length),
      noteOldest: () => undefined,
    },
    tables: tablesOf(),
    projection: projectionOf(),
    incarnation: 1,
    newestVersion: () => 1,
    isHeld: async () => true,
    counts: { written: 0, tombstoned: 0, removed: 0, overtaken: 0, failures: 0 },
    now: () => now,
    limits: MIRROR_LIMITS,
    onFlight: () => undefined,
    ...other,
  };
  const pass = await drainOnce(parts, new AbortController().signal);
  return { ...pass, batches, counts: parts.counts };
}

/** A database of so many rows that are mirrored. */
async function withRows<T>(count: number, use: (db: Database) => Promise<T>): Promise<T> {
  const dir = tempDir('mirror-limits');
  const db = await StoredDatabase.open(dir.path, systemEnv);
  try {
    const ops = Array.from({ length: count }, (_, i) => ({
      type: 'put' as const,
      key: fullKey('records', `listings/me/${String(i).padStart(6, '0')}`),
      value: new Uint8Array(1),
    }));
    if (ops.length > 0) await db.batch(ops, false);
    return await use(db);
  } finally {
    await db.close();
    dir.remove();
  }
}

/** A mirror over an outbox in which so much waits; what it put in there, and how often it looked for its tables. */
async function mirrored<T>(
  use: (seen: {
    clock: HandClock;
    filled: number[];
    drains: () => number;
    found: () => number;
    renewed: () => number;
    shown: () => number;
  }) => Promise<T>,
  {
    rows = 0,
    pending = 0,
    refused = 0,
    find = async () => 'active' as const,
  }: { rows?: number; pending?: number; refused?: number; find?: Tables['find'] } = {},
): Promise<T> {
  const clock = new HandClock();
  const filled: number[] = [];
  let [drains, found, renewed] = [0, 0, 0];
  return withRows(rows, async (db) => {
    const outbox = {
      counts: { pending, waiting: 0, refused },
      refusals: (most: number) => Array.from({ length: Math.min(most, refused) }),
      onWork: () => undefined,
      openedAt: 0,
      rows: () => {
        drains++;
        return nothing();
      },
      noteOldest: () => undefined,
      enqueue: async (keys: readonly string[]) => void filled.push(keys.length),
    };
    const tables = tablesOf({
      find: (spec) => (found++, find(spec)),
      put: async () => (renewed++, true),
    });
    const mirror = new Mirror({
      db,
      outbox: outbox as never,
      tables: () => tables,
      tablesId: 'a',
      projection: projectionOf(),
      self: 'me',
      claim: 'c',
      env: { ...clock.env, random: () => 1 },
      log: () => undefined,
      onTrouble: () => undefined,
      limits: MIRROR_LIMITS,
    });
    try {
      return await use({
        clock,
        filled,
        drains: () => drains,
        found: () => found,
        renewed: () => renewed,
        shown: () => mirror.snapshot().refusals.length,
      });
    } finally {
      // Its last pause is one of this clock.
      const stopped = watchEnd(mirror.stop());
      await waitFor('it to stop', async () => {
        await clock.pass(100);
        return stopped() !== 'goes on';
      });
    }
  });
}

/** Looks for tables, of which there are two, that fail with this; how many more in so long after `before`. */
const looks = (code: string, before: number, ms: number): Promise<number> =>
  mirrored(
    async ({ clock, found }) => {
      await clock.pass(before);
      const first = found();
      await clock.pass(ms);
      return found() - first;
    },
    { find: () => Promise.reject(new AgrinetError(code as 'mirror-away', 'it is away')) },
  );

/** A request to a DynamoDB whose answers are these. */
async function requested<T>(
  answers: (nth: number) => number | undefined,
  use: (tables: Tables, clock: HandClock, asked: () => number) => Promise<T>,
): Promise<T> {
  let asked = 0;
  const server = await serve((request, response) => {
    request.resume();
    const status = answers(++asked);
    if (status !== undefined)
      response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' }).end('{}');
  });
  const clock = new HandClock();
  const tables = createTables(
    [SPEC],
    {
      endpoint: server.url,
      region: 'eu-west-1',
      credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
      prefix: '',
      signal: new AbortController().signal,
      env: clock.env,
    },
    MIRROR_LIMITS,
  );
  try {
    return await use(tables, clock, () => asked);
  } finally {
    tables.close();
    await server.close();
  }
}

const { requestMs, attempts } = MIRROR_LIMITS;
/** What the SDK adds to all attempts: finding credentials, its pauses. */
const ROUND_MS = requestMs * attempts + 1000;
/** All the pauses after failures that are below the longest. */
const GROWING_MS = 500 + 1000 + 2000 + 4000 + 8000 + 16_000;
const LEVEL = 'what DynamoDB takes of it is one request for each row';

export const MIRROR_CASES: CasesOf<'storage/mirror/limits.ts'> = {
  inFlight: {
    over: 'in process',
    why: LEVEL,
    async send(_, n) {
      const { promise, resolve } = Promise.withResolvers<boolean>();
      let most = 0;
      const pass = drained(
        Array.from({ length: n }, (_each, i) => ({
          n: i + 1,
          at: 0,
          was: [{ ...TARGET, key: [String(i)] }],
        })),
        {
          tables: tablesOf({ put: () => promise }),
          projection: { ...projectionOf(itemOf('a')), targets: async () => [] },
          onFlight: (count) => (most = Math.max(most, count)),
        },
      );
      await waitFor('them to be under way', () => most >= Math.min(n, MIRROR_LIMITS.inFlight));
      await settle();
      resolve(true);
      await pass;
      return most;
    },
    gives: [31, 32, 32],
  },
  gather: {
    over: 'in process',
    why: LEVEL,
    send: async (_, n) =>
      (await drained(Array.from({ length: n }, (_each, i) => ({ n: i + 1, at: 0, fill: true as const }))))
        .batches,
    gives: [[255], [256], [256, 1]],
  },
  requestMs: {
    over: 'clock',
    sizes: [ROUND_MS - 1, ROUND_MS, ROUND_MS + 1],
    send: (_, ms) =>
      requested(
        () => undefined,
        async (tables, clock, asked) => {
          const end = watchEnd(tables.get(TARGET));
          await waitFor('the request to arrive', () => asked() > 0);
          await clock.pass(ms);
          return end();
        },
      ),
    gives: ['goes on', 'mirror-away', 'mirror-away'],
  },
  attempts: {
    over: 'HTTP',
    // The nth answer is the first that is none of a server in trouble.
    send: (_, n) =>
      requested(
        (nth) => (nth < n ? 500 : 200),
        (tables) =>
          tables.get(TARGET).then(
            () => 'answered',
            () => 'given up',
          ),
      ),
    gives: ['answered', 'answered', 'given up'],
  },
  backoffMs: {
    over: 'clock',
    send: (_, ms) => looks('mirror-away', GROWING_MS, ms),
    gives: [0, 1, 1],
  },
  renewMs: {
    over: 'clock',
    send: (_, ms) =>
      mirrored(async ({ clock, drains, renewed }) => {
        await waitFor('the tables to be held', () => drains() > 0);
        const before = renewed();
        await clock.pass(ms);
        return renewed() - before;
      }),
    gives: [0, 1, 1],
  },
  leaseMs: {
    over: 'clock',
    send: async (_, ms) =>
      isAlive(
        { peerId: 'a', incarnation: 1, claim: 'c', seenAt: 1, commits: 0 },
        1 + ms,
        MIRROR_LIMITS.leaseMs,
      ),
    gives: [true, false, false],
  },
  retryMs: {
    over: 'clock',
    send: (_, ms) => looks('mirror-table-missing', 0, ms),
    gives: [0, 1, 1],
  },
  graceMs: {
    over: 'clock',
    // A tombstone was put at the beginning.
    send: async (_, now) =>
      (await drained([{ n: 1, at: 0, due: MIRROR_LIMITS.graceMs, was: [TARGET] }], { now })).counts.removed,
    gives: [0, 1, 1],
  },
  itemBytes: {
    over: 'in process',
    why: 'DynamoDB itself refuses more, and no other carrier comes before it',
    async send(_, n) {
      const bytes = (text: string): number => itemSize(liveItem(SPEC, TARGET, itemOf(text), [1, 1]));
      const { counts, batches } = await drained([{ n: 1, at: 0, was: [TARGET] }], {
        projection: { ...projectionOf(itemOf('x'.repeat(n + 1 - bytes('x')))), targets: async () => [] },
      });
      return [counts.written, batches];
    },
    gives: [
      [1, [1]],
      [1, [1]],
      [0, [1]],
    ],
  },
  fillChunk: {
    over: 'disk',
    send: (_, n) =>
      mirrored(
        async ({ filled, drains }) => {
          await waitFor('all to be put out', () => drains() > 0);
          return filled;
        },
        { rows: n },
      ),
    gives: [[499], [500, 0], [500, 1]],
  },
  fillAhead: {
    over: 'disk',
    send: (_, n) =>
      mirrored(
        async ({ filled, drains }) => {
          await waitFor('a pass', () => drains() > 0);
          return filled;
        },
        { rows: 1, pending: n },
      ),
    gives: [[1], [], []],
  },
  scanPage: {
    over: 'disk',
    send: (_, n) =>
      withRows(n, async (db) => {
        const pages: number[] = [];
        const steps = verifyTables({
          db,
          tables: tablesOf({
            scan: (_table, size) => {
              pages.push(size);
              return nothing();
            },
          }),
          projection: { ...projectionOf(), targets: async () => [] },
          limits: MIRROR_LIMITS,
          drained: async () => undefined,
          incarnation: 1,
          settled: () => 1,
        } as never);
        for await (const step of steps) if (step.kind === 'progress') pages.push(step.progress.done);
        return pages;
      }),
    gives: [
      [250, 249],
      [250, 250, 250],
      [250, 250, 251],
    ],
  },
  shown: {
    over: 'in process',
    why: 'refused rows are counted by the outbox; here are so many',
    send: (_, n) => mirrored(async ({ shown }) => shown(), { refused: n }),
    gives: [19, 20, 20],
  },
};
