import { afterEach, beforeEach, expect, it } from 'vitest';
import { Follower, type Later } from '../../../daemon/notices/follower.ts';
import type { Notice } from '../../../daemon/notices/notice.ts';
import { WAITING_LIMITS, type WaitingRow } from '../../../daemon/notices/waiting-steps.ts';
import { systemEnv } from '../../../daemon/system-env.ts';
import { recordKey, type RecordKey } from '../../../protocols/wire/ids.ts';
import { Database } from '../../../storage/database.ts';
import { NoticeRows, PendingNotices } from '../../../storage/pending-notices.ts';
import { nodeOf } from '../../support/vectors/signatures.ts';
import { tempDir } from '../../support/temp-dir.ts';

const { peerId: peer } = nodeOf(2);
const { peerId: other } = nodeOf(3);
/** Steps of each contract. */
const EACH = 100;
const stepKey = (n: number, by = peer): RecordKey => recordKey('transitions', by, `s${n}`);
const contractOf = (n: number): RecordKey => recordKey('contracts', peer, `c${Math.floor(n / EACH)}`);
const numberOf = (record: RecordKey): number => Number(/\d+$/.exec(record)?.[0]);

let dir: ReturnType<typeof tempDir>;
let db: Database;
let changes: NoticeRows;
let table: PendingNotices<Later, WaitingRow>;
let follower: Follower;
let now = 1_700_000_000_000;
/** For how long the follower wants to sleep. */
let sleep: number | undefined;
/** Steps that count: what they follow has come. */
const counting = new Set<RecordKey>();
/** What was looked at and what was told, in their order. */
const log: string[] = [];
const warnings: string[] = [];

const notice = (event: string): Notice => ({
  userId: 'amina',
  event,
  at: now,
  signedAt: now,
  kind: 'message',
  causedBy: undefined,
  text: 'message',
  values: {},
  about: {},
});

/** As `RecordNotices`: each contract is loaded once. */
function records() {
  const loaded = new Set<RecordKey>();
  return {
    async of(record: RecordKey) {
      if (record.startsWith('messages/')) return { notices: [notice(record)] };
      const contract = contractOf(numberOf(record));
      if (!loaded.has(contract)) log.push(`load ${contract}`);
      loaded.add(contract);
      return counting.has(record)
        ? { notices: [notice(record)], movedOn: contract }
        : { notices: [], waitsIn: contract };
    },
    ofOffer: async () => ({ notices: [] }),
  };
}

function start(of = table): void {
  follower = new Follower({
    table: of,
    records,
    writer: {
      async write(notices, beside = () => []) {
        await db.batch([...beside(notices)], true);
        log.push(...notices.map(({ event }) => `tell ${event}`));
        return notices;
      },
    },
    handOver: async () => undefined,
    env: {
      now: () => now,
      after(ms) {
        sleep = ms;
        return { cancel: () => (sleep = undefined) };
      },
    },
    warn: (message) => warnings.push(message),
  });
}

/** What a commit does. */
async function commit(...keys: RecordKey[]): Promise<void> {
  const facts = keys.map((key) => ({ key, before: undefined, after: undefined }) as never);
  await db.batch(changes.rows(facts, now), true);
}

async function look(ms = 0): Promise<string[]> {
  now += ms;
  log.length = 0;
  follower.wake();
  await follower.idle();
  return [...log];
}

beforeEach(async () => {
  dir = tempDir('follower');
  db = await Database.open(dir.path, systemEnv);
  changes = new NoticeRows();
  changes.whereItConcerns(() => true);
  table = new PendingNotices(db);
  counting.clear();
  warnings.length = 0;
  start();
});
afterEach(async () => {
  await follower.stop();
  expect(warnings).toEqual([]);
  await db.close();
  dir.remove();
});

it('waits before it tries again what fails at once, as everything does while the database is opened anew', async () => {
  let tries = 0;
  const fails = async (): Promise<never[]> => {
    if (++tries > 100) return []; // else this would never end
    throw new Error('not open');
  };
  const failing = { waiting: fails, first: fails, nextDue: async () => undefined };
  start(Object.assign(Object.create(table), failing));
  follower.wake();
  follower.wake();
  await follower.idle();
  await new Promise((resolve) => setImmediate(resolve));
  expect([tries, warnings, sleep]).toEqual([1, ['notices are delayed'], 2000]);
  warnings.length = 0;
});

it('of 10,000 steps of one peer that wait none stands before a message, and each look costs less than the last', async () => {
  await commit(...Array.from({ length: 10_000 }, (_, n) => stepKey(n)));
  await look();
  const waiting = await table.waiting();
  expect(waiting.length).toBe(WAITING_LIMITS.ofNode / WAITING_LIMITS.ofContract);
  expect(waiting.map(({ what }) => what?.steps.length)).toEqual(waiting.map(() => WAITING_LIMITS.ofContract));
  const message = recordKey('messages', other, 'hello');
  await commit(message);
  const told = await look(WAITING_LIMITS.firstMs);
  expect(told.slice(0, 2)).toEqual([expect.stringMatching(/^load /), `tell ${message}`]);
  expect(told.length).toBe(waiting.length + 1);
  // What the next hour costs, looked at whenever the follower wants to.
  const pauses: number[] = [];
  const end = now + 3600_000;
  for (let last = now; sleep !== undefined && now < end;) {
    const looks = await look(sleep);
    if (looks.length === 0) continue;
    expect(looks.length).toBe(waiting.length);
    pauses.push((now - last) / 1000);
    last = now;
  }
  expect(pauses).toEqual([20, 40, 80, 160, 320, 600, 600, 600, 600]);
  expect(await table.waiting()).toEqual([]);
});

it('the steps of others wait beside those of a node that has too many', async () => {
  await commit(...Array.from({ length: 5000 }, (_, n) => stepKey(n)), stepKey(9000, other));
  await look();
  counting.add(stepKey(9000, other));
  expect(await look(WAITING_LIMITS.firstMs)).toContain(`tell ${stepKey(9000, other)}`);
});

it('a step that waits is told as soon as another one of its contract counts', async () => {
  await commit(stepKey(2));
  expect(await look()).toEqual([`load ${contractOf(2)}`]);
  for (const n of [1, 2]) counting.add(stepKey(n));
  await commit(stepKey(1));
  expect((await look()).filter((line) => line.startsWith('tell'))).toEqual([
    `tell ${stepKey(1)}`,
    `tell ${stepKey(2)}`,
  ]);
  expect(await table.waiting()).toEqual([]);
});

it('what waits is looked at again after a restart, and after a disk that failed', async () => {
  await commit(stepKey(1));
  await look();
  await follower.stop();
  start();
  expect(await look()).toEqual([`load ${contractOf(1)}`]);
  counting.add(stepKey(1));
  const batch = db.batch.bind(db);
  db.batch = () => Promise.reject(new Error('the disk is away'));
  await look(WAITING_LIMITS.firstMs);
  expect(warnings.splice(0)).toEqual(['notices are delayed']);
  db.batch = batch;
  expect(await look(sleep)).toContain(`tell ${stepKey(1)}`);
  expect(await table.waiting()).toEqual([]);
});
