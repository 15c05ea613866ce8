/**
 * Yjs, one document with a map of records, over its own sync protocol on a websocket, two processes on loopback. Every update is appended
 * to a file of its process before it counts as acknowledged; as with the others here, nothing is fsynced.
 */
import { once } from 'node:events';
import { appendFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import WebSocket, { WebSocketServer } from 'ws';
import * as decoding from 'lib0/decoding';
import * as encoding from 'lib0/encoding';
import * as syncProtocol from 'y-protocols/sync';
import * as Y from 'yjs';
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

/** Keeps a document's updates in a file, in order; `stored()` resolves when those so far are written. */
function persist(doc, file) {
  let last = Promise.resolve();
  let waiting = [];
  doc.on('update', (update) => {
    waiting.push(update);
    if (waiting.length > 1) return;
    last = last.then(() => {
      const updates = waiting;
      waiting = [];
      return appendFile(file, Buffer.concat(updates));
    });
  });
  return { stored: () => last };
}

/** Speaks the sync protocol with the other side until the socket closes. */
function connectDoc(doc, socket) {
  const send = (write) => {
    const encoder = encoding.createEncoder();
    write(encoder);
    if (encoding.length(encoder) > 0) socket.send(encoding.toUint8Array(encoder));
  };
  socket.binaryType = 'nodebuffer';
  socket.on('message', (data) =>
    send((encoder) => syncProtocol.readSyncMessage(decoding.createDecoder(data), encoder, doc, socket)),
  );
  doc.on('update', (update, origin) => {
    if (origin !== socket) send((encoder) => syncProtocol.writeUpdate(encoder, update));
  });
  send((encoder) => syncProtocol.writeSyncStep1(encoder, doc));
}

/** The second process: follows the document, and tells when a record is readable. */
async function reader() {
  const doc = new Y.Doc();
  const records = doc.getMap('listings');
  persist(doc, join(process.env.BENCH_FOLDER, 'updates'));
  let wanted = Number.POSITIVE_INFINITY;
  let started = 0;
  let follow = false;
  records.observeDeep((events) => {
    const at = now();
    if (records.size >= wanted) {
      wanted = Number.POSITIVE_INFINITY;
      process.send({ do: 'catch-up', ms: at - started });
    }
    if (!follow) return;
    if (records.get('burst') === BURST) process.send({ do: 'burst-seen', at });
    else if (events.length > 0) process.send({ do: 'seen', at });
  });
  process.on('message', async (message) => {
    if (message.do === 'catch-up') {
      wanted = message.count;
      started = now();
      const socket = new WebSocket(`ws://127.0.0.1:${process.env.BENCH_PORT}`, { perMessageDeflate: false });
      await once(socket, 'open');
      connectDoc(doc, socket);
    }
    if (message.do === 'follow') {
      follow = true;
      process.send({ do: 'follow' });
    }
  });
  process.send({ do: 'ready' });
}

/** The first process: writes, serves, and measures. */
async function writer() {
  const { records, count } = readArguments({ count: 12_000 });
  const folder = temporaryFolder('yjs');
  const doc = new Y.Doc();
  const store = persist(doc, join(folder.path, 'updates'));
  const map = doc.getMap('listings');
  const put = async (key, record) => {
    doc.transact(() => map.set(key, new Y.Map(Object.entries(record))));
    await store.stored();
  };
  const metrics = {};
  progress(`writing ${count} records, ${IN_FLIGHT} in flight`);
  const writeMs = await inFlight(count, IN_FLIGHT, (i) => put(records[i].id, records[i]));
  metrics.writesPerS = (count / writeMs) * 1000;
  metrics.diskBytesPerRecord = bytesOnDisk(folder.path) / count;

  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
  await once(server, 'listening');
  const sockets = [];
  server.on('connection', (socket, request) => {
    sockets.push(request.socket.setNoDelay());
    connectDoc(doc, socket);
  });
  const readerFolder = join(folder.path, 'reader');
  await mkdir(readerFolder);
  const second = startReader(import.meta.url, {
    BENCH_FOLDER: readerFolder,
    BENCH_PORT: String(server.address().port),
  });
  try {
    await second.next('ready', 20_000);
    progress(`catch-up of ${count}`);
    const caught = await second.ask({ do: 'catch-up', count }, 120_000);
    metrics.catchUpPerS = (count / caught.ms) * 1000;
    metrics.wireBytesPerRecord = sockets.reduce((sum, s) => sum + s.bytesRead + s.bytesWritten, 0) / count;
    metrics.rssWriterMB = residentMegabytes();
    metrics.rssReaderMB = residentMegabytes(second.pid);

    progress(`${LIVE_WRITES} single writes`);
    await second.ask({ do: 'follow' }, 10_000);
    const live = [];
    for (let i = 0; i < LIVE_WRITES; i += 1) {
      const seen = second.next('seen', 10_000);
      await put(`live-${i}`, records[i % count]);
      const acknowledged = now();
      live.push(Math.max(0, (await seen).at - acknowledged));
    }
    metrics.liveP50Ms = quantile(live, 0.5);
    metrics.liveP99Ms = quantile(live, 0.99);

    progress(`burst of ${BURST} updates of one record`);
    const seen = second.next('burst-seen', 60_000);
    const started = now();
    await inFlight(BURST, IN_FLIGHT, async (i) => {
      doc.transact(() => {
        map.get(records[0].id).set('price', i);
        map.set('burst', i + 1);
      });
      await store.stored();
    });
    metrics.burstPerS = (BURST / ((await seen).at - started)) * 1000;
    report('yjs', metrics);
  } finally {
    await second.stop();
    server.close();
    for (const socket of sockets) socket.destroy();
    await store.stored();
    folder.close();
  }
}

await (process.env.BENCH_ROLE === 'reader' ? reader() : writer());
