/**
 * What both peer scripts measure with. Each script is one program in two roles: the writer, which you start and
 * which prints one JSON line, and the reader, a second process that the writer forks.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { lstatSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** Milliseconds of the machine's monotonic clock, which on Linux is the same for every process. */
export const now = () => Number(process.hrtime.bigint()) / 1e6;

/** One line for whoever watches; standard output is for the result. */
export const progress = (text) => process.stderr.write(`${text}\n`);

/** The q-quantile (0 to 1) of numbers, nearest rank. */
export function quantile(values, q) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * q) - 1))] ?? Number.NaN;
}

/** Runs `work(i)` for 0 <= i < count with at most `width` at a time; gives the milliseconds it took. */
export async function inFlight(count, width, work) {
  let next = 0;
  const started = now();
  const lane = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: width }, lane));
  return now() - started;
}

/** `{ records, count, perBlock }` of the command line: `--records listings.ndjson --count 2000 --per-block 64`. */
export function readArguments(defaults) {
  const { values } = parseArgs({
    options: { records: { type: 'string' }, count: { type: 'string' }, 'per-block': { type: 'string' } },
  });
  if (values.records === undefined) {
    progress('usage: node <script> --records <file of one JSON record a line> [--count n]');
    process.exit(2);
  }
  const records = readFileSync(values.records, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
  const count = Math.min(records.length, Number(values.count ?? defaults.count));
  return { records, count, perBlock: Number(values['per-block'] ?? 1) };
}

/** A folder that goes away with `close()`. */
export function temporaryFolder(name) {
  const path = mkdtempSync(join(tmpdir(), `agrinet-bench-${name}-`));
  return { path, close: () => rmSync(path, { recursive: true, force: true }) };
}

/** Bytes on disk under a folder, as `du` counts them. */
export function bytesOnDisk(path) {
  const stat = lstatSync(path);
  if (!stat.isDirectory()) return stat.blocks * 512;
  return readdirSync(path).reduce((sum, name) => sum + bytesOnDisk(join(path, name)), stat.blocks * 512);
}

/** Resident memory of a process in MB (10^6 bytes). */
export function residentMegabytes(pid = process.pid) {
  const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return (Number(kilobytes) * 1024) / 1e6;
}

/**
 * The reader process of `script`. `ask(message, ms)` sends it a message and waits for the answer that carries the same
 * `do`; `next(kind, ms)` waits for a message that it sends by itself. Both throw after `ms` milliseconds.
 */
export function startReader(script, environment) {
  const child = fork(fileURLToPath(script), [], {
    env: { ...process.env, ...environment, BENCH_ROLE: 'reader' },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const next = (kind, ms) =>
    new Promise((resolve, reject) => {
      const done = (settle, value) => {
        clearTimeout(timer);
        child.off('message', onMessage);
        child.off('exit', onExit);
        settle(value);
      };
      const onMessage = (message) => message.do === kind && done(resolve, message);
      const onExit = () => done(reject, new Error('the reader has ended'));
      const timer = setTimeout(() => done(reject, new Error(`no "${kind}" within ${ms} ms`)), ms);
      child.on('message', onMessage);
      child.on('exit', onExit);
    });
  return {
    pid: child.pid,
    next,
    ask(message, ms) {
      const answer = next(message.do, ms);
      child.send(message);
      return answer;
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Prints the result: one JSON line. */
export function report(name, metrics, notes = []) {
  process.stdout.write(`${JSON.stringify({ name, metrics, notes })}\n`);
}
