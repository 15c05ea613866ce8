import { expect, test } from 'vitest';
import { STRETCH_MS, watchLoop } from '../../support/loop-watch.ts';

/** Uses processor time of this thread, milliseconds. */
function spin(ms: number): void {
  const cpu = (): number => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  for (const end = cpu() + ms; cpu() < end;);
}

test('one long stretch is seen, whether it is one call or a chain of promises', async () => {
  const call = await watchLoop(async () => spin(2 * STRETCH_MS));
  expect(call.cpuMs).toBeGreaterThanOrEqual(2 * STRETCH_MS);
  const chain = await watchLoop(async () => {
    for (let i = 0; i < 40; i++) {
      spin(5);
      await Promise.resolve();
    }
  });
  expect(chain.cpuMs).toBeGreaterThanOrEqual(4 * STRETCH_MS);
});

test('work that lets the loop turn between its slices is not one stretch', async () => {
  const { cpuMs, totalCpuMs, turns } = await watchLoop(async () => {
    for (let i = 0; i < 20; i++) {
      spin(8);
      await new Promise<void>((next) => setImmediate(next));
    }
  });
  expect(totalCpuMs).toBeGreaterThanOrEqual(160);
  expect(turns).toBeGreaterThan(10);
  expect(cpuMs).toBeLessThan(STRETCH_MS);
});

test('time without work is wall time alone, and the control does not see it', async () => {
  const { cpuMs, wallMs, controlWallMs } = await watchLoop(async () => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400);
  });
  expect(wallMs).toBeGreaterThanOrEqual(390);
  expect(cpuMs).toBeLessThan(STRETCH_MS);
  expect(controlWallMs).toBeLessThan(wallMs);
});
