import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** What one part of the benchmark prints as its last line of standard output. */
export interface PartResult {
  name: string;
  /** Figure by name; the unit is the end of the name (`PerS`, `Ms`, `MB`, `BytesPerRecord`). */
  metrics: Record<string, number>;
  /** What could not be measured, and why. */
  notes: string[];
}

/** Milliseconds of the machine's monotonic clock, which on Linux is the same for every process. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** One line for whoever watches; standard output is for the result. */
export function progress(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Prints the result of a part: one JSON line. */
export function report(result: PartResult): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

/** The q-quantile (0 to 1) by nearest rank; NaN of nothing. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * q) - 1))] ?? Number.NaN;
}

/** Runs `work(i)` for 0 <= i < count with at most `width` at a time; gives the milliseconds it took. */
export async function inFlight(
  count: number,
  width: number,
  work: (index: number) => Promise<unknown>,
): Promise<number> {
  let next = 0;
  const started = now();
  const lane = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: width }, lane));
  return now() - started;
}

/** Asks `probe` every `everyMs` until it gives something; throws with `what` after `timeoutMs`. */
export async function until<T>(
  what: string,
  probe: () => Promise<T | undefined>,
  { everyMs = 5, timeoutMs = 60_000 }: { everyMs?: number; timeoutMs?: number } = {},
): Promise<T> {
  const end = now() + timeoutMs;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (now() > end) throw new Error(`${what}: not within ${timeoutMs} ms`);
    if (everyMs > 0) await delay(everyMs);
  }
}

/** A folder that goes away with `close()`. */
export function temporaryFolder(name: string): { path: string; close(): void } {
  const path = mkdtempSync(join(tmpdir(), `agrinet-bench-${name}-`));
  return { path, close: () => rmSync(path, { recursive: true, force: true }) };
}

/** Bytes on disk under a folder, as `du` counts them. */
export function bytesOnDisk(path: string): number {
  const stat = lstatSync(path);
  if (!stat.isDirectory()) return stat.blocks * 512;
  return readdirSync(path).reduce((sum, name) => sum + bytesOnDisk(join(path, name)), stat.blocks * 512);
}

/** Bytes that a process has had written to disk so far (`/proc/<pid>/io`). */
export function bytesWritten(pid: number): number {
  return Number(/^write_bytes: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1]);
}

/** Resident memory of a process in MB (10^6 bytes): now, or the highest it ever was. */
export function residentMegabytes(pid: number, which: 'VmRSS' | 'VmHWM' = 'VmRSS'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kilobytes = new RegExp(`^${which}:\\s+(\\d+) kB`, 'm').exec(status)?.[1];
  return (Number(kilobytes) * 1024) / 1e6;
}

/** CPU time that the main thread of a process has used so far, microseconds (`/proc/<pid>/schedstat`, whose first figure is nanoseconds). */
export function mainThreadCpu(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1000;
}

/** CPU time that all threads of a process have used so far, seconds. */
export function processCpu(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const nanoseconds = threads.map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]),
  );
  return nanoseconds.reduce((sum, each) => sum + each, 0) / 1e9;
}

/** A TCP port on loopback that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
