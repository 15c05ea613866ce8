/**
 * agrinetd, measured over HTTP on real daemon processes: `node agrinetd.ts --records listings.ndjson`, and with
 * `--large` memory, disk and start with 200,000 listings besides. One JSON line as the result. A step that fails is a note, and the rest goes on.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { type DaemonProcess, startDaemon } from './daemon-process.ts';
import type { InProcessWrites } from './in-process.ts';
import { readListings } from './listings.ts';
import { mainThreadCpu, progress, quantile, report, residentMegabytes, temporaryFolder } from './measure.ts';
import { burst, BURST, catchUp, live, LIVE_WRITES, type Metrics, type Run } from './pair.ts';

const LARGE = 200_000;

/** In a process of its own, so that neither heap nor compiler of this one takes part. */
async function inProcess({ metrics }: Run, file: string): Promise<void> {
  const script = fileURLToPath(new URL('in-process.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script, '--records', file]);
  const { perS, cpuUs } = JSON.parse(stdout) as InProcessWrites; // printed by that script
  metrics['inProcessWritesPerS'] = perS;
  metrics['inProcessWritesCpuUs'] = cpuUs;
}

/** CPU time of the main thread for a request, milliseconds: the median of 21 that differ, so that no kept page answers. */
async function cpuMsOf(daemon: DaemonProcess, path: string): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 21; i++) {
    const before = mainThreadCpu(daemon.pid);
    await daemon.call('GET', `${path}&minPrice=${i / 1000}`);
    times.push((mainThreadCpu(daemon.pid) - before) / 1000);
  }
  return quantile(times, 0.5);
}

async function measure(run: Run, file: string, large: boolean): Promise<void> {
  const { notes, metrics, listings } = run;
  const step = async (name: string, work: () => Promise<void>): Promise<void> => {
    progress(`agrinetd: ${name}`);
    try {
      await work();
    } catch (error) {
      notes.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  await step('acknowledged writes in process', () => inProcess(run, file));
  await step(`import of ${listings.length}, then an empty joiner`, async () => {
    const pair = await catchUp(run, listings, metrics, 'catch-up');
    try {
      await step(`${LIVE_WRITES} single writes`, () => live(pair, run));
      await step(`burst of ${BURST} updates of one record`, async () => {
        metrics['burstPerS'] = await burst(pair, [pair.last], notes);
      });
      await step(`burst of ${BURST} updates of as many records`, async () => {
        // A listing's name holds its local id; with that of the last one, those of the others are known.
        const own = listings.at(-1)?.id ?? '';
        if (!pair.last.includes(own)) throw new Error(`${pair.last} does not show its local id`);
        const ids = listings.slice(0, BURST).map((listing) => pair.last.replace(own, listing.id));
        metrics['burstSpreadPerS'] = await burst(pair, ids, notes);
      });
    } finally {
      await Promise.all([pair.a.stop(), pair.b.stop()]);
    }
  });
  if (!large) return;
  await step(`memory with ${LARGE} listings`, async () => {
    const repeated = Array.from({ length: Math.ceil(LARGE / listings.length) }, () => listings).flat();
    const many = repeated.slice(0, LARGE).map((listing, i) => ({ ...listing, id: `large-${i}` }));
    const figures: Metrics = {};
    const pair = await catchUp(run, many, figures, 'large');
    await Promise.all([pair.a.stop(), pair.b.stop()]);
    for (const [key, value] of Object.entries(figures)) metrics[`with200k.${key}`] = value;
    const again = await startDaemon(run.folder, 'large-a');
    metrics['with200k.startCpuS'] = again.startCpuS;
    metrics['with200k.rssStartedMB'] = residentMegabytes(again.pid);
    try {
      metrics['with200k.nearCpuMs'] = await cpuMsOf(
        again,
        '/listings?geoLat_=-1.28&geoLong_=36.82&radiusKm=50&limit=50',
      );
      metrics['with200k.noMatchCpuMs'] = await cpuMsOf(again, '/listings?commodity=nothing&limit=50');
    } finally {
      await again.stop();
    }
  });
}

const { values } = parseArgs({ options: { records: { type: 'string' }, large: { type: 'boolean' } } });
const file = values.records ?? '';
const folder = temporaryFolder('agrinetd');
const run: Run = { folder: folder.path, listings: readListings(file), metrics: {}, notes: [] };
try {
  await measure(run, file, values.large === true);
} finally {
  folder.close();
}
report({ name: 'agrinetd', metrics: run.metrics, notes: run.notes });
