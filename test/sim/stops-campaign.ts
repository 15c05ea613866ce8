/**
 * Stops a node's storage while it writes and compacts, by SIGTERM and SIGKILL at seeded moments (also while it opens), and starts it again on the
 * same folder: it starts, finds nothing wrong, repairs nothing, raises no alarm and has everything that was acknowledged. By itself:
 * `COUNT=1000 SEED=7 node test/sim/stops-campaign.ts`; the test runs the same with less.
 */
import { runCampaign } from '../support/campaign.ts';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fsck } from '../../daemon/maintenance.ts';
import { loadSettings } from '../../daemon/settings.ts';
import { seededRandom } from '../support/random.ts';
import type { WriterMessage } from '../support/stops-writer.ts';
import { tempDir } from '../support/temp-dir.ts';
import { systemEnv } from '../../daemon/system-env.ts';

export interface StopsFigures {
  /** Stops by the signal and the moment. */
  readonly stops: Record<string, number>;
  readonly acknowledged: number;
}

const WRITER = join(import.meta.dirname, '..', 'support', 'stops-writer.ts');
/** A folder is begun anew after so many stops: it grows with each. */
const STOPS_PER_FOLDER = 100;
/** A start is slow on a busy machine; beyond this it hangs. */
const START_MS = 120_000;

/** Throws at the first start that is not as if nothing had happened. */
export async function stopsCampaign(options: {
  count: number;
  seed: number;
  onDone?: () => void;
}): Promise<StopsFigures> {
  const { count, seed, onDone = () => undefined } = options;
  const random = seededRandom(seed);
  const dir = tempDir('stops');
  const figures = { stops: {} as Record<string, number>, acknowledged: 0 };
  try {
    for (let done = 0; done < count; done += STOPS_PER_FOLDER) {
      const folder = join(dir.path, String(done));
      const stops = Math.min(STOPS_PER_FOLDER, count - done);
      await oneFolder(folder, stops, random, figures, onDone).catch((error: unknown) => {
        throw new Error(`stops ${done} to ${done + stops}: run them again with SEED=${seed}`, {
          cause: error,
        });
      });
    }
    return figures;
  } finally {
    dir.remove();
  }
}

async function oneFolder(
  folder: string,
  stops: number,
  random: () => number,
  figures: { stops: Record<string, number>; acknowledged: number },
  onDone: () => void,
): Promise<void> {
  const acknowledged: Record<string, number> = {};
  for (let stop = 0; stop < stops; stop++) {
    const what = await oneLife(folder, random, acknowledged).catch((error: unknown) => {
      throw new Error(`after ${stop} stops`, { cause: error });
    });
    figures.stops[what] = (figures.stops[what] ?? 0) + 1;
    onDone();
  }
  figures.acknowledged += Object.values(acknowledged).reduce((sum, n) => sum + n, 0);
  const { problems } = await fsck(loadSettings({ DATA_DIR: folder }), systemEnv, () => undefined);
  if (problems.length > 0) throw new Error(`fsck finds ${JSON.stringify(problems)}`);
}

/** Starts the writer, checks what it finds and shows, and stops it; returns how. */
async function oneLife(
  folder: string,
  random: () => number,
  acknowledged: Record<string, number>,
): Promise<string> {
  const signal = random() < 0.6 ? 'SIGTERM' : 'SIGKILL';
  const opening = random() < 0.15 && signal === 'SIGKILL' && existsSync(join(folder, 'initialized'));
  const enough = Math.floor(random() * 30);
  const delayMs = random() * 40;
  const child = fork(WRITER, [folder, String(Math.floor(random() * 2 ** 31))], { silent: true });
  let output = '';
  child.stderr?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const exited = once(child, 'exit');
  const reached = Promise.withResolvers<void>();
  let batches = 0;
  const noticed: string[] = [];
  child.on('message', (message: WriterMessage) => {
    switch (message.kind) {
      case 'opening':
        if (opening) reached.resolve();
        break;
      case 'opened':
        noticed.push(...wrongWith(message, acknowledged));
        if (enough === 0) reached.resolve();
        break;
      case 'acknowledged':
        Object.assign(acknowledged, message.writes);
        if (++batches >= enough) reached.resolve();
        break;
    }
  });
  const state = (): string => `${signal}, ${batches} of ${enough} batches, ${output.slice(-2000)}`;
  await Promise.race([reached.promise, exited, hangs(child, () => `it does not write: ${state()}`)]);
  // The moment within a batch, an opening or a compaction is what varies.
  await new Promise((next) => setTimeout(next, delayMs));
  child.kill(signal);
  await Promise.race([exited, hangs(child, () => `it does not end: ${state()}`)]);
  const asAsked = signal === 'SIGKILL' ? child.signalCode === signal : child.exitCode === 0;
  if (!asAsked) noticed.push(`it ended by ${child.signalCode ?? child.exitCode}: ${output.slice(-3000)}`);
  if (noticed.length > 0) throw new Error(noticed.join('\n'));
  return `${signal}${opening ? ' while opening' : ''}`;
}

function wrongWith(
  { alarms, findings, shown }: Extract<WriterMessage, { kind: 'opened' }>,
  acknowledged: Readonly<Record<string, number>>,
): string[] {
  const { holes, tailLost, repaired } = findings;
  const wrong = alarms.map((kind) => `alarm ${kind}`);
  if (holes > 0 || tailLost > 0 || repaired) wrong.push(`it found ${JSON.stringify(findings)}`);
  for (const [id, quantity] of Object.entries(acknowledged))
    if ((shown[id] ?? 0) < quantity) wrong.push(`${id}: ${quantity} was acknowledged, ${shown[id]} is there`);
  return wrong;
}

function hangs(child: ChildProcess, what: () => string): Promise<never> {
  return new Promise((_, reject) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(what()));
    }, START_MS);
    child.once('exit', () => clearTimeout(timer));
  });
}

if (import.meta.main) await runCampaign('stops', 1000, stopsCampaign);
