/**
 * `npm run bench:reads [-- --listings N] [--prices N] [--seed S] [--rounds N] [--only text] [--folder F]`: fills a store and asks the API in this
 * process. For each question the median of what it used of the main thread, milliseconds of CPU, and the longest single answer's bytes.
 */
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { identityFromSeed } from '../../protocols/wire/identity.ts';
import { startNode, type TestNode } from '../support/in-process-node.ts';
import { fillStore } from './fill-store.ts';
import { listingRecords, pricesFile } from './listings.ts';
import { progress, quantile, residentMegabytes, temporaryFolder } from './measure.ts';

const NEAR = 'geoLat_=-1.28330&geoLong_=36.81670';
/** What is asked; `#` is another number each time, so that no kept page answers. */
const QUESTIONS: Readonly<Record<string, string>> = {
  'first page': '/listings?limit=#',
  'near 5 km': `/listings?${NEAR}&radiusKm=5&limit=#`,
  'near 50 km': `/listings?${NEAR}&radiusKm=50&limit=#`,
  'near 50 km, no match': `/listings?${NEAR}&radiusKm=50&commodity=Unobtainium&limit=#`,
  'near 50 km, one type, none of a place': `/listings?${NEAR}&radiusKm=50&type=offer&location=Atlantis&limit=#`,
  'near 500 km': `/listings?${NEAR}&radiusKm=500&limit=#`,
  'near 20 km in the sea': '/listings?geoLat_=-20.00000&geoLong_=60.00000&radiusKm=20&limit=#',
  'status without a match': '/listings?status=sold&type=offer&limit=#',
  'location without a match': '/listings?location=Atlantis&limit=#',
  'type, location, prices without a match':
    '/listings?type=offer&location=Atlantis&minPrice=5&maxPrice=6&limit=#',
  'type and prices': '/listings?type=offer&minPrice=10&maxPrice=90&limit=#',
  'region and a type without a match': '/listings?region=Coast&type=request&limit=#',
  'prices of a market and a commodity without a match':
    '/prices?market=Mombasa&commodity=Unobtainium&limit=#',
  export: '/federation/export?owner=self&#',
  'trends, first': '/trends',
  trends: '/trends?window=#',
};

const { values } = parseArgs({
  options: {
    listings: { type: 'string', default: '200000' },
    prices: { type: 'string', default: '50000' },
    seed: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '5' },
    only: { type: 'string', multiple: true },
    folder: { type: 'string' },
  },
});
const rounds = Number(values.rounds);
const identity = identityFromSeed(new Uint8Array(32).fill(Number(values.seed)));
const temporary = values.folder === undefined ? temporaryFolder('reads') : undefined;
const folder = values.folder ?? temporary?.path ?? '';

interface Asked {
  readonly cpuMs: number;
  readonly ms: number;
  readonly bytes: number;
}

async function ask({ app }: TestNode, path: string): Promise<Asked> {
  const started = performance.now();
  const before = process.threadCpuUsage();
  const answer = await app.request(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  let bytes = 0;
  for await (const chunk of answer.body ?? []) bytes += chunk.byteLength;
  const { user, system } = process.threadCpuUsage(before);
  return { cpuMs: (user + system) / 1000, ms: performance.now() - started, bytes };
}

async function measure(node: TestNode, name: string, path: string): Promise<void> {
  const once = !path.includes('#');
  const numbered = (i: number): string =>
    path.replace('#', path.startsWith('/trends') ? `${i + 1}` : `${50 - i}`);
  if (!once) await ask(node, numbered(rounds));
  const asked: Asked[] = [];
  for (let i = 0; i < (once ? 1 : rounds); i++) asked.push(await ask(node, numbered(i)));
  const median = (figure: (each: Asked) => number): string => quantile(asked.map(figure), 0.5).toFixed(1);
  const size = median(({ bytes }) => bytes / 1000);
  console.log(
    `${name}: ${median(({ cpuMs }) => cpuMs)} ms of CPU, ${median(({ ms }) => ms)} ms, ${size} kB, RSS ${residentMegabytes(process.pid).toFixed(0)} MB`,
  );
}

try {
  if (!existsSync(`${folder}/initialized`)) {
    const counts = { listingCount: Number(values.listings), priceCount: Number(values.prices) };
    const listings = listingRecords(pricesFile(), 12_000);
    const fill = { owner: identity.peerId, seed: Number(values.seed), listings, ...counts };
    await fillStore(folder, fill, (done) => done % 50_000 === 0 && progress(`${done} records written`));
  }
  const node = await startNode(folder, { RATE_LIMIT: 'off' }, identity);
  try {
    for (const [name, path] of Object.entries(QUESTIONS))
      if (values.only?.some((only) => name.includes(only)) ?? true) await measure(node, name, path);
  } finally {
    await node.stop();
  }
} finally {
  temporary?.close();
}
