import { expect, it } from 'vitest';
import {
  CATCH_UP_LIMITS,
  type CatchUpOptions,
  CatchUpPlan,
  type Need,
} from '../../../protocols/mycelium/catch-up.ts';
import { Pulls } from '../../../protocols/mycelium/pulls.ts';
import { identityFromSeed } from '../../../protocols/wire/identity.ts';

const feed = (n: number): Need['group'] => ({
  author: identityFromSeed(new Uint8Array(32).fill(n)).peerId,
  channel: 'public',
});

/** Pulls whose clock and timers stand in a list: `pull` says what each comes to. */
function pullsOf(
  pull: (need: Need) => number | undefined | Promise<undefined>,
  { reachable = () => true, ...plan }: CatchUpOptions & { reachable?: () => boolean } = {},
) {
  let now = 0;
  const timers: { at: number; call: () => void; cancelled: boolean }[] = [];
  const asked: string[] = [];
  const ended: (number | undefined)[] = [];
  let [running, most] = [0, 0];
  const pulls = new Pulls(
    {
      env: {
        after(ms, call) {
          const timer = { at: now + ms, call, cancelled: false };
          timers.push(timer);
          return { cancel: () => (timer.cancelled = true) };
        },
      },
      now: () => now,
      reachable,
      async pull(_, need) {
        most = Math.max(most, ++running);
        asked.push(need.group.author);
        await Promise.resolve();
        running--;
        return pull(need);
      },
      isBehind: () => false,
      onEnded: (_peer, _need, received) => ended.push(received),
    },
    new CatchUpPlan(plan),
  );
  const pass = (ms: number): void => {
    now += ms;
    for (const timer of timers.splice(0)) {
      if (timer.cancelled) continue;
      if (timer.at <= now) timer.call();
      else timers.push(timer);
    }
  };
  return { pulls, asked, ended, pass, most: () => most };
}

it('one feed that fails does not keep the others from coming, and is tried once where one try is all', async () => {
  const { pulls, asked, ended } = pullsOf((need) => (need.group.author === feed(2).author ? undefined : 1), {
    tries: 1,
  });
  for (const n of [1, 2, 3, 4, 5]) expect(pulls.want('source', feed(n))).toBe(true);
  await pulls.idle();
  expect(asked.toSorted()).toEqual([1, 2, 3, 4, 5].map((n) => feed(n).author).toSorted());
  expect(ended.filter((received) => received === undefined)).toHaveLength(1);
  expect(pulls.pending).toBe(0);
});

it('as many at a time as one peer may be asked for', async () => {
  const { pulls, asked, most } = pullsOf(() => 1);
  for (let n = 1; n <= 10; n++) pulls.want('source', feed(n));
  await pulls.idle();
  expect(asked).toHaveLength(10);
  expect(most()).toBe(CATCH_UP_LIMITS.pullsPerPeer);
});

it('settles at once when nothing is wanted, and when nobody can be asked any more', async () => {
  await pullsOf(() => 1).pulls.idle();
  let calls = 0;
  const { pulls, asked } = pullsOf(() => undefined, { tries: 1, reachable: () => calls++ === 0 });
  for (const n of [1, 2, 3]) pulls.want('source', feed(n));
  await pulls.idle();
  expect(asked).toEqual([feed(1).author]);
});

it('tries a failed one again after the pause, until it has failed as often as it may', async () => {
  const { pulls, asked, pass } = pullsOf(() => undefined);
  pulls.want('source', feed(1));
  const settled = pulls.idle();
  for (let tries = 1; tries < CATCH_UP_LIMITS.tries; tries++) {
    await new Promise(setImmediate);
    expect(asked).toHaveLength(tries);
    pass(CATCH_UP_LIMITS.retryMs - 1);
    await new Promise(setImmediate);
    expect(asked).toHaveLength(tries);
    pass(1);
  }
  await settled;
  expect(asked).toHaveLength(CATCH_UP_LIMITS.tries);
});

it('begins nothing once it has stopped', async () => {
  const { pulls, asked, pass } = pullsOf(() => undefined);
  pulls.want('source', feed(1));
  pulls.begin();
  await new Promise(setImmediate);
  await pulls.stop();
  pass(CATCH_UP_LIMITS.retryMs);
  pulls.want('source', feed(2));
  pulls.begin();
  await new Promise(setImmediate);
  expect(asked).toEqual([feed(1).author]);
});

it('a peer that fails is heard out and keeps its places where it is said so', async () => {
  const count = 3 * CATCH_UP_LIMITS.patience;
  const of = async (plan: CatchUpOptions): Promise<{ asked: number; most: number }> => {
    const { pulls, asked, most } = pullsOf(() => undefined, { tries: 1, ...plan });
    for (let n = 1; n <= count; n++) pulls.want('source', feed(n));
    await pulls.idle();
    return { asked: asked.length, most: most() };
  };
  expect((await of({})).asked).toBeLessThan(count);
  expect(await of({ patience: Infinity })).toMatchObject({ asked: count });
  const after = async (pullsWhileFailing?: number): Promise<number> => {
    let isFirst = true;
    let [running, most] = [0, 0];
    const { pulls } = pullsOf(
      async () => {
        if (!isFirst) most = Math.max(most, ++running);
        await Promise.resolve();
        if (!isFirst) running--;
        isFirst = false;
        return undefined;
      },
      { tries: 1, patience: Infinity, ...(pullsWhileFailing === undefined ? {} : { pullsWhileFailing }) },
    );
    pulls.want('source', feed(1));
    await pulls.idle();
    for (let n = 2; n <= 10; n++) pulls.want('source', feed(n));
    await pulls.idle();
    return most;
  };
  expect(await after()).toBe(1);
  expect(await after(3)).toBe(3);
});

it('a stop waits for the pulls that have begun, and none begins after it', async () => {
  const { promise: held, resolve: letGo } = Promise.withResolvers<undefined>();
  const { pulls, asked, ended, pass } = pullsOf(() => held);
  pulls.want('peer', feed(1));
  pulls.begin();
  await Promise.resolve();
  let hasStopped = false;
  const stopped = pulls.stop().then(() => (hasStopped = true));
  pulls.want('peer', feed(2));
  pulls.begin();
  pass(3_600_000);
  await new Promise(setImmediate);
  expect([hasStopped, asked.length, ended.length]).toEqual([false, 1, 0]);
  letGo(undefined);
  await stopped;
  expect([asked.length, ended.length]).toEqual([1, 1]);
});
