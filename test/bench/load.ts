/**
 * The load generator, a process of its own: `node load.ts`, with the plan as one JSON document on standard input and
 * the result as one JSON line on standard output. The same one for the bare server and for agrinetd.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { json, text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { inFlight, mainThreadCpu, now } from './measure.ts';
import { openConnection, requestBytes } from './raw-http.ts';

/** What to send. The first `warmUp` requests are not measured. */
export interface LoadPlan {
  port: number;
  headers: Record<string, string>;
  requests: { method: string; path: string; body?: unknown }[];
  inFlight: number;
  warmUp: number;
  /** The server's process, whose CPU time is measured. */
  pid: number;
  /** Whether the result lists every request. */
  samples?: boolean;
}

/** What came of it. `startedAt` and `endedAt` are of the shared monotonic clock, in milliseconds. */
export interface LoadResult {
  perS: number;
  /** CPU time of the main thread of the plan's process for each request after the warm-up, microseconds. */
  cpuUs: number;
  startedAt: number;
  endedAt: number;
  /** How many answers there were of each status that is not 2xx, the warm-up included. */
  refused: Record<string, number>;
  /** Of every request after the warm-up: when its answer was there, and how long it took, in milliseconds. */
  samples?: { at: number; ms: number }[];
}

/** Runs a plan in a second process. */
export async function generateLoad(plan: LoadPlan): Promise<LoadResult> {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exit = once(child, 'exit');
  const output = text(child.stdout);
  child.stdin.end(JSON.stringify(plan));
  const [code] = await exit;
  if (code !== 0) throw new Error(`the load generator ended with ${String(code)}`);
  return JSON.parse(await output) as LoadResult; // written by `run` below
}

/** Notes how many requests were refused, and with what. */
export function noteRefusals(notes: string[], what: string, refused: Record<string, number>): void {
  for (const [status, count] of Object.entries(refused)) notes.push(`${what}: ${count} answered ${status}`);
}

async function run(plan: LoadPlan): Promise<LoadResult> {
  const connections = await Promise.all(
    Array.from({ length: plan.inFlight }, () => openConnection(plan.port)),
  );
  // Encoded beforehand, so that while it counts this process only writes and reads.
  const bytes = plan.requests.map(({ method, path, body }) => requestBytes(method, path, plan.headers, body));
  const idle = [...connections];
  const refused: Record<string, number> = {};
  const samples: { at: number; ms: number }[] = [];
  const send = async (index: number): Promise<void> => {
    const connection = idle.pop();
    const request = bytes[index];
    if (connection === undefined || request === undefined) throw new Error('more requests than connections');
    const sent = plan.samples === true ? now() : 0;
    const { status } = await connection.send(request);
    if (plan.samples === true && index >= plan.warmUp) {
      const at = now();
      samples.push({ at, ms: at - sent });
    }
    if (status < 200 || status > 299) refused[status] = (refused[status] ?? 0) + 1;
    idle.push(connection);
  };
  await inFlight(plan.warmUp, plan.inFlight, send);
  const count = bytes.length - plan.warmUp;
  const cpuBefore = mainThreadCpu(plan.pid);
  const startedAt = now();
  const ms = await inFlight(count, plan.inFlight, (i) => send(i + plan.warmUp));
  const endedAt = now();
  const cpuUs = (mainThreadCpu(plan.pid) - cpuBefore) / count;
  for (const connection of connections) connection.close();
  const result = { perS: (count / ms) * 1000, cpuUs, startedAt, endedAt, refused };
  return plan.samples === true ? { ...result, samples } : result;
}

if (import.meta.main) {
  const plan = (await json(process.stdin)) as LoadPlan; // written by `generateLoad` above
  process.stdout.write(`${JSON.stringify(await run(plan))}\n`);
}
