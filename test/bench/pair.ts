import { setTimeout as delay } from 'node:timers/promises';
import { field, startDaemon, type DaemonProcess } from './daemon-process.ts';
import { withoutId, type ListingFields } from './listings.ts';
import { generateLoad, noteRefusals } from './load.ts';
import {
  bytesOnDisk,
  bytesWritten,
  mainThreadCpu,
  now,
  progress,
  quantile,
  residentMegabytes,
  until,
} from './measure.ts';

const IN_FLIGHT = 64;
const CAUGHT_UP_WITHIN_MS = 180_000;

/** Figures by name. */
export type Metrics = Record<string, number>;

/** What every step of the measurement works with. */
export interface Run {
  /** Where the daemons put their folders. */
  folder: string;
  listings: ListingFields[];
  metrics: Metrics;
  /** What could not be measured, and why. */
  notes: string[];
}

/** How many single writes live latency is taken from. */
export const LIVE_WRITES = 200;
/** Updates in a burst. */
export const BURST = 2000;

/** Fills A, and B joins empty: catch-up, bytes, memory. Gives both, still running. */
export async function catchUp(
  run: Run,
  listings: ListingFields[],
  metrics: Metrics,
  name: string,
): Promise<Pair> {
  const a = await startDaemon(run.folder, `${name}-a`);
  const daemons = [a];
  try {
    const final = listings.at(-1);
    if (final === undefined) throw new Error('no listings');
    metrics['startCpuS'] = a.startCpuS;
    metrics['rssIdleMB'] = residentMegabytes(a.pid);
    const writtenBefore = bytesWritten(a.pid);
    const cpuBefore = mainThreadCpu(a.pid);
    const importMs = await importListings(a, listings.slice(0, -1), run.notes);
    metrics['importPerS'] = ((listings.length - 1) / importMs) * 1000;
    metrics['importCpuUsPerRecord'] = (mainThreadCpu(a.pid) - cpuBefore) / (listings.length - 1);
    // The last one alone, because its answer says how listings are named.
    const last = field(await a.call('POST', '/listings', final), 'listingId');
    if (typeof last !== 'string') throw new Error('POST /listings gives no listingId');
    metrics['writtenBytesPerRecord'] = (bytesWritten(a.pid) - writtenBefore) / listings.length;
    metrics['diskBytesPerRecord'] = bytesOnDisk(a.dataDir) / listings.length;

    const b = await startDaemon(run.folder, `${name}-b`, { observed: true });
    daemons.push(b);
    const before = a.proxy.bytes() + b.proxy.bytes();
    progress(`agrinetd: catch-up of ${listings.length}`);
    const started = now();
    const cpuStarted = mainThreadCpu(b.pid);
    await b.call('POST', '/federation/join', { url: a.url, key: a.key });
    await until('all listings on B', async () => (caughtUp(b, listings.length) ? true : undefined), {
      timeoutMs: CAUGHT_UP_WITHIN_MS,
    });
    metrics['catchUpPerS'] = (listings.length / ((b.commits.at(-1)?.at ?? Number.NaN) - started)) * 1000;
    metrics['catchUpCpuUsPerRecord'] = (mainThreadCpu(b.pid) - cpuStarted) / listings.length;
    const count = await countOn(b, a);
    if (count !== listings.length) throw new Error(`B shows ${String(count)} of ${listings.length} listings`);
    const wire = (a.proxy.bytes() + b.proxy.bytes() - before) / listings.length;
    // A listing cannot do with less than its key: so little means that the nodes met without a proxy between them.
    if (wire >= 8) metrics['wireBytesPerRecord'] = wire;
    else run.notes.push('bytes on the wire: the nodes went past the counting proxies (MYCELIUM_ANNOUNCE)');
    for (const [who, daemon] of [
      ['Writer', a],
      ['Reader', b],
    ] as const) {
      metrics[`rss${who}MB`] = residentMegabytes(daemon.pid);
      metrics[`rssPeak${who}MB`] = residentMegabytes(daemon.pid, 'VmHWM');
    }
    return { a, b, last };
  } catch (error) {
    await Promise.all(daemons.map((daemon) => daemon.stop()));
    throw error;
  }
}

