import { field, startDaemon, type DaemonProcess } from './daemon-process.ts';
import { withoutId, type ListingFields } from './listings.ts';
import { generateLoad, noteRefusals } from './load.ts';
import { bytesOnDisk, now, progress, quantile, residentMegabytes, until } from './measure.ts';

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
    const importMs = await importListings(a, listings.slice(0, -1), run.notes);
    metrics['importPerS'] = ((listings.length - 1) / importMs) * 1000;
    // The last one alone, because its answer says how listings are named.
    const last = field(await a.call('POST', '/listings', final), 'listingId');
    if (typeof last !== 'string') throw new Error('POST /listings gives no listingId');
    metrics['diskBytesPerRecord'] = bytesOnDisk(a.dataDir) / listings.length;

    const b = await startDaemon(run.folder, `${name}-b`);
    daemons.push(b);
    const before = a.proxy.bytes() + b.proxy.bytes();
    progress(`agrinetd: catch-up of ${listings.length}`);
    const started = now();
    await b.call('POST', '/federation/join', { url: a.url, key: a.key });
    const path = `/listings/${encodeURIComponent(last)}`;
    const options = { timeoutMs: CAUGHT_UP_WITHIN_MS };
    await until(
      'last listing on B',
      async () => ((await b.ask('GET', path)).status === 200 ? true : undefined),
      options,
    );
    // Feeds come in parallel and entries may wait, so the last one is not proof of all.
    await until(
      'all listings on B',
      async () => ((await countOn(b, a)) === listings.length ? true : undefined),
      options,
    );
    metrics['catchUpPerS'] = (listings.length / (now() - started)) * 1000;
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

/** A filled node and one that has caught up with it, both running. */
export interface Pair {
  a: DaemonProcess;
  b: DaemonProcess;
  /** The listing id of the last listing. */
  last: string;
}

/** From the acknowledgement of a POST on A to the listing readable on B, one at a time. */
export async function live({ a, b }: Pair, { listings, metrics }: Run): Promise<void> {
  const fromAcknowledgement: number[] = [];
  const fromRequest: number[] = [];
  for (const listing of listings.slice(0, LIVE_WRITES)) {
    const fields = withoutId(listing);
    const sent = now();
    const id = field(await a.call('POST', '/listings', fields), 'listingId');
    const acknowledged = now();
    const path = `/listings/${encodeURIComponent(String(id))}`;
    await until(
      'live listing on B',
      async () => ((await b.ask('GET', path)).status === 200 ? true : undefined),
      {
        everyMs: 0,
        timeoutMs: 10_000,
      },
    );
    fromAcknowledgement.push(now() - acknowledged);
    fromRequest.push(now() - sent);
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
  const load = { port: a.port, headers: a.headers, requests, inFlight: IN_FLIGHT, warmUp: 0 };
  const { startedAt, refused } = await generateLoad(load);
  noteRefusals(notes, 'PATCH /listings', refused);
  const want = field(await a.call('GET', '/federation/digest'), 'digest');
  if (typeof want !== 'string') throw new Error('GET /federation/digest gives no digest');
  await until('equal digests after the burst', async () => {
    return field(await b.call('GET', '/federation/digest'), 'digest') === want ? true : undefined;
  });
  return (BURST / (now() - startedAt)) * 1000;
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
