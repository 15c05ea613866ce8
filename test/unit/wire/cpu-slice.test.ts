import { expect, it } from 'vitest';
import { CpuSlice } from '../../../protocols/cpu-slice.ts';

it('is over when so much CPU has been used, however much time has passed, and asks for it no more often than it can be', () => {
  let [cpuMs, nowMs, asked] = [100, 5000, 0];
  const env = { cpu: () => (asked++, cpuMs), monotonic: () => nowMs };
  const slice = new CpuSlice(env, 8);
  const pass = (ms: number, used: number): boolean => {
    nowMs += ms;
    cpuMs += used;
    return slice.isOver();
  };
  asked = 0;
  expect([pass(4, 4), pass(3.9, 3.9)]).toEqual([false, false]);
  expect(asked).toBe(0); // less time has passed than CPU is allowed
  expect(pass(100, 0)).toBe(false); // others had the core
  expect(asked).toBe(1);
  expect([pass(0.05, 0.05), pass(0.04, 0.04)]).toEqual([false, false]);
  expect(asked).toBe(1); // 0.1 ms was left then
  expect(pass(0.01, 0.01)).toBe(true);
  slice.begin();
  expect([pass(7.9, 7.9), pass(0.2, 0.2)]).toEqual([false, true]);
});