/** Whether what the commits of an observed daemon brought is so many listings, of which none changed. */
function caughtUp({ commits }: DaemonProcess, count: number): boolean {
  return commits.reduce((sum, { listings }) => sum + listings, 0) >= count;
}

/** A filled node and one that has caught up with it, both running. */
export interface Pair {
  a: DaemonProcess;
  b: DaemonProcess;
  /** The listing id of the last listing. */
  last: string;
}

/** From the acknowledgement of a POST on A to the commit of the listing on B, from which on it is readable, one at a time. */
export async function live({ a, b }: Pair, { listings, metrics }: Run): Promise<void> {
  const fromAcknowledgement: number[] = [];
  const fromRequest: number[] = [];
  for (const listing of listings.slice(0, LIVE_WRITES)) {
    const committed = b.nextCommit();
    const sent = now();
    await a.call('POST', '/listings', withoutId(listing));
    const acknowledged = now();
    const { at } = await committed;
    // What is announced while it is still being acknowledged can be there before.
    fromAcknowledgement.push(Math.max(0, at - acknowledged));
    fromRequest.push(at - sent);
  }
  metrics['liveP50Ms'] = quantile(fromAcknowledgement, 0.5);
  metrics['liveP99Ms'] = quantile(fromAcknowledgement, 0.99);
  metrics['liveFromRequestP50Ms'] = quantile(fromRequest, 0.5);
  metrics['liveFromRequestP99Ms'] = quantile(fromRequest, 0.99);
}

/** 2,000 updates with 64 in flight on A, until B shows the same state: updates/s. `ids` are taken in turn. */
export async function burst({ a, b }: Pair, ids: string[], notes: string[]): Promise<number> {
  const requests = Array.from({ length: BURST }, (_, i) => {
    const id = ids[i % ids.length] ?? '';
    return { method: 'PATCH', path: `/listings/${encodeURIComponent(id)}`, body: { price: 100 + i } };
  });
  const { port, pid, headers } = a;
  const load = { port, pid, headers, requests, inFlight: IN_FLIGHT, warmUp: 0 };
  const { startedAt, refused } = await generateLoad(load);
  noteRefusals(notes, 'PATCH /listings', refused);
  const want = field(await a.call('GET', '/federation/digest'), 'digest');
  if (typeof want !== 'string') throw new Error('GET /federation/digest gives no digest');
  // Asked rarely; when it was so is known from the last commit.
  await until(
    'equal digests after the burst',
    async () => {
      return field(await b.call('GET', '/federation/digest'), 'digest') === want ? true : undefined;
    },
    { everyMs: 50 },
  );
  await delay(50); // what it told of its last commit has come by another way
  return (BURST / ((b.commits.at(-1)?.at ?? Number.NaN) - startedAt)) * 1000;
}

/** Writes listings through the import; gives the milliseconds it took. Throws when it does not finish. */
export async function importListings(
  daemon: DaemonProcess,
  listings: ListingFields[],
  notes: string[],
): Promise<number> {
  const body = listings.map((listing) => JSON.stringify({ kind: 'listing', ...listing })).join('\n');
  const started = now();
  const answer = await fetch(`${daemon.url}/import`, {
    method: 'POST',
    headers: { ...daemon.headers, 'content-type': 'application/x-ndjson' },
    body: `${body}\n`,
  });
  const lines = (await answer.text()).trimEnd().split('\n');
  const ms = now() - started;
  const last: unknown = JSON.parse(lines.at(-1) ?? 'null');
  if (!answer.ok || field(last, 'finished') !== true)
    throw new Error(`POST /import: ${lines.at(-1)?.slice(0, 300)}`);
  if (field(last, 'created') !== listings.length) notes.push(`import: ${lines.at(-1)?.slice(0, 300)}`);
  return ms;
}

async function countOn(daemon: DaemonProcess, owner: DaemonProcess): Promise<unknown> {
  const owners = field(await daemon.call('GET', '/federation/digest'), 'owners');
  return field(field(field(field(owners, owner.peerId), 'collections'), 'listings'), 'count');
}
