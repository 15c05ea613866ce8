import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { WokenWork } from '../../../daemon/woken-work.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

function work(look: () => Promise<void>) {
  const failures: unknown[] = [];
  return {
    failures,
    work: new WokenWork({ env: systemEnv, look, onFailure: (error) => failures.push(error) }),
  };
}

it('looks one at a time, and once more where it was woken meanwhile', async () => {
  let [looks, under, most] = [0, 0, 0];
  const { work: woken } = work(async () => {
    looks++;
    most = Math.max(most, ++under);
    await Promise.resolve();
    under--;
  });
  for (let i = 0; i < 5; i++) woken.wake();
  await woken.idle();
  expect([looks, most]).toEqual([2, 1]);
});

it('leaves the event loop its turns where looks fail, however often it is woken', async () => {
  let looks = 0;
  const { work: woken, failures } = work(async () => {
    looks++;
    woken.wake();
    throw new Error('closed');
  });
  woken.wake();
  await woken.idle();
  expect([looks, failures.length]).toEqual([1, 1]);
  await vi.advanceTimersByTimeAsync(2000);
  expect(looks).toBe(2);
  await woken.stop();
});

it('sleeps no longer than half a minute, and not after its stop', async () => {
  let looks = 0;
  const { work: woken } = work(async () => {
    looks++;
    woken.sleep(3_600_000);
  });
  woken.wake();
  await vi.advanceTimersByTimeAsync(29_999);
  expect(looks).toBe(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(looks).toBe(2);
  await woken.stop();
  woken.wake();
  woken.sleep(1);
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect([looks, woken.stopping.aborted, vi.getTimerCount()]).toEqual([2, true, 0]);
});
