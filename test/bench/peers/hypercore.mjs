/**
 * Hypercore, one block per record, or with `--per-block 64` so many records in each block, two processes on loopback over TCP. Live writes and
 * bursts have a block each in both.
 * Hypercore does not fsync: its acknowledgement means that the operating system has the write.
 */
import { once } from 'node:events';
import net from 'node:net';
import { join } from 'node:path';
import Hypercore from 'hypercore';
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

/** The second process: follows the core, and tells when a block is readable. */
async function reader() {
  const core = new Hypercore(process.env.BENCH_FOLDER, process.env.BENCH_KEY);
  await core.ready();
  const decode = (block) => JSON.parse(block.toString());
  process.on('message', async (message) => {
    if (message.do === 'catch-up') {
      const started = now();
      const socket = net.connect(Number(process.env.BENCH_PORT), '127.0.0.1').setNoDelay();
      socket.pipe(core.replicate(true)).pipe(socket);
      await core.download({ start: 0, end: message.count }).done();
      decode(await core.get(message.count - 1));
      process.send({ do: 'catch-up', ms: now() - started });
      core.download({ start: message.count, end: -1 });
    }
    if (message.do === 'follow') {
      process.send({ do: 'follow' });
      for (let index = message.from; index < message.to; index += 1) {
        decode(await core.get(index));
        if (message.each || index === message.to - 1) process.send({ do: 'seen', index, at: now() });
      }
    }
  });
  process.send({ do: 'ready' });
}

/** The first process: writes, serves, and measures. */
async function writer() {
  const { records, count, perBlock } = readArguments({ count: 12_000 });
  const folder = temporaryFolder('hypercore');
  const core = new Hypercore(join(folder.path, 'writer'));
  await core.ready();
  const block = (record) => Buffer.from(JSON.stringify(record));

  const blocks = Math.ceil(count / perBlock);
  progress(`writing ${blocks} blocks, ${IN_FLIGHT} in flight`);
  const writeMs = await inFlight(blocks, IN_FLIGHT, (i) =>
    core.append(block(perBlock === 1 ? records[i] : records.slice(i * perBlock, (i + 1) * perBlock))),
  );
  const metrics = {
    writesPerS: (count / writeMs) * 1000,
    diskBytesPerRecord: bytesOnDisk(folder.path) / count,
  };

  const sockets = [];
  const server = net.createServer((socket) => {
    sockets.push(socket.setNoDelay()); // with Nagle's algorithm every live write takes 40 ms more
    socket.on('error', () => socket.destroy()); // the reader is killed at the end
    socket.pipe(core.replicate(false)).pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const second = startReader(import.meta.url, {
    BENCH_FOLDER: join(folder.path, 'reader'),
    BENCH_KEY: core.key.toString('hex'),
    BENCH_PORT: String(server.address().port),
  });
  try {
    await second.next('ready', 20_000);
    progress(`catch-up of ${count}`);
    const caught = await second.ask({ do: 'catch-up', count: blocks }, 120_000);
    metrics.catchUpPerS = (count / caught.ms) * 1000;
    metrics.wireBytesPerRecord = sockets.reduce((sum, s) => sum + s.bytesRead + s.bytesWritten, 0) / count;
    metrics.rssWriterMB = residentMegabytes();
    metrics.rssReaderMB = residentMegabytes(second.pid);

    progress(`${LIVE_WRITES} single writes`);
    const live = [];
    let length = core.length;
    await second.ask({ do: 'follow', from: length, to: length + LIVE_WRITES, each: true }, 5000);
    for (let i = 0; i < LIVE_WRITES; i += 1) {
      const seen = second.next('seen', 10_000);
      await core.append(block(records[i % count]));
      const acknowledged = now();
      live.push(Math.max(0, (await seen).at - acknowledged));
    }
    metrics.liveP50Ms = quantile(live, 0.5);
    metrics.liveP99Ms = quantile(live, 0.99);

    progress(`burst of ${BURST} updates`);
    length = core.length;
    await second.ask({ do: 'follow', from: length, to: length + BURST, each: false }, 5000);
    const seen = second.next('seen', 60_000);
    const started = now();
    await inFlight(BURST, IN_FLIGHT, (i) => core.append(block({ ...records[0], price: i })));
    metrics.burstPerS = (BURST / ((await seen).at - started)) * 1000;
    report(perBlock === 1 ? 'hypercore' : `hypercore ${perBlock} a block`, metrics);
  } finally {
    await second.stop();
    server.close();
    await core.close();
    folder.close();
  }
}

await (process.env.BENCH_ROLE === 'reader' ? reader() : writer());
