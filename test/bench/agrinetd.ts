/**
 * agrinetd, measured over HTTP on real daemon processes: `node agrinetd.ts --records listings.ndjson`, and with
 * `--large` the memory with 50,000 listings besides. One JSON line as the result. A step that fails is a note, and the rest goes on.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { startDaemon } from './daemon-process.ts';
import { readListings, withoutId } from './listings.ts';
import { generateLoad, noteRefusals } from './load.ts';
import { progress, report, temporaryFolder } from './measure.ts';
import { burst, BURST, catchUp, live, LIVE_WRITES, type Metrics, type Run } from './pair.ts';

const IN_FLIGHT = 64;
const POSTS = 10_000;
const WARM_UP = 2000;
const LARGE = 50_000;

/** Acknowledged `POST /listings` on one daemon without peers. */
async function httpWrites({ folder, listings, metrics, notes }: Run): Promise<void> {
  const daemon = await startDaemon(folder, 'alone');
  try {
    const bodies = listings.map(withoutId);
    const requests = Array.from({ length: POSTS + WARM_UP }, (_, i) => {
      return { method: 'POST', path: '/listings', body: bodies[i % bodies.length] };
    });
    const load = {
      port: daemon.port,
      headers: daemon.headers,
      requests,
      inFlight: IN_FLIGHT,
      warmUp: WARM_UP,
    };
    const { perS, refused } = await generateLoad(load);
    noteRefusals(notes, 'POST /listings', refused);
    metrics['httpWritesPerS'] = perS;
  } finally {
    await daemon.stop();
  }
}

/** In a process of its own, so that neither heap nor compiler of this one takes part. */
async function inProcess({ metrics }: Run, file: string): Promise<void> {
  const script = fileURLToPath(new URL('in-process.ts', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script, '--records', file]);
  metrics['inProcessWritesPerS'] = Number(stdout);
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
  await step('acknowledged writes over HTTP', () => httpWrites(run));
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
    for (const [key, value] of Object.entries(figures)) metrics[`with50k.${key}`] = value;
    metrics['with50k.rssMB'] = Math.max(
      figures['rssWriterMB'] ?? Number.NaN,
      figures['rssReaderMB'] ?? Number.NaN,
    );
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
