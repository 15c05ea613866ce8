import { beforeEach, expect, test } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { TaskScheduler, type OwnWork } from '../../../protocols/ledger/scheduler.ts';
import { SLICE_MS, type Turn } from '../../../protocols/ledger/turn.ts';

/** Milliseconds that the thread has used, as the test says: nothing here depends on how fast the machine is. */
let used = 0;
let log: string[] = [];
let ownWrites = 0;

const env = { cpu: () => used, monotonic: () => used, after: systemEnv.after };

beforeEach(() => {
  used = 0;
  log = [];
  ownWrites = 0;
});

/** A scheduler whose own writes each cost 1 ms. */
function schedulerWith(own: Partial<OwnWork> = {}): TaskScheduler {
  return new TaskScheduler(env, {
    serialKey: 'public|self',
    isWaiting: () => ownWrites > 0,
    async commit() {
      log.push('own');
      used += 1;
      ownWrites = 0;
    },
    freed: () => undefined,
    closed: () => undefined,
    ...own,
  });
}

/** Work of so many steps of 1 ms each, which gives way when its slice is over. */
function steps(name: string, count: number): (turn: Turn) => Promise<void> {
  return async (turn) => {
    for (let i = 0; i < count; i++) {
      used += 1;
      if (!turn.isOver()) continue;
      log.push(name);
      await turn.next();
    }
    log.push(`${name} done`);
  };
}

test('long work lets the event loop turn every slice', async () => {
  const scheduler = schedulerWith();
  let turns = 0;
  const timer = setInterval(() => turns++, 0);
  const counted = new Promise<void>((resolve) => {
    const look = (): void => (turns >= 3 ? resolve() : void setImmediate(look));
    look();
  });
  let over = false;
  await Promise.all([
    scheduler.run({ author: 'a', serialKey: 'a' }, async (turn) => {
      while (!over) {
        used += 1;
        if (turn.isOver()) await turn.next();
      }
    }),
    counted.then(() => (over = true)),
  ]);
  clearInterval(timer);
  expect(turns).toBeGreaterThanOrEqual(3);
});

test('authors interleave at any step; what one author has queued is done in order', async () => {
  const scheduler = schedulerWith();
  await Promise.all([
    scheduler.run({ author: 'flood', serialKey: 'f' }, steps('flood 1', 20 * SLICE_MS)),
    scheduler.run({ author: 'flood', serialKey: 'f' }, steps('flood 2', 20 * SLICE_MS)),
    scheduler.run({ author: 'b', serialKey: 'b' }, steps('b', SLICE_MS / 2)),
  ]);
  expect(log.indexOf('b done')).toBeLessThan(4);
  expect(log.indexOf('flood 1 done')).toBeLessThan(log.indexOf('flood 2'));
});

test('tasks with one serial key never interleave, whoever causes them', async () => {
  const scheduler = schedulerWith();
  await Promise.all([
    scheduler.run({ author: 'a', serialKey: 'shared' }, steps('a', 5 * SLICE_MS)),
    scheduler.run({ author: 'b', serialKey: 'shared' }, steps('b', 5 * SLICE_MS)),
  ]);
  expect(log.indexOf('a done')).toBeLessThan(log.indexOf('b'));
});

test('an own write waits for one slice at most, however much is queued', async () => {
  const scheduler = schedulerWith();
  const flood = Promise.all(
    Array.from({ length: 50 }, (_, i) =>
      scheduler.run({ author: `author ${i % 5}`, serialKey: `key ${i % 5}` }, steps('flood', 4 * SLICE_MS)),
    ),
  );
  while (!log.includes('flood')) await new Promise<void>((next) => setImmediate(next));
  const waits: number[] = [];
  for (let i = 0; i < 20 && log.filter((each) => each === 'flood done').length < 45; i++) {
    const before = log.length;
    ownWrites = 1;
    scheduler.wake();
    while (ownWrites > 0) await new Promise<void>((next) => setImmediate(next));
    waits.push(log.slice(before).indexOf('own'));
  }
  await flood;
  expect(waits.length).toBeGreaterThan(10);
  // `done` lines share a slice with what follows them.
  expect(Math.max(...waits)).toBeLessThanOrEqual(3);
});

test('own writes without end leave others a slice between two batches', async () => {
  let more = true;
  const scheduler = schedulerWith({
    isWaiting: () => more,
    async commit() {
      log.push('own');
      used += SLICE_MS;
    },
  });
  await scheduler.run({ author: 'a', serialKey: 'a' }, steps('a', 5 * SLICE_MS));
  more = false;
  expect(log.filter((each) => each === 'a').length).toBe(5);
  expect(log.filter((each) => each === 'own').length).toBeLessThanOrEqual(7);
});

test('while a task waits for another thread, others have their turn, but none with its serial key', async () => {
  const scheduler = schedulerWith();
  let answer: (() => void) | undefined;
  const judged = scheduler.run({ author: 'a', serialKey: 'a' }, async (turn) => {
    await turn.away(() => new Promise<void>((resolve) => (answer = resolve)));
    log.push('judged');
  });
  const same = scheduler.run({ author: 'c', serialKey: 'a' }, steps('same key', 1));
  await scheduler.run({ author: 'b', serialKey: 'b' }, steps('b', 1));
  expect(log).toEqual(['b done']);
  expect(scheduler.isHeld('a')).toBe(true);
  answer?.();
  await Promise.all([judged, same]);
  expect(log).toEqual(['b done', 'judged', 'same key done']);
});

test('nobody comes between the beginning and the end of a commit, though the loop turns', async () => {
  const scheduler = schedulerWith();
  const committing = scheduler.run({ author: 'a', serialKey: 'a' }, (turn) =>
    turn.undivided(() => steps('commit', 5 * SLICE_MS)(turn)),
  );
  const other = scheduler.run({ author: 'b', serialKey: 'b' }, steps('b', SLICE_MS));
  ownWrites = 1;
  await Promise.all([committing, other]);
  const [first, last] = [log.indexOf('commit'), log.indexOf('commit done')];
  expect(log.slice(first, last + 1).every((each) => each.startsWith('commit'))).toBe(true);
});

test('work alone begins when all that has begun is done, and nothing begins meanwhile', async () => {
  const scheduler = schedulerWith();
  const begun = scheduler.run({ author: 'a', serialKey: 'a' }, steps('begun', 3 * SLICE_MS));
  while (!log.includes('begun')) await new Promise<void>((next) => setImmediate(next));
  const alone = scheduler.alone(async () => {
    log.push('alone');
    await new Promise<void>((next) => setImmediate(next));
    log.push('alone done');
  });
  const later = scheduler.run({ author: 'b', serialKey: 'b' }, steps('later', 1));
  ownWrites = 1;
  await Promise.all([begun, alone, later]);
  const at = log.indexOf('alone');
  expect(log.indexOf('begun done')).toBeLessThan(at);
  expect(log[at + 1]).toBe('alone done');
  expect(log.indexOf('later done')).toBeGreaterThan(at);
});

test('a task that fails frees its serial key and its author', async () => {
  const freed: string[] = [];
  const scheduler = schedulerWith({ freed: (serialKey) => freed.push(serialKey) });
  const failing = scheduler.run({ author: 'a', serialKey: 'a' }, async () => {
    throw new Error('broken');
  });
  await expect(failing).rejects.toThrow('broken');
  await scheduler.run({ author: 'a', serialKey: 'a' }, steps('a', 1));
  expect(log).toEqual(['a done']);
  expect(freed).toEqual(['a', 'a']);
});
