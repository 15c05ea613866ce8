import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { type Recovery, REJOIN_LIMITS, waiting, Rejoin } from '../../../protocols/mycelium/rejoin.ts';

let active: string[] = [];
let saved: (Recovery | undefined)[] = [];
let told: (Recovery | undefined)[] = [];

function open(recovery?: Recovery): Rejoin {
  return new Rejoin({
    env: systemEnv,
    now: Date.now,
    active: () => active,
    recovery,
    save: (next) => void saved.push(next),
    onChange: (next) => void told.push(next),
  });
}
/** `may`, `waits`, or the code it is refused with; looked at once nothing else is to be done. */
async function outcome(promise: Promise<void>): Promise<string> {
  let seen = 'waits';
  promise.then(
    () => (seen = 'may'),
    (error: { code: string }) => (seen = error.code),
  );
  await vi.advanceTimersByTimeAsync(0);
  return seen;
}

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  active = ['b', 'c'];
  saved = [];
  told = [];
});
afterEach(() => {
  vi.useRealTimers();
});

describe('after an ordinary start', () => {
  test('a node without active peers promises at once', async () => {
    active = [];
    expect(await outcome(open().awaitFence())).toBe('may');
  });
  test('commitments are held back for the first answer', async () => {
    const rejoin = open();
    const promise = rejoin.awaitFence();
    expect(await outcome(promise)).toBe('waits');
    expect(rejoin.status()).toMatchObject({ waiting: true, until: 1_000_000 + REJOIN_LIMITS.ordinaryMs });
    rejoin.answered('c');
    expect(await outcome(promise)).toBe('may');
    expect(saved).toEqual([]);
  });
  test('and without one no longer than the limit', async () => {
    const promise = open().awaitFence();
    await vi.advanceTimersByTimeAsync(REJOIN_LIMITS.ordinaryMs - 1);
    expect(await outcome(promise)).toBe('waits');
    await vi.advanceTimersByTimeAsync(1);
    expect(await outcome(promise)).toBe('may');
  });
  test('a node whose only peer is suspended meanwhile goes on', async () => {
    const rejoin = open();
    const promise = rejoin.awaitFence();
    active = [];
    rejoin.peersChanged();
    expect(await outcome(promise)).toBe('may');
  });
  test('who waits when the node stops is told so', async () => {
    const rejoin = open();
    const promise = rejoin.awaitFence();
    rejoin.stop();
    expect(await outcome(promise)).toBe('stopping');
  });
});

describe('after a loss', () => {
  test('every active peer has to answer, however long it takes; then it is settled', async () => {
    const rejoin = open();
    rejoin.answered('b');
    rejoin.lost('entries-returned');
    expect(saved).toEqual([{ cause: 'entries-returned', since: 1_000_000, answered: ['b'] }]);
    await vi.advanceTimersByTimeAsync(10 * REJOIN_LIMITS.ordinaryMs);
    expect(await outcome(rejoin.awaitFence())).toBe('rejoining');
    rejoin.answered('c');
    expect(await outcome(rejoin.awaitFence())).toBe('may');
    expect(saved.at(-1)).toBeUndefined();
    expect(told.map((each) => each?.cause)).toEqual(['entries-returned', undefined]);
  });
  test('who waits for a first answer is refused when the loss shows', async () => {
    const rejoin = open();
    const promise = rejoin.awaitFence();
    expect(await outcome(promise)).toBe('waits');
    rejoin.lost('entries-returned');
    expect(await outcome(promise)).toBe('rejoining');
  });
  test('it outlives the process, with those that have answered', async () => {
    const rejoin = open({ cause: 'restored', since: 5, answered: ['b'] });
    expect(rejoin.status()).toEqual({
      waiting: true,
      recovery: { cause: 'restored', since: 5, answered: ['b'] },
      peers: [
        { peer: 'b', answered: true },
        { peer: 'c', answered: false },
      ],
    });
    expect(await outcome(rejoin.awaitFence())).toBe('rejoining');
  });
  test('damage found by a later process voids the answers that an earlier one had', async () => {
    for (const cause of ['repaired', 'tail-lost'] as const) {
      const rejoin = open({ cause: 'restored', since: 5, answered: ['b', 'c'] });
      rejoin.lost(cause);
      expect(await outcome(rejoin.awaitFence())).toBe('rejoining');
      expect(saved.at(-1)).toEqual({ cause, since: 1_000_000, answered: [] });
    }
  });
  test('entries that come back meanwhile do not', async () => {
    const rejoin = open({ cause: 'restored', since: 5, answered: ['b'] });
    rejoin.lost('entries-returned');
    rejoin.answered('c');
    expect(await outcome(rejoin.awaitFence())).toBe('may');
  });
  test('a peer registered meanwhile is waited for too, a suspended one is not', async () => {
    const rejoin = open({ cause: 'restored', since: 5, answered: ['b'] });
    active = ['b', 'd'];
    rejoin.peersChanged();
    expect(await outcome(rejoin.awaitFence())).toBe('rejoining');
    active = ['b'];
    rejoin.peersChanged();
    expect(await outcome(rejoin.awaitFence())).toBe('may');
  });
  test('the operator ends it: what comes back after that is of the same loss, new damage begins anew', async () => {
    const rejoin = open({ cause: 'restored', since: 5, answered: [] });
    rejoin.force();
    expect(saved).toEqual([undefined]);
    expect(await outcome(rejoin.awaitFence())).toBe('may');
    rejoin.lost('entries-returned');
    expect(saved).toEqual([undefined]);
    expect(await outcome(rejoin.awaitFence())).toBe('may');
    rejoin.lost('repaired');
    expect(await outcome(rejoin.awaitFence())).toBe('rejoining');
  });
  test('who ended only the wait of a start did not know of a loss', async () => {
    const rejoin = open();
    rejoin.force();
    expect(await outcome(rejoin.awaitFence())).toBe('may');
    rejoin.lost('entries-returned');
    expect(await outcome(rejoin.awaitFence())).toBe('rejoining');
  });
});

test('promises go on exactly when nobody is silent, one answered an ordinary start, or its time is over', () => {
  const peers = fc.subarray(['b', 'c', 'd', 'e']);
  fc.assert(
    fc.property(peers, peers, fc.boolean(), fc.nat(60_000), (list, answers, isLoss, elapsed) => {
      const recovery = isLoss ? ({ cause: 'restored', since: 0, answered: [] } as const) : undefined;
      const wait = waiting({ startedAt: 0, answered: new Set(answers), recovery, active: list }, elapsed);
      const silent = list.filter((peer) => !answers.includes(peer));
      const heard = list.some((peer) => answers.includes(peer));
      const open = silent.length === 0 || (!isLoss && (heard || elapsed >= REJOIN_LIMITS.ordinaryMs));
      expect(wait === undefined).toBe(open);
      if (wait !== undefined) expect(wait.peers).toEqual(silent);
    }),
  );
});
