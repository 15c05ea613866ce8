/**
 * Loaded into a process before its program (`NODE_OPTIONS=--import=…`): measures the longest stretch of CPU between two turns of
 * the main thread's event loop. SIGUSR2 writes what was seen since the last one to the file that STALL_FILE names, as JSON.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const file = process.env['STALL_FILE'];
if (isMainThread && file !== undefined) {
  const cpuNow = (): number => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  let [cpu, wall] = [cpuNow(), performance.now()];
  let worst = { cpuMs: 0, wallMs: 0, rssMb: 0 };
  const look = (): void => {
    const [nowCpu, nowWall] = [cpuNow(), performance.now()];
    worst.cpuMs = Math.max(worst.cpuMs, nowCpu - cpu);
    worst.wallMs = Math.max(worst.wallMs, nowWall - wall);
    [cpu, wall] = [nowCpu, nowWall];
  };
  setInterval(look, 1).unref();
  process.on('SIGUSR2', () => {
    look();
    worst.rssMb = Math.round(process.memoryUsage.rss() / 1e6);
    // Whole or not at all: whoever waits for the file reads it at once.
    writeFileSync(`${file}.new`, JSON.stringify(worst));
    renameSync(`${file}.new`, file);
    worst = { cpuMs: 0, wallMs: 0, rssMb: 0 };
  });
}
