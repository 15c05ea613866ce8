/**
 * The HTTP API under load, beside a bare hono server, while a catch-up of all listings runs and while none does:
 * `node http.ts --records listings.ndjson`. One JSON line as the result. For each kind of request an empty node joins a filled one,
 * is asked while it catches up, and again when it is done.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { field, startDaemon, type DaemonProcess } from './daemon-process.ts';
import type { Answers } from './hono-server.ts';
import { readListings, withoutId } from './listings.ts';
import { generateLoad, noteRefusals } from './load.ts';
import { mainThreadCpu, now, progress, quantile, report, temporaryFolder, until } from './measure.ts';
import { importListings, type Run } from './pair.ts';

const IN_FLIGHT = 64;
const REQUESTS = 10_000;
const WARM_UP = 1000;
const EXPORTS = 5;
const CAUGHT_UP_WITHIN_MS = 180_000;

/** What is asked: its path, and whether it writes. */
const KINDS = [
  { name: 'Get', method: 'GET', path: '/listings?limit=50' },
  { name: 'Post', method: 'POST', path: '/listings' },
] as const;
type Kind = (typeof KINDS)[number];

interface Target {
  port: number;
  pid: number;
  headers: Record<string, string>;
}

/** From when to when, in milliseconds of the monotonic clock; the end may come while it is measured. */
interface Window {
  start: number;
  end: number;
}

/** Requests per second and their p99 within a window, under `Get` and `Post`. */
async function ask(run: Run, target: Target, kind: Kind, label: string, window?: Window): Promise<void> {
  const bodies = run.listings.map(withoutId);
  const warmUp = window === undefined ? WARM_UP : 0;
  const requests = Array.from({ length: REQUESTS + warmUp }, (_, i) => {
    const { method, path } = kind;
    return method === 'POST' ? { method, path, body: bodies[i % bodies.length] } : { method, path };
  });
  const result = await generateLoad({ ...target, requests, inFlight: IN_FLIGHT, warmUp, samples: true });
  noteRefusals(run.notes, `${label}${kind.name}`, result.refused);
  const { start, end } = window ?? { start: 0, end: Number.POSITIVE_INFINITY };
  const within = (result.samples ?? []).filter(({ at }) => at >= start && at <= end);
  if (within.length < 100) run.notes.push(`${label}${kind.name}: only ${within.length} answers in its time`);
  const seconds = (Math.min(end, result.endedAt) - Math.max(start, result.startedAt)) / 1000;
  run.metrics[nameOf(label, `${kind.name}PerS`)] = within.length / seconds;
  if (window === undefined) run.metrics[nameOf(label, `${kind.name}CpuUs`)] = result.cpuUs;
  const times = within.map(({ ms }) => ms);
  run.metrics[nameOf(label, `${kind.name}P99Ms`)] = quantile(times, 0.99);
}

/** Megabytes (10^6 bytes) per second of whole exports, one after the other; within a window, until it ends. */
async function download(run: Run, target: Target, label: string, window?: Window): Promise<void> {
  let bytes = 0;
  const cpuBefore = mainThreadCpu(target.pid);
  const started = now();
  let exports = 0;
  const more = (): boolean =>
    window === undefined ? exports < EXPORTS : window.end === Number.POSITIVE_INFINITY;
  do {
    const answer = await fetch(`http://127.0.0.1:${target.port}/federation/export`, target);
    if (!answer.ok) throw new Error(`GET /federation/export: ${answer.status}`);
    for await (const chunk of answer.body ?? []) bytes += chunk.byteLength;
    exports++;
  } while (more());
  run.metrics[nameOf(label, 'ExportMBPerS')] = bytes / 1e6 / ((now() - started) / 1000);
  if (window === undefined)
    run.metrics[nameOf(label, 'ExportCpuMsPerMB')] =
      (mainThreadCpu(target.pid) - cpuBefore) / 1000 / (bytes / 1e6);
}

/** The bare server with the same answers: whatever it gives, the same machine gave in the same run. */
async function bare(run: Run, filled: DaemonProcess): Promise<void> {
  const { listingId: _, ...created } = (await filled.call(
    'POST',
    '/listings',
    withoutId(run.listings[0] ?? { id: '' }),
  )) as Record<string, unknown>;
  const answers = {
    created,
    page: await filled.call('GET', KINDS[0].path),
    exported: (await filled.call('GET', '/federation/export')) as Record<string, unknown>,
  } satisfies Answers;
  const file = join(run.folder, 'answers.json');
  writeFileSync(file, JSON.stringify(answers));
  const path = fileURLToPath(new URL('hono-server.ts', import.meta.url));
  const child = spawn(process.execPath, [path, file], { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const lines = createInterface(child.stdout);
    const [line] = await once(lines, 'line', { signal: AbortSignal.timeout(20_000) });
    const target = { port: Number(line), pid: child.pid ?? 0, headers: {} };
    for (const kind of KINDS) await ask(run, target, kind, 'bare');
    await download(run, target, 'bare');
  } finally {
    child.kill();
  }
}

/** Lets an empty node join, measures on it while it catches up, then once more when it has. */
async function onJoiner(
  run: Run,
  filled: DaemonProcess,
  name: string,
  measure: (target: Target, label: string, window?: Window) => Promise<void>,
): Promise<void> {
  progress(`http: ${name} while a node catches up`);
  const joiner = await startDaemon(run.folder, `joiner-${name}`);
  try {
    const records = await countOn(filled, filled);
    const window = { start: now(), end: Number.POSITIVE_INFINITY };
    await joiner.call('POST', '/federation/join', { url: filled.url, key: filled.key });
    const caughtUp = until(
      'all listings on the joiner',
      async () => ((await countOn(joiner, filled)) === records ? true : undefined),
      { everyMs: 50, timeoutMs: CAUGHT_UP_WITHIN_MS },
    ).then(() => {
      window.end = now();
      run.metrics[`catchUpWith${name}PerS`] = (run.listings.length / (window.end - window.start)) * 1000;
    });
    await Promise.all([measure(joiner, 'catchingUp', window), caughtUp]);
    progress(`http: ${name} while none does`);
    await measure(joiner, '');
  } finally {
    await joiner.stop();
  }
}

async function countOn(daemon: DaemonProcess, owner: DaemonProcess): Promise<unknown> {
  const owners = field(await daemon.call('GET', '/federation/digest'), 'owners');
  return field(field(field(field(owners, owner.peerId), 'collections'), 'listings'), 'count');
}

/** `bare` and `GetPerS` are `bareGetPerS`; nothing and `GetPerS` are `getPerS`. */
function nameOf(label: string, figure: string): string {
  return label === '' ? figure.charAt(0).toLowerCase() + figure.slice(1) : label + figure;
}

const { values } = parseArgs({ options: { records: { type: 'string' } } });
const file = values.records ?? '';
const folder = temporaryFolder('http');
const run: Run = { folder: folder.path, listings: readListings(file), metrics: {}, notes: [] };
try {
  const filled = await startDaemon(run.folder, 'filled');
  try {
    await importListings(filled, run.listings, run.notes);
    progress('http: a bare server with the same answers');
    await bare(run, filled);
    for (const kind of KINDS)
      await onJoiner(run, filled, kind.name, (target, label, window) =>
        ask(run, target, kind, label, window),
      );
    await onJoiner(run, filled, 'Export', (target, label, window) => download(run, target, label, window));
  } finally {
    await filled.stop();
  }
} finally {
  folder.close();
}
report({ name: 'http', metrics: run.metrics, notes: run.notes });
