/**
 * automerge-repo, a document per record, its own websocket and file storage adapters, two processes on loopback.
 * Its files are not fsynced; a write counts as acknowledged when `repo.flush()` has written the file.
 * With 12,000 documents the empty joiner never finished, so the default is 2,000.
 */
import { once } from 'node:events';
import { join } from 'node:path';
import { Repo } from '@automerge/automerge-repo';
import { WebSocketClientAdapter, WebSocketServerAdapter } from '@automerge/automerge-repo-network-websocket';
import { NodeFSStorageAdapter } from '@automerge/automerge-repo-storage-nodefs';
import { WebSocketServer } from 'ws';
import {
  bytesOnDisk,
  inFlight,
  now,
  progress,
  quantile,
  readArguments,
  report,
  residentMegabytes,
  startReader,
  temporaryFolder,
} from './measure.mjs';

const IN_FLIGHT = 64;
const LIVE_WRITES = 200;
const BURST = 2000;

/** The second process: takes every document that the writer announces, and tells when one is readable. */
async function reader() {
  const repo = new Repo({
    storage: new NodeFSStorageAdapter(process.env.BENCH_FOLDER),
    sharePolicy: async () => true,
  });
  const readable = new Set();
  let wanted = Number.POSITIVE_INFINITY;
  let started = 0;
  let follow = false;
  const look = (handle) => {
    const record = handle.isReady() ? handle.doc() : undefined;
    if (record?.id === undefined) return;
    if (record.burst === BURST) process.send({ do: 'burst-seen', at: now() });
    if (readable.has(handle.documentId)) return;
    readable.add(handle.documentId);
    if (follow) process.send({ do: 'seen', at: now() });
    if (readable.size === wanted) process.send({ do: 'catch-up', ms: now() - started });
    if (readable.size % 500 === 0) progress(`${readable.size} documents readable`);
  };
  // Announced documents show only in `repo.handles`; the metrics say when to look there.
  const followed = new Set();
  repo.on('doc-metrics', ({ documentId }) => {
    const handle = repo.handles[documentId];
    if (handle === undefined) return;
    look(handle);
    if (followed.has(documentId)) return;
    followed.add(documentId);
    handle.on('heads-changed', () => look(handle));
    // The first heads come while the handle still counts as requested.
    handle.whenReady().then(
      () => look(handle),
      (error) => progress(`${documentId}: ${error.message}`),
    );
  });
  process.on('message', (message) => {
    if (message.do === 'catch-up') {
      wanted = message.count;
      started = now();
      repo.networkSubsystem.addNetworkAdapter(
        new WebSocketClientAdapter(`ws://127.0.0.1:${process.env.BENCH_PORT}`),
      );
    }
    if (message.do === 'follow') {
      follow = true;
      process.send({ do: 'follow' });
    }
    if (message.do === 'how-far') process.send({ do: 'how-far', count: readable.size });
  });
  process.send({ do: 'ready' });
}

/** The first process: writes, serves, and measures. */
async function writer() {
  const { records, count } = readArguments({ count: 2000 });
  const folder = temporaryFolder('automerge-repo');
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const sockets = [];
  server.on('connection', (_socket, request) => sockets.push(request.socket));
  const repo = new Repo({
    storage: new NodeFSStorageAdapter(join(folder.path, 'writer')),
    network: [new WebSocketServerAdapter(server)],
    sharePolicy: async () => true,
  });
  const metrics = {};
  const notes = [];
  const second = startReader(import.meta.url, {
    BENCH_FOLDER: join(folder.path, 'reader'),
    BENCH_PORT: String(server.address().port),
  });
  try {
    await second.next('ready', 20_000);
    progress(`writing ${count} documents, ${IN_FLIGHT} in flight`);
    const handles = [];
    const writeMs = await inFlight(count, IN_FLIGHT, async (i) => {
      const handle = repo.create(records[i]);
      handles.push(handle);
      await repo.flush([handle.documentId]);
    });
    metrics.writesPerS = (count / writeMs) * 1000;
    metrics.diskBytesPerRecord = bytesOnDisk(folder.path) / count;

    progress(`catch-up of ${count}`);
    try {
      const caught = await second.ask({ do: 'catch-up', count }, 120_000);
      metrics.catchUpPerS = (count / caught.ms) * 1000;
    } catch (error) {
      const { count: reached } = await second.ask({ do: 'how-far' }, 60_000);
      notes.push(`catch-up of ${count} not finished: ${reached} readable (${error.message})`);
      report('automerge-repo', metrics, notes);
      return;
    }
    metrics.wireBytesPerRecord = sockets.reduce((sum, s) => sum + s.bytesRead + s.bytesWritten, 0) / count;
    metrics.rssWriterMB = residentMegabytes();
    metrics.rssReaderMB = residentMegabytes(second.pid);

    progress(`${LIVE_WRITES} single writes`);
    await second.ask({ do: 'follow' }, 60_000);
    const live = [];
    for (let i = 0; i < LIVE_WRITES; i += 1) {
      const seen = second.next('seen', 20_000);
      repo.create(records[i]);
      const acknowledged = now();
      live.push(Math.max(0, (await seen).at - acknowledged));
    }
    metrics.liveP50Ms = quantile(live, 0.5);
    metrics.liveP99Ms = quantile(live, 0.99);

    progress(`burst of ${BURST} updates of one record`);
    const seen = second.next('burst-seen', 120_000);
    const started = now();
    for (let i = 1; i <= BURST; i += 1) {
      handles[0].change((record) => {
        record.price = i;
        record.burst = i;
      });
      // Sockets and storage get their turn, as they would between two requests.
      if (i % IN_FLIGHT === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    metrics.burstPerS = (BURST / ((await seen).at - started)) * 1000;
    report('automerge-repo', metrics, notes);
  } catch (error) {
    progress(String(error));
    process.exitCode = 1;
  } finally {
    await second.stop();
    await repo.shutdown();
    server.close();
    // The repo still writes sync states after its shutdown, and fails where the folder has gone.
    process.once('exit', () => folder.close());
    process.exit();
  }
}

await (process.env.BENCH_ROLE === 'reader' ? reader() : writer());
