/**
 * Sends a real daemon everything that others can send it, as large as any limit lets it be, and measures from inside it the
 * longest stretch of CPU between two turns of its event loop. By itself: `SHARE=1 SEED=1 ONLY=entries npm run campaign:stall`.
 * The attackers are in this process, so what they cost is not counted as the daemon's.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { figure, runCampaign } from '../support/campaign.ts';
import { freePort } from '../support/daemon.ts';
import { ProcessFederation, type ProcessMember } from '../support/federation.ts';
import { NET, randomFrom } from '../support/forge.ts';
import { STRETCH_MS } from '../support/loop-watch.ts';
import { tempDir } from '../support/temp-dir.ts';
import { waitFor } from '../support/wait.ts';
import { STALL_INPUTS, type StallInput } from './stall-inputs.ts';

const PROBE = fileURLToPath(new URL('../support/stall-probe.ts', import.meta.url));

/** What a probe saw since it was last asked. Milliseconds and megabytes. */
interface Seen {
  readonly cpuMs: number;
  readonly wallMs: number;
  readonly rssMb: number;
}

/** The worst of one input, beside a process that had nothing to do in the same time. */
export interface StallFigures extends Seen {
  readonly name: string;
  readonly controlWallMs: number;
}

const probed = (file: string): Record<string, string> => ({
  NODE_OPTIONS: `--import=${PROBE}`,
  STALL_FILE: file,
});

async function askProbe(child: ChildProcess, file: string): Promise<Seen> {
  rmSync(file, { force: true });
  child.kill('SIGUSR2');
  const text = await waitFor('the probe to answer', () => readIfThere(file), 60_000);
  return JSON.parse(text) as Seen;
}

function readIfThere(file: string): string | false {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return false; // not written yet
  }
}

/** CPU of a process in all its threads, milliseconds (proc(5): utime and stime in ticks of 10 ms). */
function cpuOf({ pid }: ChildProcess): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/**
 * Until a process has used at most a fifth of a core for half a second: what it was sent is done with, or nearly; what comes later is
 * seen with the next input. At most a minute.
 */
async function untilIdle(child: ChildProcess): Promise<void> {
  for (let quiet = 0, tries = 0; quiet < 5 && tries < 600; tries++) {
    const before = cpuOf(child);
    await sleep(100);
    quiet = cpuOf(child) - before <= 20 ? quiet + 1 : 0;
  }
}

/** What an input costs it costs each time, anew; a collection of garbage, or a compilation, strikes one of them. */
const TRIES = 3;

/** One victim for all inputs; each is sent small first, because what runs for the first time is not compiled yet. */
export async function stallFigures(
  inputs: readonly StallInput[],
  { share, seed, onFigures }: { share: number; seed: number; onFigures: (figures: StallFigures) => void },
): Promise<StallFigures[]> {
  const folder = tempDir('stall');
  const files = { victim: join(folder.path, 'victim.json'), control: join(folder.path, 'control.json') };
  const control = spawn(process.execPath, ['-e', 'setInterval(() => undefined, 1e6)'], {
    env: { ...process.env, ...probed(files.control) },
    stdio: 'ignore',
  });
  const federation = new ProcessFederation();
  const all: StallFigures[] = [];
  try {
    const victim: ProcessMember = await federation.add({
      ...probed(files.victim),
      MYCELIUM_NETWORK: NET,
      ALLOW_PRIVATE_PEERS: 'on',
      SYNC_INTERVAL_MINUTES: '0',
      LOG_LEVEL: 'warn',
      PORT: String(await freePort()), // for such a log does not tell it
    });
    const scene = { victim, random: randomFrom(seed) };
    for (const input of inputs) {
      const send = async (part: number): Promise<void> => {
        await untilIdle(victim.child);
        await askProbe(victim.child, files.victim);
        await askProbe(control, files.control);
        await input.send(scene, part).catch((error: unknown) => {
          throw new Error(`${input.name}, SEED=${seed}`, { cause: error });
        });
      };
      await send(Math.min(share, 0.02));
      const sent = async (): Promise<StallFigures> => {
        await send(share);
        await untilIdle(victim.child);
        const seen = await askProbe(victim.child, files.victim);
        const { wallMs: controlWallMs } = await askProbe(control, files.control);
        return { name: input.name, ...seen, controlWallMs };
      };
      let figures = await sent();
      for (let tries = 1; tries < TRIES && figures.cpuMs > STRETCH_MS; tries++) {
        const again = await sent();
        if (again.cpuMs < figures.cpuMs) figures = again;
      }
      all.push(figures);
      onFigures(figures);
      const { status } = await victim.request('GET', '/health');
      if (status !== 200) throw new Error(`after "${input.name}" the daemon answers ${status}, SEED=${seed}`);
    }
    return all;
  } finally {
    control.kill('SIGKILL');
    await federation.close();
    folder.remove();
  }
}

/** Figures of one input in one line. */
export function stallLine({ name, cpuMs, wallMs, controlWallMs, rssMb }: StallFigures): string {
  const mark = cpuMs > STRETCH_MS ? 'OVER' : 'ok  ';
  return `${mark} ${cpuMs.toFixed(1).padStart(7)} ms of CPU, ${wallMs.toFixed(0).padStart(5)} ms of wall time (control ${controlWallMs.toFixed(0)}), ${rssMb} MB: ${name}`;
}

if (import.meta.main) {
  const inputs = STALL_INPUTS.filter(({ name }) => name.includes(process.env['ONLY'] ?? ''));
  await runCampaign('stall', inputs.length, async ({ seed, onDone }) => {
    const share = figure('SHARE', 1);
    const lines: string[] = [];
    const figures = await stallFigures(inputs, {
      share,
      seed,
      onFigures(each) {
        lines.push(stallLine(each));
        onDone();
      },
    }).finally(() => console.log(`\n${lines.join('\n')}`));
    const over = figures.filter(({ cpuMs }) => cpuMs > STRETCH_MS);
    if (over.length > 0) throw new Error(`${over.length} inputs over ${STRETCH_MS} ms, SHARE=${share}`);
    return { inputs: figures.length, share, worstMs: Math.max(...figures.map(({ cpuMs }) => cpuMs)) };
  });
}
