/**
 * A million prices on one daemon: `node million.ts --records listings.ndjson`. One JSON line as the result: how fast the first and the last
 * of them are taken in, the memory, and how long the first `GET /trends` takes after a start.
 */
import { parseArgs } from 'node:util';
import { field, startDaemon, type DaemonProcess } from './daemon-process.ts';
import { readListings, type ListingFields } from './listings.ts';
import { now, progress, quantile, report, residentMegabytes, temporaryFolder } from './measure.ts';

const PRICES = 1_000_000;
const BATCH = 10_000;
/** Batches at either end, of which the median counts. */
const ENDS = 9;

/** One price: the market and goods of a listing, on another day each time round. */
function price(listings: readonly ListingFields[], index: number): Record<string, string | number> {
  const listing = listings[index % listings.length] ?? { id: '' };
  const day = new Date(Date.UTC(2000, 0, 1 + Math.floor(index / listings.length))).toISOString().slice(0, 10);
  const { market = '', commodity = '', unit = '', currency = '', price: amount = 1 } = listing;
  return {
    kind: 'price',
    market,
    commodity,
    unit,
    currency,
    price: amount,
    priceType: 'Retail',
    date: day,
    source: 'WFP',
  };
}

async function importBatch(daemon: DaemonProcess, rows: readonly object[]): Promise<number> {
  const body = rows.map((row) => JSON.stringify(row)).join('\n');
  const started = now();
  const answer = await fetch(`${daemon.url}/import`, {
    method: 'POST',
    headers: { ...daemon.headers, 'content-type': 'application/x-ndjson' },
    body: `${body}\n`,
  });
  const last = (await answer.text()).trimEnd().split('\n').at(-1) ?? '';
  const told: unknown = JSON.parse(last);
  if (!answer.ok || field(told, 'finished') !== true || field(told, 'created') !== rows.length)
    throw new Error(`POST /import: ${last}`);
  return (rows.length / (now() - started)) * 1000;
}

const { values } = parseArgs({ options: { records: { type: 'string' } } });
const listings = readListings(values.records ?? '');
const folder = temporaryFolder('million');
const metrics: Record<string, number> = {};
try {
  const daemon = await startDaemon(folder.path, 'million');
  try {
    const rates: number[] = [];
    for (let at = 0; at < PRICES; at += BATCH) {
      const rows = Array.from({ length: BATCH }, (_, i) => price(listings, at + i));
      rates.push(await importBatch(daemon, rows));
      progress(`million: ${(at + BATCH).toLocaleString('en-US')} prices`);
    }
    metrics['firstPerS'] = quantile(rates.slice(1, 1 + ENDS), 0.5); // the first batch compiles
    metrics['lastPerS'] = quantile(rates.slice(-ENDS), 0.5);
    metrics['rssMB'] = residentMegabytes(daemon.pid);
  } finally {
    await daemon.stop();
  }
  const again = await startDaemon(folder.path, 'million');
  try {
    const started = now();
    await again.call('GET', '/trends');
    metrics['trendsFirstMs'] = now() - started;
  } finally {
    await again.stop();
  }
} finally {
  folder.close();
}
report({ name: 'million', metrics, notes: [] });
