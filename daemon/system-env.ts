import type { Env, Timer, TimerOptions } from '../protocols/env.ts';
import { randomBytes } from './random-pool.ts';
import { threadPool } from './thread-pool.ts';

/** The machine's own time and chance: the only place that asks for them. */
export const systemEnv: Env = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  cpu() {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  },
  random: () => Math.random(),
  bytes: randomBytes,
  after: (ms, call, options) => (ms <= 0 ? immediate(call, options) : timeout(ms, call, options)),
  // Asked for in milliseconds that were worked out: a fraction or one below 0 would throw.
  deadline: (ms) => AbortSignal.timeout(Math.min(Math.max(0, Math.ceil(ms)), LONGEST_MS)),
  offload: threadPool,
};

/** The longest delay of `setTimeout`, milliseconds: for anything longer it would fire at once. */
const LONGEST_MS = 2 ** 31 - 1;

function timeout(ms: number, call: () => void, { holds = false }: TimerOptions = {}): Timer {
  const timer = setTimeout(call, Math.min(ms, LONGEST_MS));
  if (!holds) timer.unref();
  return { cancel: () => clearTimeout(timer) };
}

function immediate(call: () => void, { holds = true }: TimerOptions = {}): Timer {
  const timer = setImmediate(call);
  if (!holds) timer.unref();
  return { cancel: () => clearImmediate(timer) };
}
