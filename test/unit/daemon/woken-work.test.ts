import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { systemEnv } from '../../../daemon/system-env.ts';
import { WokenWork } from '../../../daemon/woken-work.ts';

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => void vi.useRealTimers());

/** Looks as it is told to, and shows what those that look by themselves see. */
class Looker extends WokenWork {
  readonly failures: unknown[] = [];
  readonly #look: (work: Looker) => Promise<void>;

  constructor(look: (work: Looker) => Promise<void>) {
    super(systemEnv);
    this.#look = look;
  }

  get isStopping(): boolean {
    return this.stopping.aborted;
  }

  sleepFor(ms: number): void {
    this.sleep(ms);
  }

  protected override look(): Promise<void> {
    return this.#look(this);
  }

  protected override failed(error: unknown): void {
    this.failures.push(error);
  }
}

it('looks one at a time, and once more where it was woken meanwhile', async () => {
  let [looks, under, most] = [0, 0, 0];
  const woken = new Looker(async () => {
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
  const woken = new Looker(async (self) => {
    looks++;
    self.wake();
    throw new Error('closed');
  });
  woken.wake();
  await woken.idle();
  expect([looks, woken.failures.length]).toEqual([1, 1]);
  await vi.advanceTimersByTimeAsync(2000);
  expect(looks).toBe(2);
  await woken.stop();
});

it('sleeps no longer than half a minute, and not after its stop', async () => {
  let looks = 0;
  const woken = new Looker(async (self) => {
    looks++;
    self.sleepFor(3_600_000);
  });
  woken.wake();
  await vi.advanceTimersByTimeAsync(29_999);
  expect(looks).toBe(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(looks).toBe(2);
  await woken.stop();
  woken.wake();
  woken.sleepFor(1);
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect([looks, woken.isStopping, vi.getTimerCount()]).toEqual([2, true, 0]);
});
