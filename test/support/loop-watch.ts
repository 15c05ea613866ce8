import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';

/** The longest that one turn of an event loop took, and how much work that was. Milliseconds. */
export interface LoopFigures {
  /** CPU of this thread between two turns, at worst: what the rule of 50 ms is about. */
  readonly cpuMs: number;
  /** Wall time between two turns, at worst. */
  readonly wallMs: number;
  /** The same of a loop in another thread that had nothing to do: what the machine itself kept waiting. */
  readonly controlWallMs: number;
  /** CPU of this thread over the whole time. */
  readonly totalCpuMs: number;
  /** Turns looked at: with few of them the figures say little. */
  readonly turns: number;
}

/** CPU that any one entry, frame, record, request or answer may cost the main thread between two turns of its loop. */
export const STRETCH_MS = 50;

/** CPU that this thread has used, milliseconds. */
function cpuNow(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** Looks at every turn of this thread's loop that a timer of 1 ms sees; so figures are at most that much too large. */
function watch(): () => Omit<LoopFigures, 'controlWallMs'> {
  const [startCpu, worst] = [cpuNow(), { cpuMs: 0, wallMs: 0, turns: 0 }];
  let [cpu, wall] = [startCpu, performance.now()];
  const look = (): void => {
    const [nowCpu, nowWall] = [cpuNow(), performance.now()];
    worst.cpuMs = Math.max(worst.cpuMs, nowCpu - cpu);
    worst.wallMs = Math.max(worst.wallMs, nowWall - wall);
    worst.turns++;
    [cpu, wall] = [nowCpu, nowWall];
  };
  const timer = setInterval(look, 1);
  return () => {
    clearInterval(timer);
    look();
    return { ...worst, totalCpuMs: cpuNow() - startCpu };
  };
}

/** The control: wall time alone, measured in a thread that does nothing else. */
const CONTROL = `
const { parentPort } = require('node:worker_threads');
let last = performance.now(), worst = 0;
const look = () => { const now = performance.now(); worst = Math.max(worst, now - last); last = now; };
const timer = setInterval(look, 1);
parentPort.once('message', () => { clearInterval(timer); look(); parentPort.postMessage(worst); });
parentPort.postMessage(0);
`;

/**
 * Runs `work` and says how long it kept this thread's event loop from turning. Warm up what is to be measured first: what runs for
 * the first time is not compiled yet. The worst stretch before `work` begins does not count, one that it ends in does.
 */
export async function watchLoop<T>(work: () => Promise<T>): Promise<LoopFigures & { readonly result: T }> {
  const control = new Worker(CONTROL, { eval: true });
  const said = (): Promise<number> => new Promise((resolve) => control.once('message', resolve));
  try {
    await said();
    await sleep(5);
    const stop = watch();
    const result = await work();
    const figures = stop();
    const answer = said();
    control.postMessage('stop');
    return { ...figures, controlWallMs: await answer, result };
  } finally {
    await control.terminate();
  }
}

/** Figures in one line, for the log of a test. */
export function loopLine(
  name: string,
  { cpuMs, wallMs, controlWallMs, totalCpuMs, turns }: LoopFigures,
): string {
  const ms = (value: number): string => `${value.toFixed(1)} ms`;
  return `${name}: longest stretch ${ms(cpuMs)} of CPU, ${ms(wallMs)} of wall time (control ${ms(controlWallMs)}), ${ms(totalCpuMs)} in all over ${turns} turns`;
}
